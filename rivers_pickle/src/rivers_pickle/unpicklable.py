"""Finding the part of a value that cannot be pickled."""

from __future__ import annotations

import pickle
from itertools import chain, islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROTOCOL: Final = 5
_PARTS_LOOKED_AT: Final = 10_000
_DEPTH_LOOKED_AT: Final = 32


def find_unpicklable(value: object) -> tuple[str, object]:
    """The innermost part of a value that cannot be pickled.

    Args:
        value: A value that cannot be pickled.

    Returns:
        How to reach the part, as an expression that starts with `value`, and the part.
    """
    where = "value"
    seen: set[int] = set()
    for _ in range(_DEPTH_LOOKED_AT):
        seen.add(id(value))
        failing = next(
            (
                (step, part)
                for step, part in islice(_parts(value), _PARTS_LOOKED_AT)
                if id(part) not in seen and not _can_be_pickled(part)
            ),
            None,
        )
        if failing is None:
            break
        where, value = where + failing[0], failing[1]
    return where, value


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        keys = ((f".keys()[{key!r:.60}]", key) for key in value)
        yield from chain(((f"[{key!r:.60}]", item) for key, item in value.items()), keys)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"{{{item!r:.60}}}", item) for item in value)
    if not isinstance(value, (type, ModuleType)):
        yield from _attributes(value)


def _attributes(value: object) -> Iterable[tuple[str, object]]:
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held.setdefault(name, getattr(value, name))
    return ((f".{name}", part) for name, part in held.items())


def _can_be_pickled(value: object) -> bool:
    try:
        pickle.Pickler(_Nowhere(), _PROTOCOL).dump(value)
    except Exception:
        return False
    return True


class _Nowhere:
    def write(self, data: Any) -> int:
        return len(data.raw()) if isinstance(data, pickle.PickleBuffer) else len(data)
