"""`rivers log --export`."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from rivers.storage import Event, Storage


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_export_writes_all_events_as_json_lines(run):
    run.ok("materialize", "counts")
    assert run.ok("log", "--export", "events.jsonl", "--json").document["file"] == "events.jsonl"
    exported = lines(run.path / "events.jsonl")
    with Storage.embedded(run.path / ".rivers") as storage:
        events = storage.get_events_after(0, None)
    assert [item["id"] for item in exported] == [event.id for event in events]
    assert [item["event"] for item in exported] == [event.event_type for event in events]


def test_export_writes_parquet_that_equals_json_lines(run):
    run.ok("log", "--export", "events.parquet")
    run.ok("log", "--export", "events.ndjson")
    table = pq.read_table(run.path / "events.parquet")
    exported = lines(run.path / "events.ndjson")
    assert table.column("run_id").to_pylist() == [item["run_id"] for item in exported]
    metadata = [dict(pairs) for pairs in table.column("metadata").to_pylist()]
    assert metadata == [item["metadata"] for item in exported]
    assert table.column("at").cast("int64").to_pylist() == [item["timestamp"] for item in exported]


def test_export_of_asset_and_of_run(run):
    run.ok("materialize", "counts")
    run.ok("log", "counts", "--export", "asset.jsonl")
    exported = lines(run.path / "asset.jsonl")
    assert {item["asset"] for item in exported} == {"counts"}
    assert len({item["run_id"] for item in exported}) == 2
    run_id = exported[0]["run_id"]
    run.ok("log", run_id[:8], "--export", "run.jsonl")
    assert {item["run_id"] for item in lines(run.path / "run.jsonl")} == {run_id}
    assert len(lines(run.path / "run.jsonl")) > 2


def test_export_reads_in_batches(run):
    with Storage.embedded(run.path / ".rivers") as storage:
        before = len(storage.get_events_after(0, None))
        for number in range(2500):
            storage.record(Event("Observation", run_id="many", asset_key="counts", data_version=str(number)))
    run.ok("log", "--export", "events.parquet")
    assert pq.read_metadata(run.path / "events.parquet").num_rows == before + 2500


def test_export_rejects_other_suffix_and_keeps_old_file(run):
    (run.path / "events.csv").write_text("old")
    assert run.rivers("log", "--export", "events.csv").code == 2
    assert (run.path / "events.csv").read_text() == "old"
    assert run.rivers("log", "nothing", "--export", "events.jsonl").code == 2
    assert not (run.path / "events.jsonl").exists()
