"""Time grids: start times of windows, and the format of their keys.

All times are naive wall-clock times, where each day has 24 hours. Days on which daylight saving time begins or ends
therefore neither lose nor repeat a key.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import PartitionDefinitionError, PartitionTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cronsim import CronSim


DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
# Days between two matches of a schedule: a weekday on February 29 may take 40 years, across the year 2100.
_LONGEST_GAP: Final = 50 * 366

_DIRECTIVE: Final = re.compile(r"%[-_0^#E]?([a-zA-Z%])")
_YEARS: Final = frozenset("YyGgCcxDFs+")


class Grid(ABC):
    """Start times of windows; each window ends where the next one starts.

    Attributes:
        start: No window starts before it.
        shortest: Lower bound of the length of a window.
    """

    __slots__ = ("shortest", "start")

    def __init__(self, start: datetime, shortest: timedelta) -> None:
        self.start = start
        self.shortest = shortest

    @abstractmethod
    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment, as if the windows continued before `start`.

        Raises:
            OverflowError: The calendar ends first.
        """

    @abstractmethod
    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows after (negative: before) a start; raises as `floor` does."""

    def first(self, moment: datetime) -> datetime | None:
        """Return the first start at or after a moment; None if there is none."""
        moment = max(moment, self.start)
        try:
            floor = self.floor(moment)
            return floor if floor == moment else self.shift(floor, 1)
        except OverflowError:
            return None

    def last(self, until: datetime) -> datetime | None:
        """Return the last start before a moment; None if there is none."""
        if until <= self.start:
            return None
        start = self.floor(until - _MICROSECOND)
        return start if start >= self.start else None

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Yield all starts before a moment, in order."""
        start = self.first(self.start)
        with suppress(OverflowError):
            while start is not None and start < until:
                yield start
                start = self.shift(start, 1)


class IntervalGrid(Grid):
    """Windows of one length, counted from the first start.

    Args:
        start: Start of the first window.
        step: Length of each window.
    """

    __slots__ = ()

    def __init__(self, start: datetime, step: timedelta) -> None:
        super().__init__(start, step)

    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment."""
        return self.start + (moment - self.start) // self.shortest * self.shortest

    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows away."""
        return start + count * self.shortest


class CronGrid(Grid):
    """Windows that start at the times of a cron expression: on some days, on each of them at the same times.

    Args:
        start: No window starts before it.
        schedule: Five fields (minute, hour, day of month, month, day of week), or six with the second first.

    Raises:
        PartitionDefinitionError: The expression is invalid.
    """

    __slots__ = ("_cron", "hours", "is_daily", "minutes", "schedule", "seconds")

    def __init__(self, start: datetime, schedule: str) -> None:
        super().__init__(start, MINUTE if len(schedule.split()) == 5 else SECOND)
        self.schedule = schedule
        self._cron = _parse_cron(schedule)
        self.hours, self.minutes, self.seconds = (
            sorted(field) for field in (self._cron.hours, self._cron.minutes, self._cron.seconds)
        )
        self.is_daily = self._cron.parts[3:] == ["*", "*", "*"]

    def has_day(self, day: date) -> bool:
        """Return whether windows start on a day."""
        return day.month in self._cron.months and self._cron.match_day(day)

    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment."""
        day = moment.date()
        index = self._count_until(moment) - 1
        if index < 0 or not self.has_day(day):
            day, index = self._move(day, -1), -1
        return datetime.combine(day, self._time(index))

    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows away."""
        days, index = divmod(self._count_until(start) - 1 + count, self._count_per_day())
        return datetime.combine(self._move(start.date(), days), self._time(index))

    def _count_per_day(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def _time(self, index: int) -> time:
        rest, second = divmod(index % self._count_per_day(), len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def _count_until(self, moment: datetime) -> int:
        """Return how many times of a day are not after that of a moment."""
        hour, minute, second = moment.hour, moment.minute, moment.second
        count = bisect_left(self.hours, hour) * len(self.minutes)
        if hour not in self._cron.hours:
            return count * len(self.seconds)
        count = (count + bisect_left(self.minutes, minute)) * len(self.seconds)
        if minute not in self._cron.minutes:
            return count
        return count + bisect_right(self.seconds, second)

    def _move(self, day: date, count: int) -> date:
        """Return the day with windows that is `count` such days after (negative: before) a day."""
        step = DAY if count > 0 else -DAY
        if self.is_daily or abs(count) > date.max.toordinal():
            return day + abs(count) * step
        skipped = 0
        while count:
            day += step
            skipped += 1
            if self.has_day(day):
                count -= step.days
                skipped = 0
            elif skipped > _LONGEST_GAP:
                raise OverflowError(f"the schedule {self.schedule!r} has no such day")
        return day


def _parse_cron(schedule: str) -> CronSim:
    from cronsim import CronSim, CronSimError  # imported on use: few definitions have a schedule

    try:
        return CronSim(schedule, datetime(2000, 1, 1))
    except CronSimError as error:
        raise PartitionDefinitionError(
            f"The cron_schedule {schedule!r} is invalid: {error}. It must have five fields "
            "(minute, hour, day of month, month, day of week), or six with the second first."
        ) from error


def parse_moment(value: datetime | date | str, role: str, fmt: str | None) -> datetime:
    """Return a naive datetime for a datetime, a date, or text.

    Args:
        value: Text is parsed with `fmt` first, then as ISO 8601.
        role: `start` or `end`, for messages.
        fmt: The format of the keys, if the author gave one.

    Raises:
        PartitionDefinitionError: `value` is not a time (then also a TypeError), or has a time zone.
    """
    moment: object = _parsed(value, role, fmt) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        raise PartitionTypeError(
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
