"""Search for the part of a value that cannot be pickled."""

from __future__ import annotations

import pickle
from itertools import chain, islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROTOCOL: Final = 5
_MAX_PARTS: Final = 10_000
_MAX_DEPTH: Final = 32


def find_unpicklable(value: object) -> tuple[str, object]:
    """Return the innermost part of a value that cannot be pickled.

    Args:
        value: A value that cannot be pickled.

    Returns:
        An expression for the part that starts with `value`, and the part.
    """
    path = "value"
    seen: set[int] = set()
    for _ in range(_MAX_DEPTH):
        seen.add(id(value))
        failing = next(
            (
                (step, part)
                for step, part in islice(_parts(value), _MAX_PARTS)
                if id(part) not in seen and not _can_be_pickled(part)
            ),
            None,
        )
        if failing is None:
            break
        path, value = path + failing[0], failing[1]
    return path, value


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
    attributes = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                attributes.setdefault(name, getattr(value, name))
    return ((f".{name}", part) for name, part in attributes.items())


def _can_be_pickled(value: object) -> bool:
    try:
        pickle.Pickler(_NullFile(), _PROTOCOL).dump(value)
    except Exception:
        return False
    return True


class _NullFile:
    def write(self, data: Any) -> int:
        return len(data.raw()) if isinstance(data, pickle.PickleBuffer) else len(data)
