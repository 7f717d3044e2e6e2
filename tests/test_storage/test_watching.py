"""Watching events as they are recorded."""

from __future__ import annotations

import logging

from rivers.storage import Event


def event(version):
    return Event("Materialization", run_id="r", asset_key="orders", data_version=version)


def test_watching_reports_events_after_recording(storage):
    seen = []
    with storage.watching(lambda one: seen.append((one, storage.get_events_for_asset("orders")[0]))):
        storage.record(event("1"))
        storage.record(event("2"))
    assert [(one.data_version, stored.data_version) for one, stored in seen] == [("1", "1"), ("2", "2")]


def test_watching_ends_with_block(storage):
    seen = []
    storage.record(event("1"))
    with storage.watching(seen.append):
        storage.record(event("2"))
    storage.record(event("3"))
    assert [one.data_version for one in seen] == ["2"]
    assert "record" not in vars(storage)


def test_watching_can_be_nested(storage):
    outer, inner = [], []
    with storage.watching(outer.append):
        with storage.watching(inner.append):
            storage.record(event("1"))
        storage.record(event("2"))
    assert [one.data_version for one in outer] == ["1", "2"]
    assert [one.data_version for one in inner] == ["1"]


def test_watching_logs_error_of_watcher(storage, caplog):
    def watcher(one):
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR, "rivers.storage"), storage.watching(watcher):
        storage.record(event("1"))
    assert len(storage.get_events_for_asset("orders")) == 1
    assert "watcher of events raised" in caplog.text
