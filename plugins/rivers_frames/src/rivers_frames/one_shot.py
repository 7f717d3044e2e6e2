"""One-shot values: which streams were consumed, so that the remainder of a stream is never stored as a value."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rivers_core.exceptions import OneShotValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_frames.adapter import FrameAdapter

_MAX_HELD: Final = 16
_CONSUMED: dict[int, _Consumed] = {}
_HELD: OrderedDict[int, None] = OrderedDict()


class _Consumed(NamedTuple):
    """A value that was read.

    Args:
        value: Returns the value while it exists.
        rows: How many rows it had; None if reading it failed.
    """

    value: Callable[[], Any]
    rows: int | None


def remember(value: Any, rows: int | None) -> None:
    """Record that a value was read.

    Args:
        value: A value that cannot be replayed.
        rows: How many rows it had; None until it was read to its end.
    """
    key = id(value)
    reference: Callable[[], Any]
    try:
        reference = weakref.ref(value, lambda _: _CONSUMED.pop(key, None))
    except TypeError:
        # Without weak references the value is kept alive, so that no other value gets its id. Only the latest are
        # kept, because a value may hold a connection.
        reference = _strong_reference(value)
        _HELD[key] = None
        while len(_HELD) > _MAX_HELD:
            _CONSUMED.pop(_HELD.popitem(last=False)[0], None)
    _CONSUMED[key] = _Consumed(reference, rows)


def refuse_consumed(subject: str, value: Any, adapter: FrameAdapter) -> None:
    """Refuse a value that was read before and does not return its rows again.

    Args:
        subject: Asset and partition, for the message.
        value: A value that may not be replayable.
        adapter: The adapter that opens it.

    Raises:
        OneShotValueError: Reading it failed before, or nothing is left.
    """
    consumed = _CONSUMED.get(id(value))
    if consumed is None or consumed.value() is not value or consumed.rows == 0:
        return
    if consumed.rows is not None and _has_rows(value, adapter):
        return
    extent = "not to its end" if consumed.rows is None else f"{consumed.rows:,} rows"
    raise OneShotValueError(
        f"Cannot store {subject}; nothing was written: the value is a one-shot stream that was read before ({extent}). "
        "Run the function again, or return a table or a LazyFrame, which can be read again."
    )


def _has_rows(value: Any, adapter: FrameAdapter) -> bool:
    try:
        return any(batch.num_rows for batch in adapter.open(value))
    except Exception:  # some streams are closed once they were read
        return False


def _strong_reference(value: Any) -> Callable[[], Any]:
    return lambda: value
