"""Running steps, requests to cancel, log records, and reading after a position."""

from __future__ import annotations

import subprocess
import sys
import threading
from time import perf_counter_ns, time_ns

import pytest

from rivers.exceptions import StorageError
from rivers.storage import Event, LogRecord, RunningStep, Storage
from rivers.storage.live_runs import RunningCall, live_runs


class LiveRun:
    """A run of this process, as the engine attaches it."""

    def __init__(self, run_id="r"):
        self.run_id = run_id
        self.running = {}
        self.canceled = threading.Event()

    def cancel(self):
        self.canceled.set()


@pytest.fixture
def run(storage):
    live_run = LiveRun()
    storage.start_run("r")
    storage.attach_run(live_run)
    yield live_run
    storage.detach_run(live_run)


def long_ago():
    return perf_counter_ns() - 5_000_000_000


def log(message="hello", step="orders", run_id="r", **fields):
    return LogRecord(run_id, step, 5, "INFO", message, **fields)


def stored(number, run_id="r"):
    return Event("Materialization", run_id=run_id, asset_key="orders", data_version=str(number))


def versions(events):
    return [event.data_version for event in events if event.data_version]


def test_running_steps_are_visible(storage, run):
    run.running["orders"] = long_ago()
    run.running[RunningCall("total", "sum", "2024", 3, "Executor.Parallel")] = long_ago() + 1_000_000
    live_runs.refresh("r")
    first, second = storage.get_running_steps()
    assert (first.run_id, first.step, first.asset_key, first.attempt) == ("r", "orders", "orders", 1)
    assert (second.step, second.asset_key, second.partition_key, second.attempt) == (
        "total",
        "sum",
        "2024",
        3,
    )
    assert second.place == "Executor.Parallel"
    assert 4e9 < time_ns() - first.started_at < 3600e9
    assert [step.step for step in storage.get_running_steps("r")] == ["orders", "total"]
    assert storage.get_running_steps("other") == []


def test_steps_that_ended_are_not_running(storage, run):
    run.running["orders"] = long_ago()
    live_runs.refresh("r")
    assert storage.get_running_steps()
    del run.running["orders"]
    live_runs.refresh("r")
    assert storage.get_running_steps() == []


def test_steps_of_a_run_that_ended_are_not_running(storage, run):
    run.running["orders"] = long_ago()
    live_runs.refresh("r")
    storage.finish_run("r", "success")
    storage.detach_run(run)
    assert storage.get_running_steps() == []


