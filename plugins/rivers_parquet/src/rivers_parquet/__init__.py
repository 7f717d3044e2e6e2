"""Data frames as Parquet files on any object store, as an IO handler of rivers.

Every public name is imported when it is first used, so `import rivers_parquet` costs nothing.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_parquet.handler import ParquetIOHandler as ParquetIOHandler
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_parquet.handler": ["ParquetIOHandler"]})
