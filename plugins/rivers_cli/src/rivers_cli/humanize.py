"""Sizes, durations and timestamps for people."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns
from typing import Final

_SECOND: Final = 1_000_000_000
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def format_size(count: int) -> str:
    """Format a number of bytes with three significant digits: `512 bytes`, `1.4 MB`."""
    from rich.filesize import decimal

    # rounded first: `decimal` rounds after it has chosen the unit, and makes "1,000.0 kB" of 999,960
    return decimal(int(float(f"{count:.3g}")))


def format_duration(nanoseconds: int) -> str:
    """Format a duration: `0.3 ms`, `1.2 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = nanoseconds / _SECOND
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def format_age(timestamp: int, now: int | None = None) -> str:
    """Format the age of a timestamp in its largest unit: `now`, `5 min ago`, `3 d ago`.

    Args:
        timestamp: Nanoseconds since the epoch.
        now: Current time in nanoseconds; None reads the clock.
    """
    seconds = ((time_ns() if now is None else now) - timestamp) // _SECOND
    for unit_seconds, unit in _AGES:
        if seconds >= unit_seconds:
            return f"{seconds // unit_seconds} {unit} ago"
    return "now"


def format_time(timestamp: int) -> str:
    """Format a timestamp in nanoseconds as local date and time, to the second."""
    return datetime.fromtimestamp(timestamp // 1_000_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
