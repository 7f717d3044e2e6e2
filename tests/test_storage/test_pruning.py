"""Removal of old runs: the current state of every asset stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

import rivers as rs
from rivers.exceptions import StorageError
from rivers.storage import Event, LogRecord, Storage


def run(storage, run_id, *events, status="success"):
    storage.start_run(run_id)
    for event_type, asset, partition, version, *inputs in events:
        storage.record(
            Event(
                event_type,
                run_id=run_id,
                asset_key=asset,
                partition_key=partition,
                data_version=version,
                input_data_versions=inputs,
            )
        )
    storage.record_log(LogRecord(run_id, "step", 1, "INFO", "text"))
    if status is not None:
        storage.finish_run(run_id, status)


def run_ids(storage):
    return [record.run_id for record in storage.get_runs(limit=None)]


def versions(storage, asset):
    return [event.data_version for event in storage.get_events_for_asset(asset, limit=None)]


def test_prune_by_count_keeps_newest_runs(storage):
    for number in range(5):
        run(storage, f"r{number}", ("Materialization", "orders", None, f"v{number}"))
    pruned = storage.prune_runs(keep=2, dry_run=False)
    assert [record.run_id for record in pruned.runs] == ["r2", "r1", "r0"]
    assert (pruned.event_count, pruned.kept_event_count, pruned.log_count) == (9, 0, 3)
    assert run_ids(storage) == ["r4", "r3"]
    assert versions(storage, "orders") == ["v4", "v3"]
    assert storage.get_events_for_run("r0") == []
    assert storage.get_run_logs("r0") == []
    assert storage.get_asset_record("orders").materialization_count == 5


def test_dry_run_of_prune_equals_its_effect(storage):
    for number in range(4):
        run(storage, f"r{number}", ("Materialization", "orders", None, f"v{number}"))
    before = storage.change_token()
    planned = storage.prune_runs(keep=1)
    assert storage.change_token() == before
    assert len(run_ids(storage)) == 4
    assert storage.prune_runs(keep=1, dry_run=False) == planned
    assert storage.prune_runs(keep=1).runs == ()


def test_prune_by_age(storage):
    run(storage, "old")
    assert storage.prune_runs(older_than=timedelta(days=1)).runs == ()
    assert [record.run_id for record in storage.prune_runs(older_than=timedelta(0)).runs] == ["old"]


def test_prune_with_both_limits_requires_both(storage):
    run(storage, "r1")
    run(storage, "r2")
    assert storage.prune_runs(keep=2, older_than=timedelta(0)).runs == ()
    assert storage.prune_runs(keep=0, older_than=timedelta(days=1)).runs == ()
    assert len(storage.prune_runs(keep=1, older_than=timedelta(0)).runs) == 1


def test_latest_materialization_of_each_partition_stays(storage):
    run(storage, "r1", ("Materialization", "orders", "a", "1"), ("Materialization", "orders", "b", "1"))
    run(storage, "r2", ("Materialization", "orders", "a", "2"))
    run(storage, "r3")
    before = storage.get_latest_materializations("orders")
    storage.prune_runs(keep=0, dry_run=False)
    assert storage.get_latest_materializations("orders") == before
    assert storage.get_materialized_partitions("orders") == ["a", "b"]
    assert storage.get_asset_record("orders").partition_count == 2
    assert storage.get_run("r1") is None


def test_inputs_of_current_values_stay(storage):
    run(storage, "r1", ("Materialization", "orders", None, "o1"))
    run(storage, "r2", ("Materialization", "orders", None, "o2"))
    run(storage, "r3", ("Materialization", "total", None, "t1", ("orders", "o1")))
    run(storage, "r4", ("Materialization", "orders", None, "o3"))
    storage.prune_runs(keep=0, dry_run=False)
    assert versions(storage, "orders") == ["o3", "o1"]
    assert versions(storage, "total") == ["t1"]


def test_latest_observation_stays(storage):
    run(storage, "r1", ("Observation", "source", None, "s1"))
    run(storage, "r2", ("Observation", "source", None, "s2"))
    run(storage, "r3", ("StepFailure", "source", None, None), status="failure")
    storage.prune_runs(keep=0, dry_run=False)
    assert [event.event_type for event in storage.get_events_for_asset("source")] == [
        "StepFailure",
        "Observation",
    ]
    assert versions(storage, "source") == [None, "s2"]


def test_running_run_is_never_pruned(storage):
    run(storage, "r1", ("Materialization", "orders", None, "1"), status=None)
    run(storage, "r2")
    storage.prune_runs(keep=0, dry_run=False)
    assert run_ids(storage) == ["r1"]
    assert len(storage.get_events_for_run("r1", with_steps=False)) == 2


def test_superseded_event_of_pruned_run_is_removed_later(storage):
    run(storage, "r1", ("Materialization", "orders", None, "1"))
    run(storage, "r2")
    assert storage.prune_runs(keep=1, dry_run=False).kept_event_count == 1
    run(storage, "r3", ("Materialization", "orders", None, "2"))
    assert storage.prune_runs(keep=1, dry_run=False).event_count == 3
    assert versions(storage, "orders") == ["2"]


def test_number_of_pruned_event_is_not_used_again(storage):
    run(storage, "r1")
    run(storage, "r2")
    storage.prune_runs(keep=0, dry_run=False)
    cursor = max((event.id for event in storage.get_events_after(0)), default=0)
    run(storage, "r3")
    assert [event.id for event in storage.get_events_after(cursor)] == [5, 6]


def test_deleted_value_leaves_nothing_to_keep(storage):
    run(storage, "r1", ("Materialization", "orders", None, "1"))
    run(storage, "r2", ("Deletion", "orders", None, None))
    run(storage, "r3")
    storage.prune_runs(keep=0, dry_run=False)
    assert storage.get_latest_materialization("orders") is None
    assert [event.event_type for event in storage.get_events_for_asset("orders")] == ["Deletion"]


@pytest.mark.parametrize("limits", [{}, {"keep": -1}, {"older_than": timedelta(-1)}])
def test_prune_requires_limit(storage, limits):
    with pytest.raises(StorageError):
        storage.prune_runs(**limits)


def test_status_is_equal_after_prune_and_vacuum(storage):
    @rs.Asset
    def orders() -> int:
        return 1

    @rs.Asset
    def total(orders: int) -> int:
        return orders

    repo = rs.CodeRepository([orders, total], config=False)
    with repo.resolve(storage):
        for _ in range(3):
            repo.materialize()
        repo.materialize(["orders"])
        before = repo.status()
        storage.prune_runs(keep=0, dry_run=False)
        storage.vacuum()
        assert repo.status() == before
        assert repo.load_node("total") == 1


def test_vacuum_returns_space(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        for number in range(20):
            run(storage, f"r{number}", *[("Materialization", "orders", None, "v" * 2000)] * 50)
        file = tmp_path / "rivers.db"
        storage.prune_runs(keep=1, dry_run=False)
        storage.vacuum()
        assert file.stat().st_size < 500_000
        assert len(storage.get_events_for_run("r19", with_steps=False)) == 52


def test_memory_storage_is_bounded():
    storage = Storage.memory(keep_runs=10)
    for number in range(200):
        run(storage, f"r{number}", ("Materialization", f"asset{number % 3}", None, str(number)))
    assert 10 <= len(run_ids(storage)) <= 14
    assert len(storage.get_events_after(0, None)) < 60
    assert storage.get_latest_materialization("asset0").data_version == "198"


def test_memory_storage_with_many_partitions_rarely_reads_all_events(monkeypatch):
    storage = Storage.memory(keep_runs=10)
    sizes = []
    prune_runs = storage.prune_runs

    def prune(**limits):
        sizes.append(len(storage.get_events_after(0, None)))
        return prune_runs(**limits)

    monkeypatch.setattr(storage, "prune_runs", prune)
    for number in range(1000):
        run(storage, f"r{number}", ("Materialization", "orders", str(number), "v"))
    assert len(storage.get_materialized_partitions("orders")) == 1000
    assert sum(sizes) < 10 * 3000  # of a thousand runs with three events each


def test_memory_storage_without_bound():
    storage = Storage.memory(keep_runs=None)
    for number in range(50):
        run(storage, f"r{number}")
    assert len(run_ids(storage)) == 50
    with pytest.raises(StorageError):
        Storage.memory(keep_runs=-1)
