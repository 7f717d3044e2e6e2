"""Grids of time: where windows start, and the text that names each one.

All times are naive: a grid counts on the wall clock's calendar, where every day has 24 hours. So the days on
which daylight saving begins or ends neither lose nor double a key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from rivers_core.exceptions import PartitionDefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CronGrid",
    "Grid",
    "IntervalGrid",
    "default_format",
    "moment_of",
    "names_one_window",
]

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)

_DIRECTIVE: Final = re.compile(r"%[-_0^#E]?([a-zA-Z%])")
_YEARS: Final = frozenset("YyGgCcxDFs+")


class Grid(Hashable, Protocol):
    """Where windows start; each ends where the next one starts."""

    start: datetime
    """No window starts before."""
    shortest: timedelta
    """No window is shorter."""

    def first(self, moment: datetime) -> datetime | None:
        """The first start at or after a moment; None when there is none any more."""
        ...

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Every start before a moment, in order."""
        ...


class IntervalGrid:
    """Windows of one length, counted from the first start.

    Args:
        start: Where the first window starts.
        step: How long each window is.
    """

    __slots__ = ("shortest", "start")

    def __init__(self, start: datetime, step: timedelta) -> None:
        self.start = start
        self.shortest = step

    def first(self, moment: datetime) -> datetime | None:
        """The first start at or after a moment."""
        passed = max(moment - self.start, timedelta())
        return self.start - (-passed // self.shortest) * self.shortest

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Every start before a moment, in order."""
        step, start = self.shortest, self.start
        while start < until:
            yield start
            start += step


class CronGrid:
    """Windows that start whenever a cron expression says.

    Args:
        start: No window starts before.
        schedule: Five fields (minute, hour, day of month, month, day of week), or six with the second first.

    Raises:
        PartitionDefinitionError: The expression cannot be read, or `cronsim` is not installed.
    """

    __slots__ = ("schedule", "shortest", "start")

    def __init__(self, start: datetime, schedule: str) -> None:
        self.start = start
        self.schedule = schedule
        self.shortest = MINUTE if len(schedule.split()) == 5 else SECOND
        self._ticks(start)

    def first(self, moment: datetime) -> datetime | None:
        """The first start at or after a moment; None when there is none within 50 years."""
        return next(self._ticks(max(moment, self.start)), None)

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Every start before a moment, in order."""
        for tick in self._ticks(self.start):
            if tick >= until:
                return
            yield tick

    def _ticks(self, moment: datetime) -> Iterator[datetime]:
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise PartitionDefinitionError(
                "Partitions with a cron_schedule need the package cronsim: pip install 'rivers-core[cron]'."
            ) from error
        just_before = moment if moment.microsecond else moment - SECOND
        try:
            return CronSim(self.schedule, just_before)
        except CronSimError as error:
            raise PartitionDefinitionError(
                f"The cron_schedule {self.schedule!r} cannot be read: {error}. It has five fields "
                "(minute, hour, day of month, month, day of week), or six with the second first."
            ) from error


def moment_of(value: datetime | date | str, role: str, fmt: str | None) -> datetime:
    """The naive datetime that an author gave as a datetime, a date, or text.

    Args:
        value: Text is read with `fmt` first, then as ISO 8601.
        role: `start` or `end`, for messages.
        fmt: The format of the keys, if the author gave one.

    Raises:
        PartitionDefinitionError: It is no time, or has a time zone.
    """
    moment: object = _parsed(value, role, fmt) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        raise PartitionDefinitionError(
            f"The {role} of time partitions is a datetime, a date or ISO text, got {value!r} "
            f"({type(value).__name__})."
        )
    if moment.tzinfo is not None:
        raise PartitionDefinitionError(
            f"The {role} of time partitions has a time zone ({value!r}), and partition keys are "
            "wall-clock times; convert it to the zone you count in and drop the zone: "
            "moment.astimezone(zone).replace(tzinfo=None)."
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
            f"The {role} of time partitions, {text!r}, cannot be read; give {expected}."
        ) from error


def default_format(grid: Grid) -> str:
    """The usual format for a grid: the date, and as much of the time of day as its starts differ in."""
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


def names_one_window(fmt: str, grid: Grid) -> bool:
    """Whether a format says as much about a time as it takes to tell the windows of a grid apart.

    True is certain; False means that it takes a look at the windows themselves.
    """
    has = set(_DIRECTIVE.findall(fmt))
    if not ("Y" in has and ("j" in has or ("d" in has and has & set("mbBh")))):
        return False
    unit = DAY
    for finer, directives in ((HOUR, "H"), (MINUTE, "M"), (SECOND, "S"), (timedelta(microseconds=1), "f")):
        if not has & set(directives):
            break
        unit = finer
    return grid.shortest >= unit


def repeats_yearly(fmt: str) -> bool:
    """Whether a format has no year, so that a grid without an end would come to the same keys again."""
    return not _YEARS.intersection(_DIRECTIVE.findall(fmt))
