from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers.storage import Event, Storage
from rivers_core.metadata import MetadataValue

FULL = {
    "run_id": "r",
    "asset_key": "orders",
    "partition_key": "date=2024-01-01|region=us",
    "timestamp": 1_700_000_000_000_000_001,
    "metadata": {
        "rows": MetadataValue.int(2**80),
        "note": MetadataValue.text("naïve ☃ 'quotes' \"double\" \x00 \n"),
        "ratio": MetadataValue.float_(0.1),
        "query": MetadataValue.sql("SELECT 1", dialect="postgres"),
        "nested": MetadataValue.json({"a": [1, None, {"b": 2.5}]}),
        "raw": MetadataValue.bytes(b"\x00\xff"),
        "nothing": MetadataValue.null(),
        "": MetadataValue.md("# empty name"),
    },
    "data_version": "blake3:0123",
    "code_version": "7",
    "input_data_versions": (("raw", "v1"), ("weather", "v2")),
    "tags": [("team", "dätä"), ("team", "again")],
    "handler": "pickle",
    "step": "orders",
    "attempt": 3,
    "message": "line one\nline two",
    "duration_ns": 12_345_678_901,
}


@pytest.fixture
def embedded(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        yield storage


def test_event_round_trip_through_sqlite(embedded):
    event = Event("Materialization", **FULL)
    embedded.record(event)
    (read,) = embedded.get_events_for_asset("orders", with_steps=False)
    assert read == event
    assert (read.id, read.asset_key, read.run_id) == (1, "orders", "r")
    for name, value in FULL.items():
        if name not in ("metadata", "input_data_versions"):
            assert getattr(read, name) == value, name
    assert dict(read.typed_metadata) == FULL["metadata"]
    assert list(read.typed_metadata) == list(FULL["metadata"])
    assert read.metadata == event.metadata
    assert read.input_data_versions == [("raw", "v1"), ("weather", "v2")]


def test_minimal_event_round_trip_through_sqlite(embedded):
    event = Event("RunStart", run_id="r")
    embedded.record(event)
    (read,) = embedded.get_events_for_run("r")
    assert read == event
    assert (read.metadata, read.input_data_versions, read.tags) == ([], [], [])
    assert (read.asset_key, read.duration_ns, read.attempt) == (None, None, 1)


@given(text=st.text(), number=st.integers(), key=st.text())
def test_event_metadata_round_trip_through_json(text, number, key):
    event = Event(
        "Observation",
        run_id="r",
        metadata={key: MetadataValue.text(text), f"{key}#": MetadataValue.int(number)},
    )
    again = Event("Observation", run_id="r", timestamp=event.timestamp, metadata=event.metadata_json)
    assert again == event
    assert again.metadata == [(key, text), (f"{key}#", str(number))]


def test_sqlite_stores_values_out_of_range_as_text(embedded):
    embedded.start_run("r1")
    for version in ("before", Path("v") / "1", 2**70, "after"):
        embedded._pending.append(Event("Materialization", run_id="r1", asset_key="a", data_version=version))
    read = [event.data_version for event in embedded.get_events_for_run("r1")]
    assert read == [None, "before", str(Path("v") / "1"), str(2**70), "after"]


def test_sqlite_escapes_text_that_is_not_utf8(embedded):
    embedded.record(Event("StepFailure", run_id="r", asset_key="a", message="no such file: \udcff"))
    embedded.record(
        Event("Observation", run_id="r", asset_key="b", metadata={"name": MetadataValue.text("\ud800")})
    )
    first, second = embedded.get_events_for_run("r")
    assert first.message == "no such file: \\udcff"
    assert second.metadata == [("name", "\ud800")]


def test_event_metadata_as_text_and_typed():
    event = Event("Observation", run_id="r", metadata={"rows": MetadataValue.int(3)})
    assert event.metadata == [("rows", "3")]
    assert event.typed_metadata["rows"].raw_value() == 3


def test_event_timestamp_defaults_to_now():
    before = Event("RunStart", run_id="r").timestamp
    assert before <= Event("RunStart", run_id="r").timestamp
    assert Event("RunStart", run_id="r", timestamp=5).timestamp == 5


def test_event_equality_ignores_id():
    one, two = Event("Materialization", **FULL), Event("Materialization", **FULL)
    Storage.memory().record(one)
    assert one == two
    assert hash(one) == hash(two)
    assert one != Event("Materialization", **{**FULL, "data_version": "other"})
    assert one != "Materialization"


def test_event_pickles_and_copies():
    event = Event("Materialization", **FULL)
    Storage.memory().record(event)
    for again in (pickle.loads(pickle.dumps(event)), copy.deepcopy(event)):
        assert again == event
        assert again.id == event.id


def test_event_has_slots_only():
    with pytest.raises(AttributeError):
        Event("RunStart", run_id="r").extra = 1


def test_event_repr_shows_given_fields():
    event = Event("Materialization", run_id="r", asset_key="orders", timestamp=5, data_version="v")
    assert repr(event) == (
        "Event('Materialization', asset_key='orders', run_id='r', timestamp=5, data_version='v')"
    )
