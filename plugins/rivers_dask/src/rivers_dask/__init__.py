"""Dask executor: steps run on the workers of a Dask cluster."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_dask.executor import Dask as Dask
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_dask.executor": ["Dask"]})
