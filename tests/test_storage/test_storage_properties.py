"""Memory and SQLite answer every question alike, whatever happened."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from rivers.storage import Event, Storage
from rivers_core.exceptions import RiversError
from rivers_core.metadata import MetadataValue

ASSETS = ["orders", "a/b", "Ä", "orders2"]
PARTITIONS = [None, "a", "b", "date=d|region=us"]
RUNS = ["r1", "r2", "r3"]
TYPES = ["Materialization", "Materialization", "Observation", "StepFailure", "StepRetry", "StepSkipped"]
STATUSES = ["running", "success", "failure", "canceled", "interrupted"]
KEYS = ["a", "b", "c", "Ü"]

texts = st.none() | st.text(max_size=5)
pairs = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple)
metadata = st.dictionaries(
    st.text(max_size=3),
    st.integers().map(MetadataValue.int)
    | st.text(max_size=5).map(MetadataValue.text)
    | st.floats(allow_nan=False).map(MetadataValue.float_),
    max_size=2,
)
recorded = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(TYPES),
        "run_id": st.sampled_from(RUNS),
        "asset_key": st.sampled_from([*ASSETS, None]),
        "partition_key": st.sampled_from(PARTITIONS),
        "timestamp": st.integers(0, 2**62),
        "metadata": st.none() | metadata,
        "data_version": texts,
        "input_data_versions": pairs,
        "tags": pairs,
        "message": texts,
        "attempt": st.integers(1, 9),
    }
)
operations = st.one_of(
    st.tuples(st.just("record"), recorded),
    st.tuples(st.just("record"), recorded),
    st.tuples(st.just("start"), st.sampled_from(RUNS), pairs),
    st.tuples(st.just("finish"), st.sampled_from(RUNS), st.sampled_from(STATUSES), texts),
    st.tuples(st.just("add"), st.sampled_from(["d1", "d2"]), st.lists(st.sampled_from(KEYS), max_size=3)),
    st.tuples(st.just("delete"), st.sampled_from(["d1", "d2"]), st.sampled_from(KEYS)),
    st.tuples(st.just("prune"), st.integers(0, 3)),
    st.tuples(st.just("ask")),
)


def apply(storage, operation):
    match operation:
        case ("record", fields):
            storage.record(Event(**fields))
        case ("start", run_id, tags):
            storage.start_run(run_id, tags=tags, steps=ASSETS)
        case ("finish", run_id, status, message):
            storage.finish_run(run_id, status, message)
        case ("add", name, keys):
            storage.add_dynamic_partitions(name, keys)
        case ("delete", name, key):
            storage.delete_dynamic_partition(name, key)
        case ("prune", keep):
            return storage.prune_runs(keep=keep, dry_run=False)
        case ("ask",):
            return answers(storage)
    return None


def answers(storage):
    events = [storage.get_events_for_run(run_id) for run_id in RUNS]
    return {
        "events": events,
        "ids": [[event.id for event in run] for run in events],
        "of assets": [storage.get_events_for_asset(asset, limit) for asset in ASSETS for limit in (2, None)],
        "latest": [storage.get_latest_materialization(a, p) for a in ASSETS for p in (*PARTITIONS, "never")],
        "by partition": [list(storage.get_latest_materializations(asset).items()) for asset in ASSETS],
        "all": {
            name: [*latest.items()]
            for name, latest in storage.get_all_latest_materializations().items()
            if latest
        },
        "partitions": [storage.get_materialized_partitions(asset) for asset in ASSETS],
        "record": [storage.get_asset_record(asset) for asset in ASSETS],
        "records": storage.get_asset_records(),
        "run": [storage.get_run(run_id) for run_id in RUNS],
        "runs": [storage.get_runs(limit, status) for limit in (1, None) for status in (None, *STATUSES)],
        "keys": [storage.get_dynamic_partitions(name) for name in ("d1", "d2")],
        "has": [storage.has_dynamic_partition("d1", key) for key in KEYS],
    }


def outcome(storage, operation, now):
    with patch("rivers.storage.base.time_ns", lambda: now):
        try:
            return apply(storage, operation)
        except RiversError as error:
            return type(error), str(error)


@settings(max_examples=30)
@given(st.lists(operations, max_size=25))
def test_storages_agree_after_any_operations(sequence):
    memory = Storage.memory()
    with tempfile.TemporaryDirectory() as folder, Storage.embedded(folder) as embedded:
        for now, operation in enumerate(sequence):
            assert outcome(memory, operation, now) == outcome(embedded, operation, now)
        assert answers(memory) == answers(embedded)
        with Storage.embedded(folder) as reopened:
            assert answers(memory) == answers(reopened)


def test_storages_agree_after_refused_operation(tmp_path):
    memory, embedded = Storage.memory(), Storage.embedded(tmp_path)
    for storage in (memory, embedded):
        apply(storage, ("start", "r1", ()))
        for refused in (
            ("start", "r1", ()),
            ("finish", "r2", "success", None),
            ("finish", "r1", "running", "x"),
        ):
            with suppress(RiversError):
                apply(storage, refused)
    assert [len(run) for run in answers(memory)["events"]] == [1, 0, 0]
    assert [len(run) for run in answers(embedded)["events"]] == [1, 0, 0]
