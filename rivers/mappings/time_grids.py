"""Relate the windows of two time-window definitions by arithmetic on their schedules.

A definition may have millions of windows, or a number that grows with the clock, so nothing here lists them.
An interval is a start and a step. A cron schedule is a set of days and, on each of them, the same times of
day. `docs/design/decisions/0004-comparing-time-grids.md` explains the comparison.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from math import gcd
from typing import TYPE_CHECKING, Final

from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_core.partitions import PartitionsDefinition

__all__ = ["Relation", "common_window", "first_and_last", "relate"]

_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(2000, 1, 1)
_MICROSECONDS_PER_DAY: Final = _DAY // _MICROSECOND
# Weekdays and leap years repeat every 28 years (until 2100), so that this many days show every kind of day.
_CYCLE: Final = 28 * 365 + 7
_MOST_EDGES_COMPARED: Final = 1_000


class Grid(ABC):
    """Moments at which windows start, continued without limit in both directions.

    Attributes:
        anchor: One of the moments, in microseconds since 2000.
        stride: Greatest common divisor of all distances between moments, in microseconds.
        length: Average length of a window, in microseconds.
    """

    anchor: int
    stride: int
    length: float

    @abstractmethod
    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment."""

    @abstractmethod
    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows after (negative: before) a start."""

    @abstractmethod
    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""

    @abstractmethod
    def times(self) -> tuple[set[int], set[int], set[int]] | None:
        """Return hours, minutes and seconds of the starts; None if a start has a fraction of a second."""

    @abstractmethod
    def contains(self, grid: Grid) -> bool:
        """Return whether every start of another grid is one of this grid."""


class IntervalGrid(Grid):
    """Windows of one length."""

    def __init__(self, start: datetime, step: timedelta) -> None:
        self._start = start
        self._step = step
        self.anchor = (start - _EPOCH) // _MICROSECOND
        self.stride = step // _MICROSECOND
        self.length = float(self.stride)

    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment."""
        return self._start + (moment - self._start) // self._step * self._step

    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows away."""
        return start + count * self._step

    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""
        if self._step <= _DAY:
            return map(date.fromordinal, range(_EPOCH.toordinal(), _EPOCH.toordinal() + _CYCLE))
        first = self.floor(_EPOCH)
        return (self.shift(first, count).date() for count in range(_CYCLE * _DAY // self._step))

    def times(self) -> tuple[set[int], set[int], set[int]] | None:
        """Return hours, minutes and seconds of the starts; None if a start has a fraction of a second."""
        step = gcd(self.stride, _MICROSECONDS_PER_DAY)
        if step % 1_000_000 or self.anchor % 1_000_000:
            return None
        seconds = range(self.anchor % step // 1_000_000, 86_400, step // 1_000_000)
        return (
            {second // 3600 for second in seconds},
            {second // 60 % 60 for second in seconds},
            {second % 60 for second in seconds},
        )

    def contains(self, grid: Grid) -> bool:
        """Return whether every start of another grid is one of this grid."""
        return grid.stride % self.stride == 0 and (grid.anchor - self.anchor) % self.stride == 0


class CronGrid(Grid):
    """Windows that start whenever a cron schedule says: on some days, at the same times of day."""

    def __init__(self, schedule: str) -> None:
        from cronsim import CronSim  # a definition with a schedule exists, so it is installed

        self._cron = CronSim(schedule, _EPOCH)
        self._hours, self._minutes, self._seconds = (
            sorted(field) for field in (self._cron.hours, self._cron.minutes, self._cron.seconds)
        )
        self._per_day = len(self._hours) * len(self._minutes) * len(self._seconds)
        days = list(self.dates())
        self._is_daily = len(days) == _CYCLE
        self.anchor = (datetime.combine(days[0], self._time(0)) - _EPOCH) // _MICROSECOND
        self.stride = 1_000_000 * gcd(
            *(second - self._seconds[0] for second in self._seconds),
            *(60 * (minute - self._minutes[0]) for minute in self._minutes),
            *(3_600 * (hour - self._hours[0]) for hour in self._hours),
            *(86_400 * (following - day).days for day, following in pairwise(days)),
        )
        self.length = _CYCLE * _MICROSECONDS_PER_DAY / (len(days) * self._per_day)

    def _has_day(self, day: date) -> bool:
        return day.month in self._cron.months and self._cron.match_day(day)

    def _time(self, index: int) -> time:
        rest, second = divmod(index, len(self._seconds))
        hour, minute = divmod(rest, len(self._minutes))
        return time(self._hours[hour], self._minutes[minute], self._seconds[second])

    def _count_until(self, moment: datetime) -> int:
        """Return how many times of a day are not after that of a moment."""
        hour, minute, second = moment.hour, moment.minute, moment.second
        count = bisect_left(self._hours, hour) * len(self._minutes)
        if hour not in self._cron.hours:
            return count * len(self._seconds)
        count = (count + bisect_left(self._minutes, minute)) * len(self._seconds)
        if minute not in self._cron.minutes:
            return count
        return count + bisect_right(self._seconds, second)

    def _move(self, day: date, count: int) -> date:
        """Return the matching day that is `count` matching days after (negative: before) a day."""
        step = timedelta(days=1 if count > 0 else -1)
        if self._is_daily or abs(count) > date.max.toordinal():
            return day + abs(count) * step
        while count:
            day += step
            if self._has_day(day):
                count -= step.days
        return day

    def floor(self, moment: datetime) -> datetime:
        """Return the last start at or before a moment."""
        day = moment.date()
        index = self._count_until(moment) - 1
        if index < 0 or not self._has_day(day):
            day, index = self._move(day, -1), self._per_day - 1
        return datetime.combine(day, self._time(index))

    def shift(self, start: datetime, count: int) -> datetime:
        """Return the start that is `count` windows away."""
        days, index = divmod(self._count_until(start) - 1 + count, self._per_day)
        return datetime.combine(self._move(start.date(), days), self._time(index))

    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""
        days = map(date.fromordinal, range(_EPOCH.toordinal(), _EPOCH.toordinal() + _CYCLE))
        return filter(self._has_day, days)

    def times(self) -> tuple[set[int], set[int], set[int]] | None:
        """Return hours, minutes and seconds of the starts."""
        return self._cron.hours, self._cron.minutes, self._cron.seconds

    def contains(self, grid: Grid) -> bool:
        """Return whether every start of another grid is one of this grid."""
        times, own = grid.times(), self.times()
        if times is None or own is None:
            return False
        if not all(needed <= field for needed, field in zip(times, own, strict=True)):
            return False
        return self._is_daily or all(map(self._has_day, grid.dates()))


class Windows:
    """Windows of one definition, on a grid that continues beyond them.

    Args:
        definition: The definition.
    """

    def __init__(self, definition: PartitionsDefinition.TimeWindow) -> None:
        self.definition = definition
        self.end = definition.end
        self.grid = _grid_of(definition)

    @cached_property
    def first(self) -> datetime:
        """Start of the first window."""
        start = self.definition.start
        floor = self.grid.floor(start)
        return floor if floor == start else self.grid.shift(floor, 1)

    def last(self) -> datetime:
        """Return the start of the last window; before `first` if no window is complete yet."""
        if self.end is not None:
            return self.grid.floor(self.end - _MICROSECOND)
        return self.grid.shift(self.grid.floor(datetime.now()), -1)

    def starts(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Return the starts from one to another, both included, whether their windows exist or not."""
        with suppress(OverflowError):  # the calendar ends in the year 9999
            while first <= last:
                yield first
                first = self.grid.shift(first, 1)

    def name(self, start: datetime) -> str:
        """Return the key of the window that starts at a moment, whether it exists or not."""
        return start.strftime(self.definition.fmt)


