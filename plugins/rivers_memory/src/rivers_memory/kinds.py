"""What the handler has to know about the type of a value, found out once per type."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Sizer = Callable[[Any], int]

_REMEMBERED_TYPES: Final = 1024


class Sizers(dict["type", "Sizer | None"]):
    """How to measure a value of each type: a function that gives the bytes it occupies, as far as that is cheap.

    Those are the bytes of the data where the type tells (arrays, Arrow tables, data frames), otherwise those of
    the object itself without what it refers to. None stands for values that can be read only once.
    """

    def __missing__(self, kind: type) -> Sizer | None:
        if len(self) >= _REMEMBERED_TYPES:
            self.clear()
        return self.setdefault(kind, None if _is_spent_by_reading(kind) else _sizer_for(kind))


sizers: Final = Sizers()


def _is_spent_by_reading(kind: type) -> bool:
    # a subclass may take iteration back by `__next__ = None`
    return any(getattr(kind, name, None) is not None for name in ("__next__", "__anext__", "__await__"))


def _sizer_for(kind: type) -> Sizer:
    # asked on the type, so that no instance computes anything; no library is imported for it
    if hasattr(kind, "estimated_size"):
        return _guarded(lambda obj: obj.estimated_size())
    if hasattr(kind, "nbytes"):
        return _guarded(lambda obj: obj.nbytes)
    if hasattr(kind, "memory_usage"):
        return _guarded(lambda obj: obj.memory_usage().sum())
    if kind.__module__ == "builtins":
        return sys.getsizeof
    return _guarded(sys.getsizeof)


def _guarded(measure: Callable[[Any], Any]) -> Sizer:
    def size(obj: Any) -> int:
        try:
            return int(measure(obj))
        except Exception:
            return object.__sizeof__(obj)

    return size
