"""What holds for every kind of storage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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


def test_a_storage_is_a_storage_to_isinstance(storage):
    assert isinstance(storage, Storage)


def test_recorded_events_get_growing_ids(storage):
    events = [materialization(version=str(n)) for n in range(3)]
    for event in events:
        storage.record(event)
    storage.flush()
    assert [event.id for event in events] == [1, 2, 3]
    assert [event.id for event in storage.get_events_for_run("r")] == [1, 2, 3]


def test_what_was_recorded_reads_back_equal(storage):
    event = materialization(version="v")
    storage.record(event)
    assert storage.get_events_for_asset("orders") == [event]


def test_events_of_an_asset_come_newest_first_up_to_the_limit(storage):
    for n in range(5):
        storage.record(materialization(version=str(n)))
        storage.record(materialization("other", version="x"))
    assert versions(storage.get_events_for_asset("orders", limit=3)) == ["4", "3", "2"]
    assert len(storage.get_events_for_asset("orders", limit=None)) == 5
    assert storage.get_events_for_asset("orders", limit=0) == []


def test_a_hundred_events_are_the_default_limit(storage):
    for n in range(101):
        storage.record(materialization(version=str(n)))
    assert len(storage.get_events_for_asset("orders")) == 100


def test_events_of_a_run_come_oldest_first_and_all(storage):
    for n in range(150):
        storage.record(materialization(version=str(n)))
    storage.record(materialization(run_id="other"))
    assert versions(storage.get_events_for_run("r")) == [str(n) for n in range(150)]


def test_what_nobody_recorded_is_empty_or_none(storage):
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


def test_questions_in_between_see_later_events_too(storage):
    storage.record(materialization(version="1"))
    assert versions(storage.get_events_for_asset("orders")) == ["1"]
    storage.record(materialization(version="2"))
    assert versions(storage.get_events_for_asset("orders")) == ["2", "1"]


def test_the_latest_materialization_without_a_partition_is_the_newest_of_any(storage):
    storage.record(materialization(partition="a", version="1"))
    storage.record(materialization(partition="b", version="2"))
    storage.record(Event("StepFailure", run_id="r", asset_key="orders"))
    assert storage.get_latest_materialization("orders").data_version == "2"


def test_the_latest_materialization_of_a_partition_takes_text_or_a_key(storage):
    storage.record(materialization(partition="a", version="1"))
    storage.record(materialization(partition="a", version="2"))
    storage.record(materialization(partition="b", version="3"))
    assert storage.get_latest_materialization("orders", "a").data_version == "2"
    assert storage.get_latest_materialization("orders", PartitionKey.single("b")).data_version == "3"
    assert storage.get_latest_materialization("orders", "c") is None


def test_a_key_of_several_dimensions_finds_its_display_form(storage):
    storage.record(materialization(partition="date=d|region=us", version="1"))
    key = PartitionKey.multi({"region": "us", "date": "d"})
    assert storage.get_latest_materialization("orders", key).data_version == "1"


def test_materialized_partitions_come_in_the_order_of_their_first_materialization(storage):
    for partition in ("b", "a", "b", "c", "a"):
        storage.record(materialization(partition=partition))
    storage.record(Event("Observation", run_id="r", asset_key="orders", partition_key="d"))
    assert storage.get_materialized_partitions("orders") == ["b", "a", "c"]


def test_the_latest_of_every_partition_comes_in_one_answer(storage):
    storage.record(materialization(partition="b", version="1"))
    storage.record(materialization(partition="a", version="2"))
    storage.record(materialization(partition="b", version="3"))
    latest = storage.get_latest_materializations("orders")
    assert {key: event.data_version for key, event in latest.items()} == {"b": "3", "a": "2"}
    assert list(latest) == ["b", "a"]


def test_an_asset_without_partitions_has_its_latest_under_none(storage):
    storage.record(materialization(version="1"))
    assert versions(storage.get_latest_materializations("orders").values()) == ["1"]
    assert list(storage.get_latest_materializations("orders")) == [None]
    assert storage.get_materialized_partitions("orders") == []


def test_an_asset_record_counts_materializations_and_partitions(storage):
    for partition in ("a", "b", "a"):
        storage.record(materialization(partition=partition, version=partition))
    storage.record(Event("StepFailure", run_id="later", asset_key="orders", message="no"))
    record = storage.get_asset_record("orders")
    assert (record.asset_key, record.materialization_count, record.partition_count) == ("orders", 3, 2)
    assert record.last_event.message == "no"
    assert record.last_run_id == "later"
    assert record.last_materialization.data_version == "a"


def test_an_asset_that_only_failed_has_a_record_without_materialization(storage):
    storage.record(Event("StepFailure", run_id="r", asset_key="orders"))
    record = storage.get_asset_record("orders")
    assert record.last_materialization is None
    assert (record.materialization_count, record.partition_count) == (0, 0)


def test_asset_records_are_sorted_by_name(storage):
    for asset in ("b", "a", "Ä", "B"):
        storage.record(materialization(asset))
    assert [record.asset_key for record in storage.get_asset_records()] == ["B", "a", "b", "Ä"]


def test_a_run_starts_running_and_ends_as_said(storage):
    started = storage.start_run(
        "r1", job="nightly", tags=[("team", "data")], steps=["a", "b"], selection=["b"], partition_key="p"
    )
    assert started.status == "running"
    assert storage.get_run("r1") == started
    assert (started.job, started.steps, started.selection) == ("nightly", ("a", "b"), ("b",))
    assert (started.tags, started.partition_key) == ((("team", "data"),), "p")
    assert started.end_time is None
    assert started.duration_ns is None

    ended = storage.finish_run("r1", "failure", message="step b failed")
    assert storage.get_run("r1") == ended
    assert (ended.status, ended.message, ended.steps) == ("failure", "step b failed", ("a", "b"))
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
def test_start_and_end_of_a_run_are_events(storage, status, event_type):
    storage.start_run("r1", tags=[("k", "v")])
    storage.record(materialization(run_id="r1"))
    storage.finish_run("r1", status, message="why")
    events = storage.get_events_for_run("r1")
    assert types(events) == ["RunStart", "Materialization", event_type]
    assert events[-1].message == "why"
    assert events[-1].tags == (("k", "v"),)
    assert events[-1].duration_ns == storage.get_run("r1").duration_ns


def test_a_partition_key_of_a_run_may_be_a_key(storage):
    storage.start_run("r1", partition_key=PartitionKey.single(["a", "b"]))
    assert storage.get_run("r1").partition_key == "a,b"


def test_runs_come_last_started_first_up_to_the_limit_and_by_status(storage):
    for run_id in ("r1", "r2", "r3"):
        storage.start_run(run_id)
    storage.finish_run("r2", "success")
    assert [run.run_id for run in storage.get_runs()] == ["r3", "r2", "r1"]
    assert [run.run_id for run in storage.get_runs(limit=2)] == ["r3", "r2"]
    assert [run.run_id for run in storage.get_runs(limit=None, status="running")] == ["r3", "r1"]
    assert [run.run_id for run in storage.get_runs(status="success")] == ["r2"]


def test_a_run_that_ended_may_start_again_and_keeps_its_events(storage):
    storage.start_run("r1")
    storage.finish_run("r1", "failure", message="no")
    storage.start_run("r2")
    storage.start_run("r1")
    assert storage.get_run("r1").status == "running"
    assert storage.get_run("r1").message is None
    assert [run.run_id for run in storage.get_runs()] == ["r1", "r2"]
    assert types(storage.get_events_for_run("r1")) == ["RunStart", "RunFailure", "RunStart"]


def test_a_run_that_is_running_cannot_start_again(storage):
    storage.start_run("r1")
    with pytest.raises(ConflictError, match="'r1' is running already"):
        storage.start_run("r1")
    assert types(storage.get_events_for_run("r1")) == ["RunStart"]


def test_how_a_run_ended_last_is_how_it_ended(storage):
    storage.start_run("r1")
    storage.finish_run("r1", "interrupted")
    storage.finish_run("r1", "success")
    assert storage.get_run("r1").status == "success"


def test_ending_a_run_that_never_started_says_so(storage):
    with pytest.raises(StorageError, match="'r1' was never started"):
        storage.finish_run("r1", "success")


def test_unknown_statuses_are_refused_with_those_there_are(storage):
    storage.start_run("r1")
    with pytest.raises(StorageError, match="'running'; it is one of success, failure"):
        storage.finish_run("r1", "running")
    with pytest.raises(StorageError, match="'done'; it is one of running, success"):
        storage.get_runs(status="done")


def test_a_negative_limit_is_refused(storage):
    with pytest.raises(StorageError, match="-1"):
        storage.get_runs(limit=-1)
    with pytest.raises(RiversError, match="None returns all"):
        storage.get_events_for_asset("orders", limit=-5)


def test_dynamic_partitions_keep_the_order_in_which_they_were_added(storage):
    storage.add_dynamic_partitions("customers", ["b", "a"])
    storage.add_dynamic_partitions("customers", ["a", "c", "c"])
    storage.add_dynamic_partitions("regions", ["x"])
    assert storage.get_dynamic_partitions("customers") == ["b", "a", "c"]
    assert storage.has_dynamic_partition("customers", "c")
    assert not storage.has_dynamic_partition("regions", "c")


def test_a_deleted_dynamic_partition_is_gone_and_comes_back_last(storage):
    storage.add_dynamic_partitions("customers", ["a", "b"])
    storage.delete_dynamic_partition("customers", "a")
    storage.delete_dynamic_partition("customers", "never there")
    storage.delete_dynamic_partition("nothing", "a")
    assert storage.get_dynamic_partitions("customers") == ["b"]
    storage.add_dynamic_partitions("customers", ["a"])
    assert storage.get_dynamic_partitions("customers") == ["b", "a"]


@pytest.mark.parametrize("bad", ["", "a,b", "a|b", 3, None])
def test_a_bad_dynamic_key_adds_none_of_the_keys(storage, bad):
    with pytest.raises(PartitionDefinitionError):
        storage.add_dynamic_partitions("customers", ["good", bad])
    assert storage.get_dynamic_partitions("customers") == []


def test_plain_text_instead_of_a_list_of_keys_is_refused_with_the_list_to_write(storage):
    with pytest.raises(PartitionDefinitionError, match=r"write \['abc'\]"):
        storage.add_dynamic_partitions("customers", "abc")
    with pytest.raises(PartitionDefinitionError, match="needs a name"):
        storage.add_dynamic_partitions("", ["a"])


def test_threads_that_record_at_once_lose_nothing(storage):
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


def test_a_closed_storage_opens_again_when_it_is_used(storage):
    storage.record(materialization(version="1"))
    storage.close()
    storage.record(materialization(version="2"))
    assert versions(storage.get_events_for_asset("orders")) == ["2", "1"]


def test_the_package_shows_what_belongs_to_it():
    assert all(hasattr(rivers.storage, name) for name in rivers.storage.__all__)


def test_a_memory_storage_arrives_empty_elsewhere():
    import pickle

    storage = Storage.memory()
    storage.record(materialization())
    copy = pickle.loads(pickle.dumps(storage))
    assert copy.get_events_for_asset("orders") == []
    assert repr(copy) == "Storage.memory()"
