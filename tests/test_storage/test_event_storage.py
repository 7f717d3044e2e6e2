"""Behavior that every event storage shares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import Enum

import pytest

import rivers.storage
from rivers.exceptions import ConflictError, PartitionDefinitionError, RiversError, StorageError
from rivers.storage import Event, Storage
from rivers_core.partitions import PartitionKey


def materialization(asset="orders", partition=None, version=None, run_id="r"):
    return Event(
        "Materialization", run_id=run_id, asset_key=asset, partition_key=partition, data_version=version
    )


def versions(events):
    return [event.data_version for event in events]


def types(events):
    return [event.event_type for event in events]


def test_storage_is_instance_of_event_storage(storage):
    assert isinstance(storage, Storage)


def test_record_assigns_ascending_ids(storage):
    events = [materialization(version=str(n)) for n in range(3)]
    for event in events:
        storage.record(event)
    storage.flush()
    assert [event.id for event in events] == [1, 2, 3]
    assert [event.id for event in storage.get_events_for_run("r")] == [1, 2, 3]


def test_recorded_events_read_back_equal(storage):
    event = materialization(version="v")
    storage.record(event)
    assert storage.get_events_for_asset("orders") == [event]


def test_get_events_for_asset_newest_first_with_limit(storage):
    for n in range(5):
        storage.record(materialization(version=str(n)))
        storage.record(materialization("other", version="x"))
    assert versions(storage.get_events_for_asset("orders", limit=3)) == ["4", "3", "2"]
    assert len(storage.get_events_for_asset("orders", limit=None)) == 5
    assert storage.get_events_for_asset("orders", limit=0) == []


def test_get_events_for_asset_default_limit(storage):
    for n in range(101):
        storage.record(materialization(version=str(n)))
    assert len(storage.get_events_for_asset("orders")) == 100


def test_get_events_for_run_oldest_first(storage):
    for n in range(150):
        storage.record(materialization(version=str(n)))
    storage.record(materialization(run_id="other"))
    assert versions(storage.get_events_for_run("r")) == [str(n) for n in range(150)]


def test_queries_of_empty_storage(storage):
    assert storage.get_events_for_asset("nothing") == []
    assert storage.get_events_for_run("nothing") == []
    assert storage.get_latest_materialization("nothing") is None
    assert storage.get_latest_materialization("nothing", "p") is None
    assert storage.get_latest_materializations("nothing") == {}
    assert storage.get_materialized_partitions("nothing") == []
    assert storage.get_asset_record("nothing") is None
    assert storage.get_asset_records() == []
    assert storage.get_run("nothing") is None
    assert storage.get_runs() == []
    assert storage.get_dynamic_partitions("nothing") == []
    assert not storage.has_dynamic_partition("nothing", "a")


def test_queries_see_later_events(storage):
    storage.record(materialization(version="1"))
    assert versions(storage.get_events_for_asset("orders")) == ["1"]
    storage.record(materialization(version="2"))
    assert versions(storage.get_events_for_asset("orders")) == ["2", "1"]


def test_get_latest_materialization_of_any_partition(storage):
    storage.record(materialization(partition="a", version="1"))
    storage.record(materialization(partition="b", version="2"))
    storage.record(Event("StepFailure", run_id="r", asset_key="orders"))
    assert storage.get_latest_materialization("orders").data_version == "2"


def test_get_latest_materialization_by_text_or_key(storage):
    storage.record(materialization(partition="a", version="1"))
    storage.record(materialization(partition="a", version="2"))
    storage.record(materialization(partition="b", version="3"))
    assert storage.get_latest_materialization("orders", "a").data_version == "2"
    assert storage.get_latest_materialization("orders", PartitionKey.single("b")).data_version == "3"
    assert storage.get_latest_materialization("orders", "c") is None


def test_get_latest_materialization_by_text_enum(storage):
    class Region(str, Enum):  # noqa: UP042 - StrEnum has another `__str__`
        EU = "eu"

    class Name(str, Enum):  # noqa: UP042 - StrEnum has another `__str__`
        ORDERS = "orders"

    storage.record(materialization(partition="eu", version="1"))
    assert storage.get_latest_materialization(Name.ORDERS, Region.EU).data_version == "1"


def test_get_latest_materialization_by_multi_key(storage):
    storage.record(materialization(partition="date=d|region=us", version="1"))
    key = PartitionKey.multi({"region": "us", "date": "d"})
    assert storage.get_latest_materialization("orders", key).data_version == "1"


def test_get_materialized_partitions_order(storage):
    for partition in ("b", "a", "b", "c", "a"):
        storage.record(materialization(partition=partition))
    storage.record(Event("Observation", run_id="r", asset_key="orders", partition_key="d"))
    assert storage.get_materialized_partitions("orders") == ["b", "a", "c"]


def test_get_latest_materializations_by_partition(storage):
    storage.record(materialization(partition="b", version="1"))
    storage.record(materialization(partition="a", version="2"))
    storage.record(materialization(partition="b", version="3"))
    latest = storage.get_latest_materializations("orders")
    assert {key: event.data_version for key, event in latest.items()} == {"b": "3", "a": "2"}
    assert list(latest) == ["b", "a"]


def test_get_latest_materializations_unpartitioned(storage):
    storage.record(materialization(version="1"))
    assert versions(storage.get_latest_materializations("orders").values()) == ["1"]
    assert list(storage.get_latest_materializations("orders")) == [None]
    assert storage.get_materialized_partitions("orders") == []


def test_asset_record_counts(storage):
    for partition in ("a", "b", "a"):
        storage.record(materialization(partition=partition, version=partition))
    storage.record(Event("StepFailure", run_id="later", asset_key="orders", message="no"))
    record = storage.get_asset_record("orders")
    assert (record.asset_key, record.materialization_count, record.partition_count) == ("orders", 3, 2)
    assert record.last_event.message == "no"
    assert record.last_run_id == "later"
    assert record.last_materialization.data_version == "a"


def test_asset_record_of_failed_asset(storage):
    storage.record(Event("StepFailure", run_id="r", asset_key="orders"))
    record = storage.get_asset_record("orders")
    assert record.last_materialization is None
    assert (record.materialization_count, record.partition_count) == (0, 0)


def test_get_asset_records_sorted_by_name(storage):
    for asset in ("b", "a", "Ä", "B"):
        storage.record(materialization(asset))
    assert [record.asset_key for record in storage.get_asset_records()] == ["B", "a", "b", "Ä"]


def test_start_run_and_finish_run(storage):
    started = storage.start_run(
        "r1", job="nightly", tags=[("team", "data")], steps=["a", "b"], selection=["b"], partition_key="p"
    )
    assert started.status == "Started"
    assert storage.get_run("r1") == started
    assert (started.job_name, started.node_names, started.selection) == ("nightly", ["a", "b"], ("b",))
    assert (started.tags, started.partition_key) == ([("team", "data")], "p")
    assert started.end_time is None
    assert started.duration_ns is None

    ended = storage.finish_run("r1", "failure", message="step b failed")
    assert storage.get_run("r1") == ended
    assert (ended.status, ended.message, ended.node_names) == ("Failure", "step b failed", ["a", "b"])
    assert ended.end_time >= ended.start_time
    assert ended.duration_ns == ended.end_time - ended.start_time


@pytest.mark.parametrize(
    ("status", "event_type"),
    [
        ("success", "RunSuccess"),
        ("failure", "RunFailure"),
        ("canceled", "RunCanceled"),
        ("interrupted", "RunInterrupted"),
    ],
)
def test_run_start_and_end_are_events(storage, status, event_type):
    storage.start_run("r1", tags=[("k", "v")])
    storage.record(materialization(run_id="r1"))
    storage.finish_run("r1", status, message="why")
    events = storage.get_events_for_run("r1")
    assert types(events) == ["RunStart", "Materialization", event_type]
    assert events[-1].message == "why"
    assert events[-1].tags == [("k", "v")]
    assert events[-1].duration_ns == storage.get_run("r1").duration_ns


def test_start_run_accepts_partition_key_object(storage):
    storage.start_run("r1", partition_key=PartitionKey.single(["a", "b"]))
    assert storage.get_run("r1").partition_key == "a,b"


def test_get_runs_order_limit_and_status(storage):
    for run_id in ("r1", "r2", "r3"):
        storage.start_run(run_id)
    storage.finish_run("r2", "success")
    assert [run.run_id for run in storage.get_runs()] == ["r3", "r2", "r1"]
    assert [run.run_id for run in storage.get_runs(limit=2)] == ["r3", "r2"]
    assert [run.run_id for run in storage.get_runs(limit=None, status="running")] == ["r3", "r1"]
    assert [run.run_id for run in storage.get_runs(status="success")] == ["r2"]


def test_start_run_again_keeps_events(storage):
    storage.start_run("r1")
    storage.finish_run("r1", "failure", message="no")
    storage.start_run("r2")
    storage.start_run("r1")
    assert storage.get_run("r1").status == "Started"
    assert storage.get_run("r1").message is None
    assert [run.run_id for run in storage.get_runs()] == ["r1", "r2"]
    assert types(storage.get_events_for_run("r1")) == ["RunStart", "RunFailure", "RunStart"]


def test_start_run_rejects_running_run(storage):
    storage.start_run("r1")
    with pytest.raises(ConflictError, match="'r1' is already running"):
        storage.start_run("r1")
    assert types(storage.get_events_for_run("r1")) == ["RunStart"]


def test_finish_run_replaces_status(storage):
    storage.start_run("r1")
    storage.finish_run("r1", "interrupted")
    storage.finish_run("r1", "success")
    assert storage.get_run("r1").status == "Success"


def test_finish_run_rejects_unknown_run(storage):
    with pytest.raises(StorageError, match="'r1': it was never started"):
        storage.finish_run("r1", "success")


def test_unknown_run_status_lists_known_ones(storage):
    storage.start_run("r1")
    with pytest.raises(StorageError, match="Success, Failure.*got 'running'"):
        storage.finish_run("r1", "running")
    with pytest.raises(StorageError, match="Started, Success.*got 'done'"):
        storage.get_runs(status="done")


def test_negative_limit_is_rejected(storage):
    with pytest.raises(StorageError, match="-1"):
        storage.get_runs(limit=-1)
    with pytest.raises(RiversError, match="None for all"):
        storage.get_events_for_asset("orders", limit=-5)


def test_dynamic_partitions_keep_insertion_order(storage):
    storage.add_dynamic_partitions("customers", ["b", "a"])
    storage.add_dynamic_partitions("customers", ["a", "c", "c"])
    storage.add_dynamic_partitions("regions", ["x"])
    assert storage.get_dynamic_partitions("customers") == ["b", "a", "c"]
    assert storage.has_dynamic_partition("customers", "c")
    assert not storage.has_dynamic_partition("regions", "c")


def test_delete_dynamic_partition(storage):
    storage.add_dynamic_partitions("customers", ["a", "b"])
    storage.delete_dynamic_partition("customers", "a")
    storage.delete_dynamic_partition("customers", "never there")
    storage.delete_dynamic_partition("nothing", "a")
    assert storage.get_dynamic_partitions("customers") == ["b"]
    storage.add_dynamic_partitions("customers", ["a"])
    assert storage.get_dynamic_partitions("customers") == ["b", "a"]


@pytest.mark.parametrize("bad", ["", "a,b", "a|b", 3, None])
def test_add_dynamic_partitions_is_atomic(storage, bad):
    with pytest.raises(PartitionDefinitionError):
        storage.add_dynamic_partitions("customers", ["good", bad])
    assert storage.get_dynamic_partitions("customers") == []


def test_add_dynamic_partitions_rejects_plain_text(storage):
    with pytest.raises(PartitionDefinitionError, match=r"Use \['abc'\]"):
        storage.add_dynamic_partitions("customers", "abc")
    with pytest.raises(PartitionDefinitionError, match="needs a name"):
        storage.add_dynamic_partitions("", ["a"])


def test_concurrent_threads_lose_no_event(storage):
    def work(worker):
        for n in range(300):
            storage.record(materialization(f"asset{worker}", partition=str(n), run_id=f"r{worker}"))
            if n % 100 == 0:
                storage.get_events_for_asset(f"asset{worker}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    events = [event for worker in range(4) for event in storage.get_events_for_run(f"r{worker}")]
    assert sorted(event.id for event in events) == list(range(1, 1201))
    for worker in range(4):
        assert storage.get_materialized_partitions(f"asset{worker}") == [str(n) for n in range(300)]


def test_closed_storage_reopens_on_use(storage):
    storage.record(materialization(version="1"))
    storage.close()
    storage.record(materialization(version="2"))
    assert versions(storage.get_events_for_asset("orders")) == ["2", "1"]


def test_package_exports():
    assert all(hasattr(rivers.storage, name) for name in rivers.storage.__all__)


def test_memory_storage_pickles_empty():
    import pickle

    storage = Storage.memory()
    storage.record(materialization())
    copy = pickle.loads(pickle.dumps(storage))
    assert copy.get_events_for_asset("orders") == []
    assert repr(copy) == "Storage.memory()"


def test_get_all_latest_materializations(storage):
    assert storage.get_all_latest_materializations() == {}
    storage.record(materialization("orders", "a", "1"))
    storage.record(materialization("orders", "a", "2"))
    storage.record(materialization("report"))
    latest = storage.get_all_latest_materializations()
    assert latest == {name: storage.get_latest_materializations(name) for name in ("orders", "report")}
    assert versions(latest["orders"].values()) == ["2"]
