"""Partitions that are windows of time."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.keys import PartitionKey, SinglePartitionKey, check_key_value
from rivers_core.partitions.lists import shape_fault
from rivers_core.partitions.time_windows import (
    CronGrid,
    IntervalGrid,
    default_format,
    moment_of,
    names_one_window,
    repeats_yearly,
)
from rivers_core.values import source, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers_core.partitions.definitions import DynamicKeys
    from rivers_core.partitions.time_windows import Grid

__all__ = ["TimeWindowPartitions"]

# An open-ended grid is checked this far: a format with a year that tells these apart tells all apart.
_HORIZON: Final = timedelta(days=400)
_MOST_WINDOWS_CHECKED: Final = 100_000


class _Listing:
    """The windows of a definition, listed once and kept for as long as no other is complete."""

    __slots__ = ("keys", "start_by_value", "starts", "valid_until")

    def __init__(self, starts: Iterable[datetime], fmt: str, valid_until: datetime = datetime.max) -> None:
        self.starts = list(starts)
        self.keys: list[PartitionKey] = []
        self.start_by_value: dict[str, datetime] = {}
        self.valid_until = valid_until
        for start in self.starts:
            value = start.strftime(fmt)
            if value in self.start_by_value:
                raise PartitionDefinitionError(
                    f"The fmt {fmt!r} cannot tell windows apart: the one from "
                    f"{self.start_by_value[value]} and the "
                    f"one from {start} would both be {value!r}. Let it say what differs, as in "
                    "'%Y-%m-%dT%H:%M:%S'."
                )
            self.start_by_value[value] = start
            self.keys.append(SinglePartitionKey(value))


_NOTHING_LISTED = _Listing((), "", datetime.min)


@variant_of(PartitionsDefinition, "TimeWindow")
class TimeWindowPartitions(PartitionsDefinition):
    """One key per window of time; `PartitionsDefinition.time_window` explains the arguments.

    Without an end the keys grow with the clock: each call lists the windows that are complete by then.
    """

    __slots__ = (
        "_grid",
        "_is_readable",
        "_listed",
        "cron_schedule",
        "end",
        "fmt",
        "interval_seconds",
        "start",
    )
    _fields = ("start", "cron_schedule", "interval_seconds", "end", "fmt")
    start: datetime
    """No window starts before."""
    cron_schedule: str | None
    """When windows start; None if they have one length."""
    interval_seconds: float | None
    """How long each window is; None if a schedule says when they start."""
    end: datetime | None
    """No window starts then or later; None: the keys end with the last complete window."""
    fmt: str
    """The format of the keys."""
    _grid: Grid
    _is_readable: bool
    _listed: _Listing

    def __init__(
        self,
        start: datetime | date | str,
        cron_schedule: str | None = None,
        interval_seconds: float | None = None,
        end: datetime | date | str | None = None,
        fmt: str | None = None,
    ) -> None:
        first = moment_of(start, "start", fmt)
        last = None if end is None else moment_of(end, "end", fmt)
        grid = _grid(first, cron_schedule, interval_seconds)
        chosen = default_format(grid) if fmt is None else fmt
        self._set(
            start=first, cron_schedule=cron_schedule, interval_seconds=interval_seconds, end=last, fmt=chosen
        )
        self._set(_grid=grid, _is_readable=False, _listed=_NOTHING_LISTED)
        self._check()

    def _check(self) -> None:
        first = self._grid.first(self.start)
        if first is None or (self.end is not None and first >= self.end):
            until = f" and before {self.end}" if self.end is not None else ""
            raise PartitionDefinitionError(
                f"Time partitions have no keys: no window starts at or after {self.start}{until}."
            )
        name = check_key_value(first.strftime(self.fmt))
        if names_one_window(self.fmt, self._grid):
            self._set(_is_readable=self._parsed(name) == first)
        elif self.end is not None:
            self._listing()
        elif repeats_yearly(self.fmt):
            raise PartitionDefinitionError(
                f"The fmt {self.fmt!r} has no year, so the same keys would come again next year; add "
                "%Y, or give an end."
            )
        else:
            windows = self._grid.starts(self.start + _HORIZON)
            _Listing(islice(windows, _MOST_WINDOWS_CHECKED), self.fmt)

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Every key, in order."""
        return list(self._listing().keys)

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        values = key.values if isinstance(key, SinglePartitionKey) else ()
        starts = [start for start in map(self._start_of, values) if start is not None]
        return min(starts), self._after(max(starts))

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        fault = shape_fault(key)
        if fault or not isinstance(key, SinglePartitionKey):
            return fault
        for value in key.values:
            if self._start_of(value) is None:
                return self._unknown(value)
        return None

    def _unknown(self, value: str) -> str:
        keys = self._listing().keys
        if not keys:
            return f"There is no partition key {value!r}: no window since {self.start} is complete yet."
        ends = "" if self.end is not None else " (the last complete window)"
        return (
            f"There is no partition key {value!r}. The keys are {str(keys[0])!r} to {str(keys[-1])!r}{ends}, "
            f"in the format {self.fmt!r}."
        )

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], datetime]:
        """What to sort keys by, so that they come in the definition's order."""
        return lambda key: self._start_of(str(key)) or self.start

    def _start_of(self, value: str) -> datetime | None:
        if not self._is_readable:
            return self._listing().start_by_value.get(value)
        start = self._parsed(value)
        if start is None or (self.end is not None and start >= self.end):
            return None
        if self.end is None and self._after(start) > datetime.now():
            return None
        return start

    def _parsed(self, value: str) -> datetime | None:
        return _start_named(value, self.fmt, self._grid)

    def _after(self, start: datetime) -> datetime:
        return self._grid.first(start + timedelta(microseconds=1)) or datetime.max

    def _listing(self) -> _Listing:
        if self.end is not None:
            if not self._listed.starts:
                self._set(_listed=_Listing(self._grid.starts(self.end), self.fmt))
            return self._listed
        now = datetime.now()
        if now >= self._listed.valid_until:
            starts = [*self._grid.starts(now)]
            after = self._after(starts[-1]) if starts else self._grid.first(self.start) or datetime.max
            complete = starts if after <= now else starts[:-1]
            self._set(_listed=_Listing(complete, self.fmt, after))
        return self._listed

    def __repr__(self) -> str:
        given = [
            f"{name}={source(value)}"
            for name, value in (
                ("cron_schedule", self.cron_schedule),
                ("interval_seconds", self.interval_seconds),
            )
            if value is not None
        ]
        end = [] if self.end is None else [f"end={source(self.end.isoformat())}"]
        arguments = [source(self.start.isoformat()), *given, *end, f"fmt={source(self.fmt)}"]
        return f"PartitionsDefinition.time_window({', '.join(arguments)})"


