"""Values that can be read only once: which of them were read, so that what is left of a stream is never stored."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rivers_core.exceptions import OneShotValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_delta.types.base import TypeAdapter

_HELD: Final = 16
_READ: dict[int, _Reading] = {}
_STRONG: OrderedDict[int, None] = OrderedDict()


class _Reading(NamedTuple):
    """One value that was read.

    Args:
        value: Gives it, if it is still there.
        rows: How many rows it had; None if reading it did not come to an end.
    """

    value: Callable[[], Any]
    rows: int | None


def remember(value: Any, rows: int | None) -> None:
    """Take down that a value was read.

    Args:
        value: One that may not give its rows again.
        rows: How many it gave; None if that failed on the way.
    """
    key = id(value)
    reference: Callable[[], Any]
    try:
        reference = weakref.ref(value, lambda _: _READ.pop(key, None))
    except TypeError:
        # Held, lest another value come to lie at its address; only the latest, for it may hold a connection.
        reference = _holding(value)
        _STRONG[key] = None
        while len(_STRONG) > _HELD:
            _READ.pop(_STRONG.popitem(last=False)[0], None)
    _READ[key] = _Reading(reference, rows)


def refuse_if_spent(subject: str, value: Any, adapter: TypeAdapter) -> None:
    """Refuse a value that was read before and does not give its rows again.

    Args:
        subject: The asset and partition, for the message.
        value: One that may not give its rows again.
        adapter: Opens it.

    Raises:
        SpentValueError: Reading it failed on the way before, or nothing is left.
    """
    reading = _READ.get(id(value))
    if reading is None or reading.value() is not value or reading.rows == 0:
        return
    if reading.rows is not None and _has_rows(value, adapter):
        return
    had = "not to its end" if reading.rows is None else f"and gave {reading.rows:,} rows"
    raise OneShotValueError(
        f"{subject[0].upper()}{subject[1:]} is a stream that can be read once; it was read before, {had}. "
        "Nothing more of it was stored. Run the function again, or return a table or a LazyFrame, which can be written "
        "again."
    )


def _has_rows(value: Any, adapter: TypeAdapter) -> bool:
    try:
        return any(batch.num_rows for batch in adapter.open(value))
    except Exception:  # closed, as some streams are once they were read
        return False


def _holding(value: Any) -> Callable[[], Any]:
    return lambda: value
