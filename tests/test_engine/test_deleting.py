"""Delete stored values: the store, the event log, the status, and values of assets that are gone."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers.exceptions import (
    GraphValidationError,
    NodeNotFoundError,
    NotMaterializedError,
    PartitionValidationError,
)
from rivers.repository.deleting import delete_values, find_orphans

KEYS = rs.PartitionsDefinition.static_(["a", "b"])


@rs.Asset(partitions_def=KEYS)
def sales() -> int:
    return 1


@rs.Asset
def total(sales: dict[str, int]) -> int:
    return sum(sales.values())


@rs.Asset.from_multi(output_defs=[rs.AssetDef("low"), rs.AssetDef("high")])
def bounds() -> dict[str, int]:
    return {"low": 0, "high": 9}


@rs.Task
def numbers() -> list[int]:
    return [1, 2]


@rs.Task
def double(number: int) -> int:
    return number * 2


@rs.Task
def summed(values: list[int]) -> int:
    return sum(values)


@rs.Asset.from_graph
def doubled() -> int:
    return summed(numbers().map(double).collect())


@pytest.fixture
def files(tmp_path):
    return lambda: sorted(
        path.relative_to(tmp_path / "data").as_posix()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    )


@pytest.fixture(params=["memory", "embedded"])
def storage(request, tmp_path):
    with (
        rs.Storage.memory() if request.param == "memory" else rs.Storage.embedded(tmp_path / "log") as storage
    ):
        yield storage


@pytest.fixture
def repository(storage, tmp_path):
    def create(*assets, **arguments):
        handler = rs.PickleIOHandler(str(tmp_path / "data"))
        return rs.CodeRepository([*assets], resources={"files": handler}, config=False, **arguments).override(
            io_handler="files"
        ).resolve(storage)  # fmt: skip

    return create


def states(repo):
    return {(status.asset, status.partition): status.state for status in repo.status()}


def test_delete_removes_value_and_records_it(repository, storage, files):
    repo = repository(sales, total)
    repo.materialize(partitions="all")
    assert repo.delete(sales, partition_key="a") == [("sales", "a")]
    assert files() == ["sales/b/data.pkl", "total.pkl"]
    assert states(repo)["sales", "a"] == "missing"
    assert states(repo)["sales", "b"] == "fresh"
    assert storage.get_materialized_partitions("sales") == ["b"]
    assert storage.get_latest_materialization("sales", "a") is None
    assert storage.get_asset_record("sales").materialization_count == 1
    event = storage.get_events_for_asset("sales")[0]
    assert (event.event_type, event.partition_key, event.handler) == ("Deletion", "a", "files")
    run = storage.get_run(event.run_id)
    assert (run.status, run.selection) == ("Success", ("sales",))
    with pytest.raises(NotMaterializedError):
        repo.load_node("sales", partition_key="a")
    assert repo.materialize(["sales"], partitions="missing").materialized_assets == ["sales"]
    assert storage.get_materialized_partitions("sales") == ["b", "a"]


def test_delete_without_key_removes_all_partitions(repository, files):
    repo = repository(sales, total)
    repo.materialize(partitions="all")
    assert repo.delete("sales") == [("sales", "a"), ("sales", "b")]
    assert repo.delete("sales") == []
    assert repo.delete("total") == [("total", None)]
    assert files() == []


def test_delete_of_multi_asset_and_output(repository, files):
    repo = repository(bounds)
    repo.materialize()
    assert repo.delete("low") == [("low", None)]
    assert states(repo) == {("low", None): "missing", ("high", None): "fresh"}
    assert repo.delete("bounds") == [("high", None)]
    assert files() == []


def test_delete_records_nothing_for_what_is_not_stored(repository, storage, files):
    repo = repository(sales, total)
    repo.materialize(["sales"], partition_key="a")
    assert repo.delete("total") == repo.delete("sales", partition_key="b") == []
    assert repo.delete("sales", partition_key=["a", "b"]) == [("sales", "a")]
    assert repo.delete("sales", partition_key="a") == []
    assert [event.event_type for event in storage.get_events_for_asset("sales", with_steps=False)] == [
        "Deletion",
        "Materialization",
    ]
    assert [len(storage.get_runs()), files()] == [2, []]


def test_delete_removes_a_value_that_no_event_records(repository, storage):
    repo = repository(sales, total)
    handler = repo.io_handler_for_output("total")
    handler.handle_output(rs.OutputContext("total"), 7)  # such as a run that was killed before it recorded it
    assert repo.delete("total") == [("total", None)]
    assert not handler.exists(rs.InputContext("total", "test"))


def test_delete_of_graph_removes_its_nodes(repository, files):
    repo = repository(doubled)
    repo.materialize()
    names = [name for name, _ in repo.delete("doubled")]
    assert names[0] == "doubled"
    assert {"doubled/double__0", "doubled/double__1", "doubled/summed"} <= set(names)
    assert files() == []


def test_delete_survives_materializations_of_one_batch(repository, storage):
    repo = repository(sales)
    for _ in range(2):
        repo.materialize(partitions="all")
        repo.delete("sales", partition_key=["a"])
    repo.materialize(["sales"], partition_key="a")
    assert storage.get_asset_record("sales").materialization_count == 3
    assert storage.get_latest_materializations("sales").keys() == {"a", "b"}


def test_delete_refuses_what_no_handler_stores(repository):
    @rs.Asset
    def elsewhere() -> rs.Materialization:
        return rs.Materialization()

    outside = rs.Asset.external(name="outside", io_handler=rs.InMemoryIOHandler())
    repo = repository(outside, elsewhere, sales, total)
    for name in ("outside", "elsewhere"):
        with pytest.raises(GraphValidationError, match=name):
            repo.delete(name)
    with pytest.raises(NodeNotFoundError):
        repo.delete("sale")
    with pytest.raises(PartitionValidationError):
        repo.delete("sales", partition_key="c")
    with pytest.raises(PartitionValidationError):
        repo.delete("total", partition_key="a")


def test_delete_reports_handler_that_cannot(storage):
    class Writes(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            pass

        def load_input(self, context):
            return 1

    repo = rs.CodeRepository([rs.Asset(lambda: 1, name="a", io_handler=Writes())], config=False).resolve(
        storage
    )
    repo.materialize()
    with pytest.raises(rs.exceptions.RiversError, match="'a'"):
        repo.delete("a")
    assert storage.get_runs()[0].status == "Failure"
    assert states(repo) == {("a", None): "fresh"}


def test_orphans_are_values_of_assets_that_are_gone(repository, storage, files):
    old = repository(sales, total, doubled)
    old.materialize(partitions="all")
    renamed = rs.Asset(lambda: 1, name="renamed", partitions_def=KEYS)
    repo = repository(renamed, doubled)
    repo.materialize(partitions="all")
    handler = repo.io_handler_for_output("renamed")
    orphans = find_orphans(repo.graph, storage, "files", handler)
    values = [(orphan.asset, partition) for orphan in orphans for partition in orphan.partitions]
    assert values == [("sales", "a"), ("sales", "b"), ("total", None)]
    assert find_orphans(repo.graph, storage, "other", handler) == []
    delete_values(orphans, storage)
    assert find_orphans(repo.graph, storage, "files", handler) == []
    assert not [name for name in files() if name.startswith(("sales", "total"))]
    assert repo.load_node("doubled") == 6


@pytest.mark.parametrize("key", [{"day": "x=1", "region": "us"}, "k=1"])
def test_orphans_with_unusual_keys(repository, storage, key):
    definition = (
        rs.PartitionsDefinition.static_([key])
        if isinstance(key, str)
        else rs.PartitionsDefinition.multi(
            {name: rs.PartitionsDefinition.static_([k]) for name, k in key.items()}
        )
    )
    repository(rs.Asset(lambda: 1, name="old", partitions_def=definition)).materialize(partitions="all")
    repo = repository(total, sales)
    orphans = find_orphans(repo.graph, storage, "files", repo.io_handler_for_output("total"))
    assert [(orphan.asset, orphan.partitions) for orphan in orphans] == [
        ("old", (str(rs.PartitionKey(key)),))
    ]