@lru_cache(maxsize=16_384)
def _start_named(value: str, fmt: str, grid: Grid) -> datetime | None:
    """The start of a grid with this name; every step that takes the key asks for it."""
    try:
        moment = datetime.strptime(value, fmt)
    except (ValueError, re.error):
        return None
    start = grid.first(moment)
    return start if start is not None and start.strftime(fmt) == value else None


def _grid(start: datetime, cron_schedule: str | None, interval_seconds: float | None) -> Grid:
    if (cron_schedule is None) == (interval_seconds is None):
        given = "none was" if cron_schedule is None else "both were"
        raise PartitionDefinitionError(
            f"Time partitions need exactly one of cron_schedule and interval_seconds; {given} given."
        )
    if cron_schedule is not None:
        if not isinstance(cron_schedule, str):
            raise PartitionDefinitionError(
                f"A cron_schedule is text such as '0 0 * * *', got {cron_schedule!r}."
            )
        return CronGrid(start, cron_schedule)
    seconds: object = interval_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds):
        raise PartitionDefinitionError(f"interval_seconds is a number of seconds, got {interval_seconds!r}.")
    if not 0.000001 <= seconds <= timedelta.max.total_seconds():
        raise PartitionDefinitionError(
            f"interval_seconds must be above 0 and below the calendar, got {seconds!r}."
        )
    return IntervalGrid(start, timedelta(seconds=seconds))