def test_running_steps_are_not_written_after_the_end_of_a_run(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.finish_run("r", "success")
        storage.replace_running_steps("r", [RunningStep("r", "a", "a", None, 1, 5, "here")])
        assert storage.get_running_steps() == []


def test_attached_run_is_watched_in_the_background(tmp_path):
    run = LiveRun()
    with Storage.embedded(tmp_path) as storage, Storage.embedded(tmp_path) as other:
        storage.start_run("r")
        run.running["orders"] = long_ago()
        storage.attach_run(run)
        try:
            other._write(lambda connection: connection.execute("INSERT INTO cancellations VALUES ('r', 1)"))
            assert run.canceled.wait(100)
            assert [step.step for step in other.get_running_steps()] == ["orders"]
        finally:
            storage.detach_run(run)


@pytest.fixture
def watched(tmp_path):
    """A storage whose runs are watched in the background, and a run."""
    live_run = LiveRun()
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.attach_run(live_run)
        yield storage, live_run
        storage.detach_run(live_run)


def test_detached_run_does_not_use_its_storage(watched, monkeypatch):
    storage, run = watched
    asked, answer, order = threading.Event(), threading.Event(), []

    def is_cancelled(run_id):
        asked.set()
        answer.wait(100)
        order.append("asked")

    monkeypatch.setattr(storage, "is_cancelled", is_cancelled)
    assert asked.wait(100)
    threading.Timer(0.01, answer.set).start()
    storage.detach_run(run)
    order.append("detached")
    assert order == ["asked", "detached"]


def test_defect_of_a_storage_does_not_end_the_watching(watched, monkeypatch):
    storage, run = watched
    failed = threading.Event()

    def is_cancelled(run_id):
        failed.set()
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(storage, "is_cancelled", is_cancelled)
        assert failed.wait(100)
    storage._request_cancellation("r", 1)
    assert run.canceled.wait(100)


KILLED = """
import os, sys
from rivers.storage import RunningStep, Storage
storage = Storage.embedded(sys.argv[1])
run = storage.start_run("r")
step = RunningStep("r", "orders", "orders", "k", 2, run.start_time - 7, "process 1 on host")
storage.replace_running_steps("r", [step])
os._exit(9)
"""


def test_steps_of_a_killed_process_fail(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with Storage.embedded(tmp_path) as storage:
        events = storage.get_events_for_run("r")
        assert storage.get_running_steps() == []
    types = [event.event_type for event in events]
    assert types == ["RunStart", "StepStart", "StepFailure", "RunInterrupted"]
    start, failure = events[1:3]
    assert (failure.asset_key, failure.partition_key, failure.attempt) == ("orders", "k", 2)
    assert dict(failure.metadata)["rivers/failure_reason"] == "infrastructure"
    assert start.timestamp == events[0].timestamp - 7


def test_request_cancellation_reaches_the_run(storage, run):
    assert not storage.is_cancelled("r")
    assert storage.request_cancellation("r")
    assert storage.is_cancelled("r")
    assert run.canceled.is_set()


def test_request_cancellation_of_a_run_that_ended(storage):
    storage.start_run("r")
    storage.finish_run("r", "success")
    assert not storage.request_cancellation("r")
    assert not storage.is_cancelled("r")


def test_request_cancellation_before_the_start(storage):
    assert storage.request_cancellation("r")
    storage.start_run("r")
    assert storage.is_cancelled("r")


def test_start_of_a_canceled_run_forgets_the_request(storage):
    storage.start_run("r")
    storage.request_cancellation("r")
    storage.finish_run("r", "canceled")
    storage.start_run("r")
    assert not storage.is_cancelled("r")


def test_cancellation_is_visible_in_another_object(tmp_path):
    with Storage.embedded(tmp_path) as storage, Storage.embedded(tmp_path) as other:
        storage.start_run("r")
        other.request_cancellation("r")
        assert storage.is_cancelled("r")


def test_run_logs_are_read_in_order(storage):
    given = [
        log("one"),
        log("two", step="total"),
        log("three", partition_key="k", attempt=2),
        log(run_id="x"),
    ]
    for record in given:
        storage.record_log(record)
    read = storage.get_run_logs("r")
    assert [record.message for record in read] == ["one", "two", "three"]
    assert (read[2].partition_key, read[2].attempt, read[2].level, read[2].timestamp) == ("k", 2, "INFO", 5)
    assert [record.message for record in storage.get_run_logs("r", "orders")] == ["one", "three"]
    assert [record.message for record in storage.get_run_logs("r", step="total")] == ["two"]


def test_run_logs_are_read_on_after_an_id(storage):
    for number in range(5):
        storage.record_log(log(str(number)))
    first = storage.get_run_logs("r", limit=2)
    assert [record.message for record in first] == ["0", "1"]
    rest = storage.get_run_logs("r", after=first[-1].id)
    assert [record.message for record in rest] == ["2", "3", "4"]
    with pytest.raises(StorageError, match="-1"):
        storage.get_run_logs("r", limit=-1)


def test_run_logs_are_written_with_the_events(tmp_path):
    with Storage.embedded(tmp_path) as storage, Storage.embedded(tmp_path) as other:
        for number in range(300):
            storage.record_log(log(f"\udcff{number}"))
        storage.flush()
        assert len(other.get_run_logs("r")) == 300


def test_events_after_a_cursor(storage):
    for number in range(1, 6):
        storage.record(stored(number, run_id=f"r{number % 2}"))
    assert versions(storage.get_events_after(0)) == ["1", "2", "3", "4", "5"]
    assert versions(storage.get_events_after(3)) == ["4", "5"]
    assert versions(storage.get_events_after(1, limit=2)) == ["2", "3"]
    assert storage.get_events_after(5) == []
    with pytest.raises(StorageError, match="-2"):
        storage.get_events_after(0, limit=-2)


@pytest.mark.parametrize("with_steps", [True, False])
def test_events_for_run_after_an_id(storage, with_steps):
    for number in range(1, 4):
        storage.record(stored(number))
    assert versions(storage.get_events_for_run("r", after=1, with_steps=with_steps)) == ["2", "3"]


CHANGES = {
    "event": lambda storage: storage.record(stored(1)),
    "run": lambda storage: storage.start_run("other"),
    "end of a run": lambda storage: storage.finish_run("r", "success"),
    "log": lambda storage: storage.record_log(log()),
    "cancellation": lambda storage: storage.request_cancellation("r"),
    "dynamic key": lambda storage: storage.add_dynamic_partitions("regions", ["eu"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_token_differs_after_each_change(storage, change):
    storage.start_run("r")
    before = storage.change_token()
    assert storage.change_token() == before
    change(storage)
    assert storage.change_token() != before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_token_sees_another_process(tmp_path, change):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        with Storage.embedded(tmp_path, read_only=True) as reader:
            before = reader.change_token()
            assert reader.change_token() == before
            change(storage)
            storage.flush()
            assert reader.change_token() != before
