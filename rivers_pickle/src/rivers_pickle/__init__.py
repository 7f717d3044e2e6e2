"""IO handler that pickles values to any object store and verifies them before unpickling."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_pickle.handler import PickleIOHandler as PickleIOHandler
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_pickle.handler": ["PickleIOHandler"]})