@dataclass(frozen=True, slots=True)
class Relation:
    """How the windows of a consumer lie among those of its upstream.

    Attributes:
        upstream: Windows of the upstream.
        downstream: Windows of the consumer.
        is_several: Whether the consumer's windows are the longer ones, so that several upstream windows
            belong to one.
        is_nested: Whether no window crosses an edge of a longer one.
    """

    upstream: Windows
    downstream: Windows
    is_several: bool
    is_nested: bool

    def windows(self, key: PartitionKey, offset: int) -> tuple[list[PartitionKey], list[str]]:
        """Return the upstream's keys for one key of the consumer, and the names of missing windows.

        Args:
            key: Key of the consumer.
            offset: Number of windows of the longer kind; negative is earlier.

        Raises:
            PartitionValidationError: The consumer's definition does not have the key.
        """
        window = self.downstream.definition.window_of(key)
        assert window is not None
        try:
            first, last = self._image(*window, offset)
        except OverflowError:
            return [], [f"the window {offset:+d} from {str(key)!r}"]
        windows = self.upstream
        existing = windows.starts(max(first, windows.first), min(last, windows.last()))
        keys: list[PartitionKey] = [PartitionKey.single(windows.name(start)) for start in existing]
        if keys and self.is_several:
            return keys, []
        names = dict.fromkeys(map(windows.name, windows.starts(first, last)))
        return keys, [name for name in names if PartitionKey.single(name) not in keys]

    def has_overlap(self, offset: int) -> bool:
        """Return whether any key of the consumer has a window of the upstream; both definitions have an end."""
        own = self.downstream
        try:
            first, last = self._image(own.first, own.grid.shift(own.last(), 1), offset)
        except OverflowError:
            return False
        return first <= self.upstream.last() and self.upstream.first <= last

    def _image(self, start: datetime, end: datetime, offset: int) -> tuple[datetime, datetime]:
        """Return the starts of the first and last upstream window that a span of the consumer needs."""
        grid = self.upstream.grid
        if self.is_several:
            start = self.downstream.grid.shift(start, offset)
            end = self.downstream.grid.shift(end, offset)
            return grid.floor(start), grid.floor(end - _MICROSECOND)
        return (
            grid.shift(grid.floor(start), offset),
            grid.shift(grid.floor(end - _MICROSECOND), offset),
        )


