"""The file behind `Storage.embedded`."""

from __future__ import annotations

import gc
import pickle
import sqlite3
from pathlib import Path

import pytest

from rivers.exceptions import StorageError
from rivers.storage import Event, Storage
from rivers.storage.sqlite import schema
from rivers.storage.sqlite import storage as sqlite_storage


@pytest.fixture
def storage(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        yield storage


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it, and timers that a test fires."""

    class Clock:
        now = 1000.0
        timers: list[FakeTimer] = []

    class FakeTimer:
        def __init__(self, seconds, function):
            self.seconds, self.function = seconds, function
            Clock.timers.append(self)

        def start(self):
            pass

        def cancel(self):
            pass

    Clock.timers.clear()
    monkeypatch.setattr(sqlite_storage, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(sqlite_storage, "Timer", FakeTimer)
    return Clock


def materialization(number=0, asset="orders", partition=None):
    return Event(
        "Materialization", run_id="r", asset_key=asset, partition_key=partition, data_version=str(number)
    )


def rows_on_disk(folder, statement="SELECT COUNT(*) FROM events"):
    connection = sqlite3.connect(folder / "rivers.db")
    try:
        return connection.execute(statement).fetchone()[0]
    finally:
        connection.close()


def test_nothing_is_touched_before_the_first_use(tmp_path):
    storage = Storage.embedded(tmp_path / "a" / "b")
    assert repr(storage) == f"Storage.embedded({str(tmp_path / 'a' / 'b')!r})"
    assert list(tmp_path.iterdir()) == []
    storage.open()
    assert (tmp_path / "a" / "b" / "rivers.db").is_file()
    storage.close()


def test_a_relative_path_stays_where_it_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage.embedded("history")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with storage:
        assert (tmp_path / "history" / "rivers.db").is_file()


def test_history_is_there_after_closing_and_opening(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.record(materialization(7))
        storage.finish_run("r", "success")
        storage.add_dynamic_partitions("d", ["b", "a"])
    with Storage.embedded(tmp_path) as again:
        assert again.get_latest_materialization("orders").data_version == "7"
        assert [run.status for run in again.get_runs()] == ["success"]
        assert again.get_dynamic_partitions("d") == ["b", "a"]


def test_a_storage_pickles_as_its_path(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization(1))
        storage.flush()
        with pickle.loads(pickle.dumps(storage)) as copy:
            assert copy.get_latest_materialization("orders").data_version == "1"
            copy.record(materialization(2))
        assert storage.get_latest_materialization("orders").data_version == "2"


def test_two_open_storages_of_one_directory_number_events_in_one_sequence(tmp_path):
    with Storage.embedded(tmp_path) as one, Storage.embedded(tmp_path) as two:
        for number in range(4):
            writer = (one, two)[number % 2]
            writer.record(materialization(number))
            writer.flush()
        events = one.get_events_for_run("r")
        assert [(event.id, event.data_version) for event in events] == [
            (1, "0"),
            (2, "1"),
            (3, "2"),
            (4, "3"),
        ]


def test_events_wait_for_a_batch_of_256(storage, clock, tmp_path):
    storage.flush()
    storage.record(materialization())
    before = rows_on_disk(tmp_path)
    for number in range(255):
        storage.record(materialization(number))
    assert rows_on_disk(tmp_path) == before
    storage.record(materialization(255))
    assert rows_on_disk(tmp_path) == before + 256


def test_an_event_is_written_at_once_when_the_last_write_is_long_ago(storage, clock, tmp_path):
    storage.record(materialization())
    on_disk = rows_on_disk(tmp_path)
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == on_disk
    clock.now += 0.3
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == on_disk + 2


def test_events_that_nothing_follows_are_written_by_a_timer(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == 1
    (timer,) = clock.timers
    assert timer.seconds == pytest.approx(0.2)
    timer.function()
    assert rows_on_disk(tmp_path) == 3


def test_the_start_and_the_end_of_a_run_are_on_disk_at_once(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.start_run("r")
    assert rows_on_disk(tmp_path) == 3
    assert rows_on_disk(tmp_path, "SELECT status FROM runs") == "running"
    storage.record(materialization())
    storage.finish_run("r", "success")
    assert rows_on_disk(tmp_path) == 5
    assert rows_on_disk(tmp_path, "SELECT status FROM runs") == "success"


def test_a_question_sees_what_was_recorded_just_before(storage, clock):
    storage.record(materialization())
    storage.record(materialization(9))
    assert storage.get_latest_materialization("orders").data_version == "9"


def test_closing_writes_what_waits(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.close()
    assert rows_on_disk(tmp_path) == 2


def test_a_forgotten_storage_writes_what_waits(clock, tmp_path):
    storage = Storage.embedded(tmp_path)
    storage.record(materialization())
    storage.record(materialization())
    clock.timers.clear()
    del storage
    gc.collect()
    assert rows_on_disk(tmp_path) == 2


def test_what_could_not_be_written_is_kept_and_written_later(storage, clock, tmp_path, monkeypatch):
    storage.flush()

    def refuse(connection, events):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_storage, "insert_events", refuse)
        storage._pending.append(materialization(1))
        with pytest.raises(StorageError, match="disk I/O error"):
            storage.flush()
    storage.record(materialization(2))
    assert [event.data_version for event in storage.get_events_for_run("r")] == ["1", "2"]


def test_an_asset_with_many_events_is_asked_through_indexes(storage):
    questions = {
        sqlite_storage._EVENTS + " WHERE asset_key = 'a' ORDER BY id DESC LIMIT 5": "events_of_asset",
        sqlite_storage._EVENTS + " WHERE run_id = 'r' ORDER BY id": "events_of_run",
        "SELECT MAX(last_id) FROM materialized WHERE asset_key = 'a' AND partition_key = 'p'": "PRIMARY KEY",
        sqlite_storage._ASSET_NAMES: "events_of_asset",
    }
    for question, index in questions.items():
        plan = " ".join(row[-1] for row in storage._read(f"EXPLAIN QUERY PLAN {question}"))
        assert index in plan
        assert "SCAN events" not in plan
        assert "SCAN materialized" not in plan


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / "rivers.db").write_bytes(b"These are notes, and not a database of any kind. " * 40)
    before = (tmp_path / "rivers.db").read_bytes()
    with pytest.raises(StorageError, match="no SQLite file") as caught:
        Storage.embedded(tmp_path).open()
    assert str(tmp_path / "rivers.db") in str(caught.value)
    assert "move it away" in str(caught.value)
    assert (tmp_path / "rivers.db").read_bytes() == before


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        for number in range(2000):
            storage.record(materialization(number))
    with (tmp_path / "rivers.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 60_000)
    with pytest.raises(StorageError, match="damaged"):
        Storage.embedded(tmp_path).get_events_for_asset("orders", limit=None)


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "rivers.db")
    connection.execute("CREATE TABLE moz_places (x)")
    connection.close()
    with pytest.raises(StorageError, match=r"another program \(it has moz_places\)"):
        Storage.embedded(tmp_path).open()
    assert rows_on_disk(tmp_path, "SELECT COUNT(*) FROM sqlite_schema") == 1


def test_a_newer_file_is_refused_with_the_way_to_upgrade(tmp_path):
    Storage.embedded(tmp_path).open()
    connection = sqlite3.connect(tmp_path / "rivers.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(
        StorageError, match=r"newer rivers: its schema version is 99.*pip install -U rivers-io"
    ):
        Storage.embedded(tmp_path).open()


def test_an_older_file_is_brought_up_to_date_with_its_history(tmp_path, monkeypatch):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization(1))
    monkeypatch.setattr(schema, "VERSION", 3)
    monkeypatch.setattr(
        schema,
        "MIGRATIONS",
        {1: ["CREATE TABLE notes (text)"], 2: ["INSERT INTO notes VALUES ('from two to three')"]},
    )
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_latest_materialization("orders").data_version == "1"
    assert rows_on_disk(tmp_path, "PRAGMA user_version") == 3
    assert rows_on_disk(tmp_path, "SELECT text FROM notes") == "from two to three"
    assert rows_on_disk(tmp_path, "SELECT GROUP_CONCAT(version) FROM schema_history") == "1,2,3"


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    Storage.embedded(tmp_path).open()
    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {1: ["CREATE TABLE notes (text)", "CREATE nonsense"]})
    with pytest.raises(StorageError, match="syntax error"):
        Storage.embedded(tmp_path).open()
    assert rows_on_disk(tmp_path, "PRAGMA user_version") == 1
    assert rows_on_disk(tmp_path, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'notes'") == 0


def test_there_is_a_step_from_every_older_version():
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.VERSION))


def test_a_directory_that_is_a_file_is_refused_with_its_path(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="choose another directory") as caught:
        Storage.embedded(tmp_path / "taken").open()
    assert str(tmp_path / "taken") in str(caught.value)


def test_a_failed_opening_can_be_tried_again(tmp_path):
    (tmp_path / "rivers.db").write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    storage = Storage.embedded(tmp_path)
    with pytest.raises(StorageError):
        storage.record(materialization(1))
    (tmp_path / "rivers.db").unlink()
    assert storage.get_latest_materialization("orders").data_version == "1"
    storage.close()


def test_another_process_that_keeps_the_file_locked_is_named_as_the_reason(tmp_path, monkeypatch):
    with Storage.embedded(tmp_path):
        pass
    monkeypatch.setattr("rivers.storage.sqlite.connection.BUSY_SECONDS", 0.01)
    other = sqlite3.connect(tmp_path / "rivers.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageError, match="another process kept it locked"):
            Storage.embedded(tmp_path).open()
    finally:
        other.close()


def test_only_one_file_stays_beside_the_database_after_closing(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.finish_run("r", "success")
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert files in ([Path("owners/opening.lock"), Path("rivers.db")], [Path("rivers.db")])
