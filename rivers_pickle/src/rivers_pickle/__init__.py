"""Pickled values on any object store, checked before they are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers_pickle.handler import PickleIOHandler

__all__ = ["PickleIOHandler"]


def __getattr__(name: str) -> object:
    if name == "PickleIOHandler":
        from rivers_pickle.handler import PickleIOHandler

        return PickleIOHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
