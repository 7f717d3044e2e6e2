"""Time grids: start times of windows, and the format of their keys.

All times are naive wall-clock times, where each day has 24 hours. Days on which daylight saving time begins or ends
therefore neither lose nor repeat a key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from rivers_core.exceptions import PartitionDefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator


DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)

_DIRECTIVE: Final = re.compile(r"%[-_0^#E]?([a-zA-Z%])")
_YEARS: Final = frozenset("YyGgCcxDFs+")


class Grid(Hashable, Protocol):
    """Start times of windows; each window ends where the next one starts."""

    start: datetime
    """No window starts before it."""
    shortest: timedelta
    """Lower bound of the length of a window."""

    def first(self, moment: datetime) -> datetime | None:
        """Return the first start at or after a moment; None if there is none."""
        ...

    def last(self, until: datetime) -> datetime | None:
        """Return the last start before a moment; None if there is none."""
        ...

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Yield all starts before a moment, in order."""
        ...


class IntervalGrid:
    """Windows of one length, counted from the first start.

    Args:
        start: Start of the first window.
        step: Length of each window.
    """

    __slots__ = ("shortest", "start")

    def __init__(self, start: datetime, step: timedelta) -> None:
        self.start = start
        self.shortest = step

    def first(self, moment: datetime) -> datetime | None:
        """Return the first start at or after a moment."""
        elapsed = max(moment - self.start, timedelta())
        return self.start - (-elapsed // self.shortest) * self.shortest

    def last(self, until: datetime) -> datetime | None:
        """Return the last start before a moment; None if there is none."""
        if until <= self.start:
            return None
        return self.start + (until - self.start - _MICROSECOND) // self.shortest * self.shortest

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Yield all starts before a moment, in order."""
        step, start = self.shortest, self.start
        while start < until:
            yield start
            start += step


class CronGrid:
    """Windows that start at the times of a cron expression.

    Args:
        start: No window starts before it.
        schedule: Five fields (minute, hour, day of month, month, day of week), or six with the second first.

    Raises:
        PartitionDefinitionError: The expression is invalid, or `cronsim` is not installed.
    """

    __slots__ = ("schedule", "shortest", "start")

    def __init__(self, start: datetime, schedule: str) -> None:
        self.start = start
        self.schedule = schedule
        self.shortest = MINUTE if len(schedule.split()) == 5 else SECOND
        self._ticks(start)

    def first(self, moment: datetime) -> datetime | None:
        """Return the first start at or after a moment; None if there is none within 50 years."""
        return next(self._ticks(max(moment, self.start)), None)

    def last(self, until: datetime) -> datetime | None:
        """Return the last start before a moment; None if there is none."""
        tick = next(self._ticks(until, reverse=True), None)
        return tick if tick is not None and tick >= self.start else None

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Yield all starts before a moment, in order."""
        for tick in self._ticks(self.start):
            if tick >= until:
                return
            yield tick

    def _ticks(self, moment: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        """Yield the times at or after a moment; in reverse, those before it."""
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise PartitionDefinitionError(
                "A cron_schedule needs cronsim, which is not installed. Run: pip install 'rivers-core[cron]'."
            ) from error
        # cronsim drops microseconds and excludes the moment itself
        origin = moment if reverse else moment - _MICROSECOND
        if reverse and moment.microsecond:
            origin += SECOND
        try:
            return CronSim(self.schedule, origin, reverse)
        except CronSimError as error:
            raise PartitionDefinitionError(
                f"The cron_schedule {self.schedule!r} is invalid: {error}. It must have five fields "
                "(minute, hour, day of month, month, day of week), or six with the second first."
            ) from error


def parse_moment(value: datetime | date | str, role: str, fmt: str | None) -> datetime:
    """Return a naive datetime for a datetime, a date, or text.

    Args:
        value: Text is parsed with `fmt` first, then as ISO 8601.
        role: `start` or `end`, for messages.
        fmt: The format of the keys, if the author gave one.

    Raises:
        PartitionDefinitionError: `value` is not a time, or has a time zone.
    """
    moment: object = _parsed(value, role, fmt) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        raise PartitionDefinitionError(
            f"The {role} of time partitions must be a datetime, a date or ISO text, got {value!r} "
            f"({type(value).__name__})."
        )
    if moment.tzinfo is not None:
        raise PartitionDefinitionError(
            f"The {role} of time partitions has a time zone ({value!r}), but partition keys are wall-clock times. "
            "Convert it to the zone of the keys and drop the zone: moment.astimezone(zone).replace(tzinfo=None)."
        )
    return moment


def _parsed(text: str, role: str, fmt: str | None) -> datetime:
    if fmt is not None and not repeats_yearly(fmt):
        try:
            return datetime.strptime(text, fmt)
        except (ValueError, re.error):
            pass
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        expected = "ISO text such as 2024-01-31" + (f", or text in the format {fmt!r}" if fmt else "")
        raise PartitionDefinitionError(
            f"The {role} of time partitions must be {expected}, got {text!r}."
        ) from error


def default_format(grid: Grid) -> str:
    """Return the shortest usual format that distinguishes the windows of a grid."""
    whole_days, whole_hours, whole_minutes, whole_seconds = (
        _cron_units(grid.schedule) if isinstance(grid, CronGrid) else _interval_units(grid)
    )
    if whole_days:
        return "%Y-%m-%d"
    if whole_hours:
        return "%Y-%m-%dT%H:00"
    if whole_minutes:
        return "%Y-%m-%dT%H:%M"
    return "%Y-%m-%dT%H:%M:%S" if whole_seconds else "%Y-%m-%dT%H:%M:%S.%f"


def _cron_units(schedule: str) -> tuple[bool, bool, bool, bool]:
    *seconds, minute, hour = schedule.split()[:-3]
    once_a_day = all(field.isdigit() for field in (*seconds, minute, hour))
    whole_minutes = seconds in ([], ["0"])
    return once_a_day, whole_minutes and minute == "0", whole_minutes, True


def _interval_units(grid: Grid) -> tuple[bool, bool, bool, bool]:
    into_day = grid.start - datetime.combine(grid.start, datetime.min.time())
    whole_hours, whole_minutes, whole_seconds = (
        not grid.shortest % unit and not into_day % unit for unit in (HOUR, MINUTE, SECOND)
    )
    return not grid.shortest % DAY, whole_hours, whole_minutes, whole_seconds


def identifies_windows(fmt: str, grid: Grid) -> bool:
    """Return True if a format is certain to give each window of a grid a different key.

    False means that the windows themselves have to be compared.
    """
    has = set(_DIRECTIVE.findall(fmt))
    if not ("Y" in has and ("j" in has or ("d" in has and has & set("mbBh")))):
        return False
    unit = DAY
    for finer, directives in ((HOUR, "H"), (MINUTE, "M"), (SECOND, "S"), (_MICROSECOND, "f")):
        if not has & set(directives):
            break
        unit = finer
    return grid.shortest >= unit


def repeats_yearly(fmt: str) -> bool:
    """Return True if a format has no year, so that the keys of an open-ended grid would repeat."""
    return not _YEARS.intersection(_DIRECTIVE.findall(fmt))
