from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers.mappings.time_grids import CronPattern, IntervalPattern, relate
from rivers.partitions.time_windows import CronGrid, IntervalGrid

M, P = rs.PartitionMapping, rs.PartitionsDefinition
START = datetime(2024, 1, 1)
SCHEDULES = [
    "* * * * * *",
    "*/30 * * * * *",
    "* * * * *",
    "*/7 * * * *",
    "0 */6 * * *",
    "30 5 * * *",
    "0 0 * * *",
    "0 0,12 * * 1-5",
    "0 0 * * MON#1",
    "0 0 1 * *",
    "0 0 L * *",
    "0 0 1 */3 *",
    "0 0 13 * 5",
]

schedules = st.sampled_from(SCHEDULES)
moments = st.integers(0, 400 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))
intervals = st.sampled_from([1, 7, 30, 60, 3_600, 21_600, 43_200, 86_400, 129_600, 604_800])


def definition(start, *, every=None, schedule=None, end=None):
    fmt = "%Y-%m-%dT%H:%M:%S" + (".%f" if every is not None and every % 1 else "")
    return P.time_window(start, cron_schedule=schedule, interval_seconds=every, end=end, fmt=fmt)


@contextmanager
def counting_named_windows():
    """Count the windows that are named, as listing the keys of a definition does."""
    counts = {"strftime": 0}

    def profile(frame, event, argument):
        if event == "c_call" and argument.__name__ in counts:
            counts[argument.__name__] += 1

    sys.setprofile(profile)
    try:
        yield counts
    finally:
        sys.setprofile(None)


@st.composite
def grids(draw):
    if draw(st.booleans()):
        return CronGrid(START, draw(schedules))
    return IntervalGrid(START + timedelta(hours=draw(st.integers(0, 48))), timedelta(seconds=draw(intervals)))


def pattern_of(grid):
    return CronPattern(grid) if isinstance(grid, CronGrid) else IntervalPattern(grid)


@settings(max_examples=60)
@given(grids(), grids())
def test_pattern_contains_agrees_with_listed_starts(grid, part):
    start = part.floor(START)
    starts = [start := part.shift(start, 1) for _ in range(200)]
    shared = [grid.floor(start) == start for start in starts]
    if pattern_of(grid).contains(pattern_of(part)):
        assert all(shared)
    elif pattern_of(part).length >= 60_000_000:  # 200 starts of finer grids end before the first difference
        assert not all(shared)


@pytest.mark.parametrize(
    ("longer", "shorter", "is_nested"),
    [
        (definition(START, every=60), definition(START, schedule="*/30 * * * * *"), True),
        (definition(START, every=60), definition(START, schedule="*/20 * * * * 1-5"), False),
        (definition(START, schedule="0 0 * * 1"), definition(START, every=86_400), True),
        (definition(START, schedule="0 0 * * 1"), definition(START, every=2 * 86_400), False),
        (definition(START, schedule="0 0 1 */3 *"), definition(START, schedule="0 0 1 * *"), True),
        (definition(START, schedule="0 0 1 * *"), definition(START, schedule="0 0 * * 1"), False),
        (definition(START, every=129_600), definition(START, every=43_200), True),
        (definition(START, every=129_600), definition(START, schedule="0 0,12 * * *"), True),
        (definition(START, every=129_600), definition(START, schedule="0 0 * * *"), False),
        (definition(START, every=1.5), definition(START, schedule="* * * * * *"), False),
        (definition(START, every=1.5), definition(START, every=0.5), True),
    ],
)
def test_relate_decides_nesting(longer, shorter, is_nested):
    assert relate(longer, shorter).is_nested is is_nested
    assert relate(shorter, longer).is_nested is is_nested
    assert relate(shorter, longer).is_several
    assert not relate(longer, shorter).is_several


@pytest.mark.parametrize("end", [None, START + timedelta(days=2)])
def test_resolve_names_no_window_of_second_grained_definitions(end):
    seconds = definition(START, every=1, end=end)
    ticks = definition(START, schedule="* * * * * *", end=end)
    minutes = definition(START, every=60, end=end)

    @rs.Asset(partitions_def=seconds)
    def up() -> int: ...

    @rs.Asset(partitions_def=ticks)
    def down(up: int) -> int: ...

    @rs.Asset(partitions_def=minutes)
    def grouped(up: dict[str, int]) -> int: ...

    @rs.Asset(partitions_def=ticks, deps=[rs.AssetDef.input("up", partition_mapping=M.identity())])
    def same(up: int) -> int: ...

    @rs.Asset(partitions_def=minutes, deps=[rs.AssetDef.input("up", partition_mapping=M.time_window(-1))])
    def previous(up: dict[str, int]) -> int: ...

    bounds = rs.PartitionKeyRange.single("2024-01-01T00:00:00", "2024-01-01T23:59:59")

    @rs.Asset(deps=[rs.AssetDef.input("up", partition_mapping=M.specific_partitions(bounds))])
    def first_day(up: dict[str, int]) -> int: ...

    repository = rs.CodeRepository([up, down, grouped, same, previous, first_day], config=False)
    with counting_named_windows() as counts:
        repository.validate()
    assert counts["strftime"] < 10


@pytest.mark.parametrize("end", [None, START + timedelta(days=2)])
def test_windows_of_one_key_do_not_depend_on_other_windows(end):
    minutes, seconds = definition(START, every=60, end=end), definition(START, every=1, end=end)
    with counting_named_windows() as counts:
        keys, missing = relate(seconds, minutes).windows(rs.PartitionKey("2024-01-01T12:34:00"), -1)
    assert [str(key) for key in keys] == [f"2024-01-01T12:33:{second:02}" for second in range(60)]
    assert missing == []
    assert counts["strftime"] < 70


@pytest.mark.parametrize(
    ("downstream", "upstream", "has_common"),
    [
        (
            definition(START, every=1, end="2024-02-01"),
            definition(START, every=3_600, end="2024-03-01"),
            True,
        ),
        (
            definition(START, every=1, end="2024-02-01"),
            definition("2024-02-01", every=1, end="2024-03-01"),
            False,
        ),
        (
            definition(START, every=86_400),
            definition("2024-01-01T12:00", every=86_400, end="2024-03-01"),
            False,
        ),
        (definition(START, every=86_400), P.daily("2024-01-01", fmt="%d/%m/%Y"), False),
        (definition(START, every=86_400), definition("2024-01-01T12:00", every=86_400), False),
        (definition(START, schedule="0 0 * * *"), definition(START, schedule="30 0 * * *"), False),
        (definition(START, schedule="0 0 * * 1"), definition(START, schedule="0 0 1 * *"), True),
    ],
)
def test_identity_mapping_between_time_windows(downstream, upstream, has_common):
    findings = M.identity().check(downstream, upstream)
    assert (findings == []) is has_common
    if findings:
        assert "'2024-01-01T00:00:00'" in findings[0]
