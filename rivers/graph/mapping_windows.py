"""Windows of time against windows of time: which of an upstream's lie within, around or beside a consumer's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from rivers_core.partitions.time_windows import CronGrid, IntervalGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core.partitions import PartitionKey, PartitionsDefinition
    from rivers_core.partitions.time_windows import Grid

_NAMED_BEYOND = 5_000
_DOUBLINGS = 12


@dataclass(frozen=True, slots=True)
class WindowTable:
    """Which upstream windows belong to each window of a consumer.

    Attributes:
        found: The upstream's keys for each of the consumer's, in order.
        missing: What windows would be called that a consumer's key needs and the upstream does not have.
        is_several: Whether the consumer's windows are the longer ones, so that several upstream windows
            belong to one.
        is_nested: Whether no window reaches across an edge of a longer one.
    """

    found: dict[PartitionKey, tuple[PartitionKey, ...]] = field(default_factory=dict)
    missing: dict[PartitionKey, tuple[str, ...]] = field(default_factory=dict)
    is_several: bool = False
    is_nested: bool = True


def window_table(
    upstream: PartitionsDefinition.TimeWindow, downstream: PartitionsDefinition.TimeWindow, offset: int = 0
) -> WindowTable:
    """Relates all windows of two definitions; worked out once for each pair and kept.

    The offset counts windows of the longer kind: for a month of days, -1 gives the days of the month before;
    for a day of a month, the month before.

    Args:
        upstream: The windows that are needed.
        downstream: The windows of the consumer.
        offset: How many windows away; negative is earlier.
    """
    # Without an end, windows are added as the clock goes on: so their number is part of the question.
    counts = len(upstream.get_partition_keys()), len(downstream.get_partition_keys())
    return _table(upstream, downstream, offset, *counts)


@lru_cache(maxsize=128)
def _table(
    upstream: PartitionsDefinition.TimeWindow,
    downstream: PartitionsDefinition.TimeWindow,
    offset: int,
    upstream_count: int,
    downstream_count: int,
) -> WindowTable:
    up, down = _Axis(upstream, upstream_count), _Axis(downstream, downstream_count)
    is_several = up.length < down.length
    longer, shorter = (down, up) if is_several else (up, down)
    table = WindowTable(is_several=is_several, is_nested=_is_nested(longer.edges, shorter.edges))
    beyond = min(abs(offset), _NAMED_BEYOND) + 1
    down.draw_out(up.edges[0], up.edges[-1], beyond)
    up.draw_out(down.edges[0], down.edges[-1], beyond)
    for place, key in enumerate(down.keys, start=down.base):
        span = down.span(place + (offset if is_several else 0))
        places = range(0) if span is None else up.overlapping(*span)
        if not is_several:
            places = range(places.start + offset, places.stop + offset)
        found = tuple([up.keys[place - up.base] for place in places if up.owns(place)])
        table.found[key] = found
        if not found or (not is_several and len(found) < len(places)):
            lost = [up.name(place) for place in places if not up.owns(place)]
            table.missing[key] = tuple(lost) or (f"the window {offset:+d} from {str(key)!r}",)
    return table


class _Axis:
    """The grid of a definition, drawn out beyond its own windows.

    Attributes:
        keys: The keys of its own windows.
        edges: Where windows start; each ends where the next one starts.
        base: The place among the edges where the first of its own windows starts.
        length: How long its windows are on average.
    """

    __slots__ = ("_definition", "base", "edges", "keys", "length")

    def __init__(self, definition: PartitionsDefinition.TimeWindow, count: int) -> None:
        self._definition = definition
        self.keys = definition.get_partition_keys()[:count]
        self.edges = list(islice(self._grid(definition.start).starts(datetime.max), max(count, 1) + 1))
        self.base = 0
        self.length = (self.edges[-1] - self.edges[0]) / max(len(self.edges) - 1, 1) or timedelta(days=366)

    def _grid(self, start: datetime) -> Grid:
        definition = self._definition
        if definition.cron_schedule is not None:
            return CronGrid(start, definition.cron_schedule)
        assert definition.interval_seconds is not None
        return IntervalGrid(start, timedelta(seconds=definition.interval_seconds))

    def draw_out(self, lo: datetime, hi: datetime, beyond: int) -> None:
        """Adds windows on both sides until they reach from `lo` to `hi`, and some more beyond."""
        first, last = self.edges[0], self.edges[-1]
        until = max(hi, last) + self.length * (beyond + 1)
        self.edges.extend(islice(self._grid(last).starts(until), 1, None))
        before = self._before(first, min(lo, first), beyond)
        self.edges[:0] = before
        self.base = len(before)

    def _before(self, first: datetime, lo: datetime, beyond: int) -> list[datetime]:
        if self._definition.interval_seconds is not None:
            step = timedelta(seconds=self._definition.interval_seconds)
            count = -((lo - first) // step) + beyond
            return [first - step * place for place in range(count, 0, -1)]
        reach = self.length * (beyond + 1)
        ticks: list[datetime] = []
        for _ in range(_DOUBLINGS):
            ticks = list(self._grid(lo - reach).starts(first))
            if bisect_right(ticks, lo) >= beyond:
                break
            reach *= 2
        return ticks

    def owns(self, place: int) -> bool:
        """Whether one of its keys stands at a place."""
        return 0 <= place - self.base < len(self.keys)

    def name(self, place: int) -> str:
        """What the key at a place is called, or would be."""
        if 0 <= place < len(self.edges):
            return self.edges[place].strftime(self._definition.fmt)
        return f"one {abs(place - self.base)} windows from the first"

    def span(self, place: int) -> tuple[datetime, datetime] | None:
        """Start and end of the window at a place; None if that is beyond what was drawn."""
        return (self.edges[place], self.edges[place + 1]) if 0 <= place < len(self.edges) - 1 else None

    def overlapping(self, start: datetime, end: datetime) -> range:
        """The places of the windows that share some time with a span."""
        return range(max(bisect_right(self.edges, start) - 1, 0), bisect_left(self.edges, end))


def _is_nested(longer: Sequence[datetime], shorter: Sequence[datetime]) -> bool:
    edges = set(shorter)
    return all(edge in edges for edge in longer if shorter[0] <= edge <= shorter[-1])
