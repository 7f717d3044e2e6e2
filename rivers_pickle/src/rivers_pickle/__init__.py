"""IO handler that pickles values to any object store and verifies them before unpickling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports

if TYPE_CHECKING:
    from rivers_pickle.handler import PickleIOHandler

__all__ = ["PickleIOHandler"]

__getattr__, __dir__ = lazy_exports(__name__, {"PickleIOHandler": "rivers_pickle.handler"})
