"""Partition keys that several outputs of one asset, or several assets of one job, have in common."""

from __future__ import annotations

from datetime import datetime

import pytest

import rivers as rs
from rivers.exceptions import AssetDefinitionError, PartitionValidationError
from rivers.mappings import common_partitions, first_without_common_key

START = datetime(2024, 1, 1)
DAYS = rs.PartitionsDefinition.daily(START)
JANUARY = rs.PartitionsDefinition.daily(START, end=datetime(2024, 2, 1))
MARCH = rs.PartitionsDefinition.daily(datetime(2024, 3, 1), end=datetime(2024, 4, 1))
HOURS = rs.PartitionsDefinition.hourly(START)
FIVE_MINUTES = rs.PartitionsDefinition.time_window(START, interval_seconds=300, fmt="%Y-%m-%dT%H:%M")
DYNAMIC = rs.PartitionsDefinition.dynamic("x")
SHIFTED = rs.PartitionsDefinition.time_window(
    datetime(2024, 1, 1, 0, 1), interval_seconds=300, fmt="%Y-%m-%dT%H:%M"
)


def static(keys):
    return rs.PartitionsDefinition.static_(list(keys))


def multi(keys, days=DAYS):
    return rs.PartitionsDefinition.multi({"day": days, "region": static(keys)})


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (static("abc"), static("cb"), static("bc")),
        (static("a"), static("b"), None),
        (DAYS, MARCH, MARCH),
        (JANUARY, MARCH, None),
        (DAYS, HOURS, None),
        (FIVE_MINUTES, SHIFTED, None),
        (static("a"), DAYS, None),
        (multi("ab"), multi("bc", JANUARY), multi("b", JANUARY)),
        (multi("a"), multi("b"), None),
        (multi("a"), rs.PartitionsDefinition.multi({"day": DAYS}), None),
        (DYNAMIC, rs.PartitionsDefinition.dynamic("y"), None),
        (DYNAMIC, rs.PartitionsDefinition.dynamic("x"), DYNAMIC),
        (DAYS, None, None),
    ],
)  # fmt: skip
def test_common_partitions(first, second, common):
    assert common_partitions(first, second) == common
    if not isinstance(common, rs.PartitionsDefinition.Static):
        assert common_partitions(second, first) == common


def test_first_without_common_key_folds_over_all():
    assert first_without_common_key({"x": static("ab"), "y": static("bc"), "z": static("ca")}) == (
        ["x", "y"],
        "z",
    )
    assert first_without_common_key({"x": static(["2024-01-02", "a"]), "y": DAYS}) is None
    assert first_without_common_key({"x": DAYS, "y": static("a")}) == (["x"], "y")
    assert first_without_common_key({}) is None


def asset(name, definition, **options):
    def produce() -> int:
        return 1

    return rs.Asset(produce, name=name, partitions_def=definition, **options)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (static("a"), static("b")),
        (static("a"), DAYS),
        (JANUARY, MARCH),
        (DAYS, HOURS),
        (multi("a"), multi("b")),
        (multi("a"), DAYS),
        (rs.PartitionsDefinition.dynamic("x"), rs.PartitionsDefinition.dynamic("y")),
    ],
)
def test_job_that_no_key_can_run_is_refused(first, second):
    assets = [asset("plain", None), asset("x", first), asset("y", second)]
    repo = rs.CodeRepository(assets, jobs=[rs.Job("nightly", assets)], config=False)
    with pytest.raises(PartitionValidationError) as caught:
        repo.validate()
    assert isinstance(caught.value, rs.exceptions.GraphValidationError)
    assert all(name in str(caught.value) for name in ("'nightly'", "'x'", "'y'"))


def test_job_runs_keys_that_a_mapping_relates():
    @rs.Asset(partitions_def=HOURS)
    def hourly() -> int:
        return 1

    @rs.Asset(partitions_def=DAYS)
    def daily(hourly: dict[str, int]) -> int:
        return sum(hourly.values())

    repo = rs.CodeRepository([hourly, daily], jobs=[rs.Job("nightly", [hourly, daily])], config=False)
    result = repo.get_job("nightly").execute(partition_key="2024-01-02")
    assert result.materialized_assets == ["hourly", "daily"]
    assert repo.load_node("daily", partition_key="2024-01-02") == 24


def both(first=None, second=None, **options):
    calls = []
    outputs = [rs.AssetDef("x", partitions_def=first), rs.AssetDef("y", partitions_def=second)]

    @rs.Asset.from_multi(output_defs=outputs, **options)
    def pair(context: rs.AssetExecutionContext) -> dict[str, str]:
        calls.append((context.partition_key, *context.output_selection))
        return {name: f"{name} of {context.partition_key}" for name in context.output_selection}

    return pair, calls


def test_outputs_with_different_keys_run_by_selection():
    pair, calls = both(static("ab"), static("bc"))
    repo = rs.CodeRepository([pair], config=False)
    assert repo.materialize(partition_key="b").materialized_assets == ["x", "y"]
    assert repo.materialize(["x"], partition_key="a").materialized_assets == ["x"]
    assert repo.materialize(["y"], partitions="missing").materialized_assets == ["y"]
    assert calls == [("b", "x", "y"), ("a", "x"), ("c", "y")]
    assert repo.load_node("y", partition_key="c") == "y of c"
    assert [(status.asset, status.partition, status.state) for status in repo.status()] == [
        ("x", "a", "fresh"),
        ("x", "b", "fresh"),
        ("y", "b", "fresh"),
        ("y", "c", "fresh"),
    ]
    for selection in (None, ["pair"], ["y"]):
        with pytest.raises(PartitionValidationError, match="'a'"):
            repo.materialize(selection, partition_key="a")


def test_outputs_with_different_windows_in_other_process(tmp_path):
    pair, _ = both(DAYS, MARCH)
    repo = rs.CodeRepository(
        [pair], default_executor=rs.Executor.parallel(max_workers=1), config=False
    ).override(io_handler=rs.PickleIOHandler(str(tmp_path)))
    with repo:
        assert repo.materialize(partition_key="2024-03-05").materialized_assets == ["x", "y"]
        assert repo.materialize(["x"], partition_key="2024-01-05").materialized_assets == ["x"]
        assert repo.load_node("x", partition_key="2024-01-05") == "x of 2024-01-05"
        assert {status.state for status in repo.status(["x"]) if status.partition == "2024-01-05"} == {
            "fresh"
        }


def test_partitions_of_multi_asset_take_precedence():
    pair, _ = both(static("a"), static("b"), partitions_def=static("z"))
    assert rs.CodeRepository([pair], config=False).materialize(partition_key="z").success


@pytest.mark.parametrize("second", [static("b"), DAYS, None])
def test_outputs_without_common_key_are_refused(second):
    with pytest.raises(AssetDefinitionError, match="'x', 'y'") as failure:
        both(static("a"), second)
    assert isinstance(failure.value, PartitionValidationError)


def test_named_partitions_without_common_key_are_refused():
    pair, _ = both("first", "second")
    definitions = {"first": static("a"), "second": static("b")}
    with pytest.raises(PartitionValidationError, match="'x', 'y'"):
        rs.CodeRepository([pair], partition_defs=definitions, config=False).validate()
