"""Relate the windows of two time-window definitions by arithmetic on their schedules.

A definition may have millions of windows, or a number that grows with the clock, so nothing here lists them. Its grid
(`rivers.partitions.time_windows`) computes single starts; a pattern describes all of them: an interval is a start
and a step, a cron schedule is a set of days and, on each of them, the same times of day.
`docs/design/decisions/0004-comparing-time-grids.md` explains the comparison.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from math import gcd
from typing import TYPE_CHECKING, Final

from rivers.partitions.time_windows import CronGrid, IntervalGrid
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.partitions import PartitionsDefinition

__all__ = ["Relation", "common_window", "first_and_last", "relate"]

_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(2000, 1, 1)
_MICROSECONDS_PER_DAY: Final = _DAY // _MICROSECOND
# Weekdays and leap years repeat every 28 years (until 2100), so that this many days show every kind of day.
_CYCLE: Final = 28 * 365 + 7
_CYCLE_DAYS: Final = range(_EPOCH.toordinal(), _EPOCH.toordinal() + _CYCLE)
_MOST_EDGES_COMPARED: Final = 1_000


class Pattern(ABC):
    """Regularity of the windows of a grid, continued without limit in both directions.

    Attributes:
        anchor: One of the starts, in microseconds since 2000.
        stride: Greatest common divisor of all distances between starts, in microseconds.
        length: Average length of a window, in microseconds.
    """

    anchor: int
    stride: int
    length: float

    @abstractmethod
    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""

    @abstractmethod
    def times(self) -> tuple[set[int], set[int], set[int]] | None:
        """Return hours, minutes and seconds of the starts; None if a start has a fraction of a second."""

    @abstractmethod
    def contains(self, pattern: Pattern) -> bool:
        """Return whether every start of another pattern is one of this pattern."""


class IntervalPattern(Pattern):
    """Windows of one length."""

    def __init__(self, grid: IntervalGrid) -> None:
        self._grid = grid
        self.anchor = (grid.start - _EPOCH) // _MICROSECOND
        self.stride = grid.shortest // _MICROSECOND
        self.length = float(self.stride)

    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""
        if self._grid.shortest <= _DAY:
            return map(date.fromordinal, _CYCLE_DAYS)
        first = self._grid.floor(_EPOCH)
        return (
            self._grid.shift(first, count).date() for count in range(_CYCLE * _DAY // self._grid.shortest)
        )

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

    def contains(self, pattern: Pattern) -> bool:
        """Return whether every start of another pattern is one of this pattern."""
        return pattern.stride % self.stride == 0 and (pattern.anchor - self.anchor) % self.stride == 0


class CronPattern(Pattern):
    """Windows that start whenever a cron schedule says: on some days, at the same times of day."""

    def __init__(self, grid: CronGrid) -> None:
        self._grid = grid
        hours, minutes, seconds = grid.hours, grid.minutes, grid.seconds
        days = list(self.dates())
        start = datetime.combine(days[0], time(hours[0], minutes[0], seconds[0]))
        self.anchor = (start - _EPOCH) // _MICROSECOND
        self.stride = 1_000_000 * gcd(
            *(second - seconds[0] for second in seconds),
            *(60 * (minute - minutes[0]) for minute in minutes),
            *(3_600 * (hour - hours[0]) for hour in hours),
            *(86_400 * (following - day).days for day, following in pairwise(days)),
        )
        count = len(days) * len(hours) * len(minutes) * len(seconds)
        self.length = _CYCLE * _MICROSECONDS_PER_DAY / count

    def dates(self) -> Iterator[date]:
        """Return the dates of the starts, over a cycle of the calendar."""
        return filter(self._grid.has_day, map(date.fromordinal, _CYCLE_DAYS))

    def times(self) -> tuple[set[int], set[int], set[int]] | None:
        """Return hours, minutes and seconds of the starts."""
        return {*self._grid.hours}, {*self._grid.minutes}, {*self._grid.seconds}

    def contains(self, pattern: Pattern) -> bool:
        """Return whether every start of another pattern is one of this pattern."""
        times, own = pattern.times(), self.times()
        if times is None or own is None:
            return False
        if not all(needed <= field for needed, field in zip(times, own, strict=True)):
            return False
        return self._grid.is_daily or all(map(self._grid.has_day, pattern.dates()))


class Windows:
    """Windows of one definition, on a grid that continues beyond them.

    Args:
        definition: The definition.
    """

    def __init__(self, definition: PartitionsDefinition.TimeWindow) -> None:
        self.definition = definition
        self.end = definition.end
        self.grid = definition.grid
        self.pattern = _pattern_of(definition)

    @cached_property
    def first(self) -> datetime:
        """Start of the first window."""
        first = self.grid.first(self.definition.start)
        assert first is not None  # a definition has at least one window
        return first

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
    """Relation of the windows of a consumer to those of its upstream.

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
    is_several = needed.pattern.length < own.pattern.length
    longer, shorter = (own, needed) if is_several else (needed, own)
    return Relation(needed, own, is_several, shorter.pattern.contains(longer.pattern))


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
    stride = gcd(sparse.pattern.stride, dense.pattern.stride) or 1
    if (sparse.pattern.anchor - dense.pattern.anchor) % stride:
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
def _cron_pattern(schedule: str) -> CronPattern:
    return CronPattern(CronGrid(_EPOCH, schedule))


def _pattern_of(definition: PartitionsDefinition.TimeWindow) -> Pattern:
    if definition.cron_schedule is not None:
        return _cron_pattern(definition.cron_schedule)
    assert definition.interval_seconds is not None
    return IntervalPattern(IntervalGrid(definition.start, timedelta(seconds=definition.interval_seconds)))
