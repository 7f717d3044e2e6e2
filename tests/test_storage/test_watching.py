"""Watching events as they are recorded."""

from __future__ import annotations

import logging

from rivers.storage import Event


def event(version):
    return Event("Materialization", run_id="r", asset_key="orders", data_version=version)


def test_a_watcher_sees_each_event_after_it_was_recorded(storage):
    seen = []
    with storage.watching(lambda one: seen.append((one, storage.get_events_for_asset("orders")[0]))):
        storage.record(event("1"))
        storage.record(event("2"))
    assert [(one.data_version, stored.data_version) for one, stored in seen] == [("1", "1"), ("2", "2")]


def test_nothing_is_seen_before_or_after_the_block(storage):
    seen = []
    storage.record(event("1"))
    with storage.watching(seen.append):
        storage.record(event("2"))
    storage.record(event("3"))
    assert [one.data_version for one in seen] == ["2"]
    assert "record" not in vars(storage)


def test_two_may_watch_and_one_may_stop(storage):
    outer, inner = [], []
    with storage.watching(outer.append):
        with storage.watching(inner.append):
            storage.record(event("1"))
        storage.record(event("2"))
    assert [one.data_version for one in outer] == ["1", "2"]
    assert [one.data_version for one in inner] == ["1"]


def test_a_watcher_that_raises_disturbs_nobody(storage, caplog):
    def watcher(one):
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR, "rivers.storage"), storage.watching(watcher):
        storage.record(event("1"))
    assert len(storage.get_events_for_asset("orders")) == 1
    assert "what watches events raised" in caplog.text
