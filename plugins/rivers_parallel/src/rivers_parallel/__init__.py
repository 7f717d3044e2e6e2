"""Parallel executor: steps run in worker processes of this machine, asynchronous ones on an event loop meanwhile."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_parallel.executor import Parallel as Parallel
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_parallel.executor": ["Parallel"]})
