"""Pickled values on any object store, checked before they are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.lazy import lazy_names

if TYPE_CHECKING:
    from rivers_pickle.handler import PickleIOHandler

__all__ = ["PickleIOHandler"]

__getattr__, __dir__ = lazy_names(__name__, {"PickleIOHandler": "rivers_pickle.handler"})