@lru_cache(maxsize=128)
def relate(
    upstream: PartitionsDefinition.TimeWindow, downstream: PartitionsDefinition.TimeWindow
) -> Relation:
    """Compare the schedules of two definitions; computed once for each pair and cached."""
    needed, own = Windows(upstream), Windows(downstream)
    is_several = needed.grid.length < own.grid.length
    longer, shorter = (own, needed) if is_several else (needed, own)
    return Relation(needed, own, is_several, shorter.grid.contains(longer.grid))


def common_window(
    downstream: PartitionsDefinition.TimeWindow, upstream: PartitionsDefinition.TimeWindow
) -> bool:
    """Return whether two definitions have a key in common, as far as a bounded number of windows shows.

    With equal formats equal keys mean equal starts, so the sparser grid is compared within the time that both
    cover. With different formats the first keys are looked up.

    Args:
        downstream: Definition of the consumer.
        upstream: Definition of the upstream.
    """
    relation = relate(upstream, downstream)
    needed, own = relation.upstream, relation.downstream
    if upstream.fmt != downstream.fmt:
        starts = islice(own.starts(own.first, own.last()), _MOST_EDGES_COMPARED)
        return any(upstream.validate_partition_key(own.name(start)) for start in starts)
    sparse, dense = (own, needed) if relation.is_several else (needed, own)
    if (sparse.grid.anchor - dense.grid.anchor) % (gcd(sparse.grid.stride, dense.grid.stride) or 1):
        return False
    first = max(needed.first, own.first)
    last = min((side.last() for side in (needed, own) if side.end is not None), default=datetime.max)
    for count, start in enumerate(sparse.starts(sparse.grid.floor(first), last)):
        if count > _MOST_EDGES_COMPARED:
            return True  # not decided; a run reports each key that is missing
        if start >= first and dense.grid.floor(start) == start:
            return True
    return False


def first_and_last(windows: Windows | PartitionsDefinition.TimeWindow) -> tuple[str | None, str | None]:
    """Return the keys of the first and the last window; None if no window is complete yet."""
    if not isinstance(windows, Windows):
        windows = Windows(windows)
    last = windows.last()
    if last < windows.first:
        return None, None
    return windows.name(windows.first), windows.name(last)


@lru_cache(maxsize=128)
def _cron_grid(schedule: str) -> CronGrid:
    return CronGrid(schedule)


def _grid_of(definition: PartitionsDefinition.TimeWindow) -> Grid:
    if definition.cron_schedule is not None:
        return _cron_grid(definition.cron_schedule)
    assert definition.interval_seconds is not None
    return IntervalGrid(definition.start, timedelta(seconds=definition.interval_seconds))
