"""JSON documents on any object store."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_json.handler import JsonIOHandler as JsonIOHandler
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_json.handler": ["JsonIOHandler"]})
