"""Sizes, durations and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rivers.storage import Event

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_SECOND: Final = 1_000_000_000
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size(count: int) -> str:
    """A number of bytes: `512 B`, `1.4 MB`."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 999.5 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def duration(nanoseconds: int) -> str:
    """A time span: `0.3 ms`, `1.2 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = nanoseconds / _SECOND
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def age(timestamp: int, now: int | None = None) -> str:
    """How long ago something was, in the coarsest unit that fits: `now`, `5 min ago`, `3 d ago`.

    Args:
        timestamp: Nanoseconds since the epoch.
        now: The present, likewise; None asks the clock.
    """
    seconds = ((time_ns() if now is None else now) - timestamp) // _SECOND
    for span, unit in _AGES:
        if seconds >= span:
            return f"{seconds // span} {unit} ago"
    return "now"


def moment(timestamp: int) -> str:
    """Date and time of day here, to the second; `timestamp` in nanoseconds since the epoch."""
    return _datetime(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(timestamp: int) -> str:
    """Date and time for programs: ISO 8601 in UTC, to the microsecond."""
    return _datetime(timestamp).isoformat(timespec="microseconds")


def stored_bytes(event: Event) -> int | None:
    """How many bytes a handler says that it stored: its metadata `size_bytes`, or `<handler>/size_bytes`."""
    for name, value in event.typed_metadata.items():
        if name.rpartition("/")[2] == "size_bytes":
            raw = value.raw_value()
            return raw if isinstance(raw, int) else None
    return None


def _datetime(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp // 1000 / 1_000_000, UTC)
