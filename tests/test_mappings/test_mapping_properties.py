from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rivers.mappings import PartitionMapping, check_mapping, default_mapping, upstream_keys
from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionValidationError

M, P = PartitionMapping, PartitionsDefinition
START = datetime(2024, 1, 1)

few = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

names = st.sampled_from("abcdefg")
lists = st.lists(names, min_size=1, max_size=5, unique=True).map(P.static_)


@st.composite
def grids(draw):
    start = START + timedelta(hours=draw(st.integers(0, 80)))
    end = start + timedelta(hours=draw(st.integers(30, 200)))
    schedule = draw(st.sampled_from(["0 * * * *", "0 */6 * * *", "0 0 * * *", "30 5 * * *", "0 0 * * 1"]))
    hours = draw(st.sampled_from([1, 2, 6, 24, 36]))
    if draw(st.booleans()):
        end = max(end, START + timedelta(days=15))
        return P.time_window(start, cron_schedule=schedule, end=end, fmt="%Y-%m-%dT%H:%M")
    return P.time_window(start, interval_seconds=3600 * hours, end=end, fmt="%Y-%m-%dT%H:%M")


singles = lists | grids()
multis = st.dictionaries(st.sampled_from(["x", "y", "z"]), lists, min_size=1, max_size=3).map(P.multi)
definitions = singles | multis


def some_keys(definition):
    return st.lists(st.sampled_from(definition.get_partition_keys()), min_size=1, max_size=3)


@st.composite
def mappings(draw, up):
    plain = [M.identity(), M.all_partitions(), M.time_window(draw(st.integers(-3, 3)))]
    listed = st.lists(st.sampled_from(up.get_partition_keys()), min_size=1, max_size=4)
    mapping = draw(
        st.none()
        | st.sampled_from(plain)
        | listed.map(M.specific_partitions)
        | listed.map(M.for_keys)
        | st.sampled_from("xyz").map(M.multi_to_single)
        | st.sampled_from("xyz").map(lambda name: M.multi({name: M.all_partitions()}))
    )
    return M.subset(mapping) if draw(st.booleans()) else mapping


@few
@given(st.data(), st.none() | definitions, definitions)
def test_upstream_keys_are_ordered_and_unique(data, down, up):
    mapping = data.draw(mappings(up))
    assume(not check_mapping(mapping, downstream=down, upstream=up))
    keys = [] if down is None else data.draw(some_keys(down))
    known = up.get_partition_keys()
    try:
        needed = upstream_keys(mapping, downstream=down, upstream=up, keys=keys, upstream_all=lambda: known)
    except PartitionValidationError:
        assert mapping is None or not mapping.allows_missing
        return
    places = [known.index(key) for key in needed]
    assert places == sorted(set(places))


@few
@given(st.data(), st.none() | definitions, definitions)
def test_upstream_keys_of_several_keys_are_the_union(data, down, up):
    mapping = M.subset(data.draw(mappings(up)))
    assume(down is not None and not check_mapping(mapping, downstream=down, upstream=up))
    keys = data.draw(some_keys(down))

    def needed(some):
        return upstream_keys(
            mapping, downstream=down, upstream=up, keys=some, upstream_all=up.get_partition_keys
        )

    assert set(needed(keys)) == {one for key in keys for one in needed([key])}


@settings(few, max_examples=20)
@given(grids(), grids())
def test_time_window_mapping_finds_all_overlapping_windows(down, up):
    mapping = M.subset(M.time_window())
    windows = [(one, *up.window_of(one)) for one in up.get_partition_keys()]
    for key in down.get_partition_keys()[:5]:
        start, end = down.window_of(key)
        needed = upstream_keys(
            mapping, downstream=down, upstream=up, keys=[key], upstream_all=up.get_partition_keys
        )
        assert needed == [one for one, lo, hi in windows if lo < end and start < hi]


@few
@given(grids(), st.integers(-5, 5))
def test_time_window_mapping_offset_shifts_keys_of_one_grid(grid, offset):
    keys = grid.get_partition_keys()
    for place, key in enumerate(keys):
        needed = upstream_keys(
            M.subset(M.time_window(offset)),
            downstream=grid,
            upstream=grid,
            keys=[key],
            upstream_all=lambda: keys,
        )
        exists = 0 <= place + offset < len(keys)
        assert needed == ([keys[place + offset]] if exists else [])


@few
@given(st.none() | definitions, st.none() | definitions)
def test_default_mapping_has_no_findings(down, up):
    mapping = default_mapping(down, up)
    findings = check_mapping(None, downstream=down, upstream=up)
    if mapping is None:
        assert len(findings) == 1
    else:
        assert findings == check_mapping(mapping, downstream=down, upstream=up)


@few
@given(st.data(), st.none() | definitions, st.none() | definitions)
def test_check_mapping_returns_sentences_for_any_definitions(data, down, up):
    mapping = data.draw(mappings(up if up is not None else P.static_(["a"])))
    findings = check_mapping(mapping, downstream=down, upstream=up)
    assert all(isinstance(finding, str) and finding for finding in findings)
