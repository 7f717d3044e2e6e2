"""In-memory IO handler, the default of rivers."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_memory.handler import InMemoryIOHandler as InMemoryIOHandler
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_memory.handler": ["InMemoryIOHandler"]})
