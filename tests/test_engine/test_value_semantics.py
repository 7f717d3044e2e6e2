"""Value classes: equality, hash, pickle, copy, immutability and repr."""

from __future__ import annotations

import copy
import pickle
from datetime import date, datetime, timedelta

import pytest

import rivers as rs

M, D, P = rs.MetadataValue, rs.PartitionsDefinition, rs.PartitionMapping

METADATA = [
    M.text("x"),
    M.int(1),
    M.float_(1.5),
    M.bool_(True),
    M.url("https://example.org"),
    M.path("/a"),
    M.json({"a": [1]}),
    M.md("**x**"),
    M.timestamp(datetime(2024, 1, 1)),
    M.null(),
    M.bytes(b"x"),
    M.duration(timedelta(seconds=3)),
    M.sql("SELECT 1", dialect="postgres"),
    M.code_block("x = 1", language="python"),
    M.image(b"\x89PNG\r\n"),
    M.percentage(50),
    M.list_([1, "a"]),
    M.date_range(date(2024, 1, 1), date(2024, 1, 3)),
    M.data_version("v1"),
]

PARTITIONS = [
    D.static_(["a", "b"]),
    D.daily("2024-01-01", end="2024-02-01"),
    D.multi({"a": D.static_(["x"]), "b": D.static_(["y"])}),
    D.dynamic("customers"),
    rs.PartitionKey.single(["a", "b"]),
    rs.PartitionKey.multi({"a": "x", "b": ["y", "z"]}),
    rs.PartitionKeyRange.single("a", "b"),
    rs.PartitionKeyRange.multi({"a": ("x", "x"), "b": ["y"]}),
    rs.PartitionContext([rs.PartitionKey.single("a")], D.static_(["a"])),
    P.identity(),
    P.all_partitions(),
    P.static_({"a": "b"}),
    P.time_window(-1),
    P.specific_partitions(["a"]),
    P.multi({"a": P.identity()}),
    P.multi_to_single("a"),
    P.for_keys(["a"]),
    P.subset(),
]

DEFINITIONS = [
    rs.AssetDef("a", tags=["x"], metadata={"k": [1]}),
    rs.AssetDef.input("a", metadata={"k": 1}),
    rs.AssetDef.dep("a"),
    rs.Compute(cpu=2, memory="4Gi"),
    rs.RetryPolicy(3, backoff=rs.Backoff.exponential(1), retry_on=rs.RetryOn.TRANSIENT),
    rs.Backoff.fixed([1, 10]),
    rs.RetryOn.ALL,
    rs.FailureReason.TIMEOUT,
    rs.Executor.in_process(),
]

RESULTS = [
    rs.Output([1], metadata={"a": 1}, data_version="v", tags={"k": "v"}),
    rs.Output[int](1),
    rs.Materialization(metadata={"a": 1}),
    rs.Observation(metadata={"a": 1}),
    rs.PartitionedOutput({"a": 1}),
]

ALL = [*METADATA, *PARTITIONS, *DEFINITIONS, *RESULTS]


def shown(value: object) -> str:
    return repr(value)[:60]


@pytest.mark.parametrize("value", ALL, ids=shown)
def test_value_is_equal_after_pickle_and_copy(value):
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert copy.copy(value) == value
    assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
    assert value != "something else"


@pytest.mark.parametrize("value", [*METADATA, *PARTITIONS, *RESULTS], ids=shown)
def test_value_is_immutable(value):
    with pytest.raises(AttributeError):
        value.value = 1
    with pytest.raises(AttributeError):
        value.something_new = 1


@pytest.mark.parametrize("value", [v for v in METADATA if "datetime" not in repr(v)], ids=shown)
def test_metadata_repr_is_constructor_call(value):
    assert eval(repr(value), {"MetadataValue": M}) == value


@pytest.mark.parametrize("value", [v for v in PARTITIONS if "Context" not in repr(v)], ids=shown)
def test_partitions_repr_is_constructor_call(value):
    names = {
        "PartitionsDefinition": D,
        "PartitionKey": rs.PartitionKey,
        "PartitionKeyRange": rs.PartitionKeyRange,
        "PartitionMapping": P,
    }
    assert eval(repr(value), names) == value


def test_run_result_is_a_value(repository):
    repo = repository(rs.Asset(lambda: 1, name="a"))
    result = repo.materialize()
    (event,) = repo.storage.get_events_for_asset("a", with_steps=False)
    for value in (result, event, repo.storage.get_run(result.run_id), *repo.status()):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(value) == hash(copy.deepcopy(value))


def test_repr_of_handlers_and_definitions():
    assert str(rs.InMemoryIOHandler()) == repr(rs.InMemoryIOHandler()) == "InMemoryIOHandler()"
    asset = rs.Asset(lambda: 1, name="a")
    assert [
        repr(one) for one in (asset, rs.Job("j", [asset]), rs.Storage.memory(), rs.Executor.in_process())
    ] == [
        "SingleAsset('a')",
        "Job('j', assets=['a'])",
        "Storage.memory()",
        "Executor.InProcess()",
    ]
