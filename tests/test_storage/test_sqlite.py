"""The file behind `Storage.embedded`."""

from __future__ import annotations

import gc
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import rivers as rs
from rivers.exceptions import StorageError
from rivers.storage import Event, Storage
from rivers.storage.sql import storage as sql_storage
from rivers.storage.sqlite import schema


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
            self.seconds = self.interval = seconds
            self.function = function
            Clock.timers.append(self)

        def start(self):
            pass

        def cancel(self):
            pass

    Clock.timers.clear()
    monkeypatch.setattr(sql_storage, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(sql_storage, "Timer", FakeTimer)
    return Clock


def materialization(number=0, asset="orders", partition=None, duration_ns=None):
    return Event(
        "Materialization",
        run_id="r",
        asset_key=asset,
        partition_key=partition,
        data_version=str(number),
        duration_ns=duration_ns,
    )


def rows_on_disk(folder, statement="SELECT COUNT(*) FROM events"):
    connection = sqlite3.connect(folder / "rivers.db")
    try:
        return connection.execute(statement).fetchone()[0]
    finally:
        connection.close()


def test_sqlite_creates_file_on_first_use(tmp_path):
    storage = Storage.embedded(tmp_path / "a" / "b")
    assert repr(storage) == f"Storage.embedded({str(tmp_path / 'a' / 'b')!r})"
    assert list(tmp_path.iterdir()) == []
    storage.open()
    assert (tmp_path / "a" / "b" / "rivers.db").is_file()
    storage.close()


def test_sqlite_resolves_relative_path_at_construction(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage.embedded("history")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with storage:
        assert (tmp_path / "history" / "rivers.db").is_file()


def test_sqlite_reads_events_after_reopening(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.record(materialization(7))
        storage.finish_run("r", "success")
        storage.add_dynamic_partitions("d", ["b", "a"])
    with Storage.embedded(tmp_path) as again:
        assert again.get_latest_materialization("orders").data_version == "7"
        assert [run.status for run in again.get_runs()] == ["Success"]
        assert again.get_dynamic_partitions("d") == ["b", "a"]


def test_sqlite_pickles_as_path(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization(1))
        storage.flush()
        with pickle.loads(pickle.dumps(storage)) as copy:
            assert copy.get_latest_materialization("orders").data_version == "1"
            copy.record(materialization(2))
        assert storage.get_latest_materialization("orders").data_version == "2"


def test_sqlite_numbers_events_across_storages(tmp_path):
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


def test_sqlite_writes_batch_of_256_events(storage, clock, tmp_path):
    storage.flush()
    storage.record(materialization())
    before = rows_on_disk(tmp_path)
    for number in range(255):
        storage.record(materialization(number))
    assert rows_on_disk(tmp_path) == before
    storage.record(materialization(255))
    assert rows_on_disk(tmp_path) == before + 256


def test_sqlite_writes_at_once_after_a_pause(storage, clock, tmp_path):
    storage.record(materialization())
    on_disk = rows_on_disk(tmp_path)
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == on_disk
    clock.now += 0.3
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == on_disk + 2


def test_sqlite_writes_at_once_after_long_step(storage, clock, tmp_path):
    storage.flush()
    storage.record(materialization())
    storage._long_step_ns = 5_000_000
    clock.now += 0.01
    before = rows_on_disk(tmp_path)
    storage.record(materialization(duration_ns=4_000_000))
    assert rows_on_disk(tmp_path) == before
    storage.record(materialization(duration_ns=6_000_000))
    assert rows_on_disk(tmp_path) == before + 2


def test_sqlite_writes_outputs_of_long_step_after_short_timer(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage._long_step_ns = 5_000_000
    before = rows_on_disk(tmp_path)
    storage.record(materialization(duration_ns=6_000_000))
    storage.record(materialization(duration_ns=6_000_000))
    assert rows_on_disk(tmp_path) == before
    assert [timer.seconds for timer in clock.timers] == pytest.approx([0.2, 0.005])
    clock.timers[-1].function()
    assert rows_on_disk(tmp_path) == before + 3


def test_sqlite_measures_commits(storage):
    storage.flush()
    storage.start_run("r")
    assert storage._long_step_ns >= sql_storage.LONG_STEP_NS


def test_sqlite_timer_writes_pending_events(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.record(materialization())
    assert rows_on_disk(tmp_path) == 1
    (timer,) = clock.timers
    assert timer.seconds == pytest.approx(0.2)
    timer.function()
    assert rows_on_disk(tmp_path) == 3


def test_sqlite_writes_run_start_and_end_at_once(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.start_run("r")
    assert rows_on_disk(tmp_path) == 3
    assert rows_on_disk(tmp_path, "SELECT status FROM runs") == "running"
    storage.record(materialization())
    storage.finish_run("r", "success")
    assert rows_on_disk(tmp_path) == 5
    assert rows_on_disk(tmp_path, "SELECT status FROM runs") == "success"


def test_sqlite_query_sees_pending_events(storage, clock):
    storage.record(materialization())
    storage.record(materialization(9))
    assert storage.get_latest_materialization("orders").data_version == "9"


def test_sqlite_close_writes_pending_events(storage, clock, tmp_path):
    storage.record(materialization())
    storage.record(materialization())
    storage.close()
    assert rows_on_disk(tmp_path) == 2


def test_sqlite_writes_pending_events_when_collected(clock, tmp_path):
    storage = Storage.embedded(tmp_path)
    storage.record(materialization())
    storage.record(materialization())
    clock.timers.clear()
    del storage
    gc.collect()
    assert rows_on_disk(tmp_path) == 2


def test_sqlite_keeps_events_of_failed_write(storage, clock, tmp_path, monkeypatch):
    storage.flush()

    def refuse(connection, events):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(sql_storage, "insert_events", refuse)
        storage._pending.append(materialization(1))
        with pytest.raises(StorageError, match="disk I/O error"):
            storage.flush()
    storage.record(materialization(2))
    assert [event.data_version for event in storage.get_events_for_run("r")] == ["1", "2"]


def test_sqlite_queries_use_indexes(storage):
    questions = {
        sql_storage._EVENTS + " WHERE asset_key = 'a' ORDER BY id DESC LIMIT 5": "events_of_asset",
        sql_storage._EVENTS + " WHERE run_id = 'r' ORDER BY id": "events_of_run",
        "SELECT MAX(last_id) FROM materialized WHERE asset_key = 'a' AND partition_key = 'p'": "PRIMARY KEY",
        f"{sql_storage._EVENTS} {sql_storage._LAST_EVENTS}": "events_of_asset",
        f"{sql_storage._EVENTS} WHERE run_id = 'r' AND id > 5 ORDER BY id": "events_of_run",
    }
    for question, index in questions.items():
        plan = " ".join(row[-1] for row in storage._read(f"EXPLAIN QUERY PLAN {question}"))
        assert index in plan
        assert "SCAN events" not in plan
        assert "SCAN materialized" not in plan


def test_sqlite_rejects_file_that_is_not_a_database(tmp_path):
    (tmp_path / "rivers.db").write_bytes(b"These are notes, and not a database of any kind. " * 40)
    before = (tmp_path / "rivers.db").read_bytes()
    with pytest.raises(StorageError, match="not a SQLite file") as caught:
        Storage.embedded(tmp_path).open()
    assert str(tmp_path / "rivers.db") in str(caught.value)
    assert "move the file" in str(caught.value)
    assert (tmp_path / "rivers.db").read_bytes() == before


def test_sqlite_rejects_damaged_file(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        for number in range(2000):
            storage.record(materialization(number))
    with (tmp_path / "rivers.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 60_000)
    with pytest.raises(StorageError, match="damaged"):
        Storage.embedded(tmp_path).get_events_for_asset("orders", limit=None)


@pytest.mark.parametrize("content", [b"", b"S", b"SQLite format 3\0"])
def test_sqlite_rejects_empty_file(tmp_path, content):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization())
    (tmp_path / "rivers.db").write_bytes(content)
    for _ in range(2):
        with pytest.raises(StorageError, match=r"rivers\.db: the file is empty.*Restore a copy"):
            Storage.embedded(tmp_path).open()
    assert (tmp_path / "rivers.db").read_bytes() == content


def test_sqlite_ignores_log_and_partial_file_of_deleted_file(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization())
        storage.flush()
        log = (tmp_path / "rivers.db-wal").read_bytes()
    (tmp_path / "rivers.db").unlink()
    (tmp_path / "rivers.db-wal").write_bytes(log)
    (tmp_path / "rivers.db.new").write_bytes(b"cut short")
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_events_for_run("r") == []
    assert not (tmp_path / "rivers.db.new").exists()


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted on Windows")
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda file: file.unlink(), "deleted"),
        (lambda file: file.with_name("copy").replace(file), "replaced"),
        (lambda file: os.truncate(file, 0), "truncated"),
    ],
)
def test_sqlite_rejects_changed_file_at_start_and_end_of_run(tmp_path, change, word):
    storage = Storage.embedded(tmp_path)
    storage.start_run("first")
    (tmp_path / "copy").write_bytes((tmp_path / "rivers.db").read_bytes())
    change(tmp_path / "rivers.db")
    for call in (lambda: storage.start_run("second"), lambda: storage.finish_run("first", "success")):
        with pytest.raises(StorageError, match=f"rivers.db: the file was {word}.*close the storage"):
            call()
    storage.close()
    if word != "truncated":
        storage.start_run("third")
        assert storage.finish_run("third", "Success").status == "Success"
        storage.close()


def fill_disk(storage):
    storage.open()
    connection = storage._database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def test_sqlite_full_disk_reports_lost_events(tmp_path, clock):
    storage = Storage.embedded(tmp_path)
    storage.start_run("r")
    fill_disk(storage)
    for _ in range(100):
        storage.record(materialization("x" * 1000))
    storage.record(materialization(asset="last"))
    for call in (storage.flush, storage.close):
        with pytest.raises(
            StorageError,
            match=r"disk is full.*Not written: 101 events \(Materialization of 'orders'.*96 more",
        ):
            call()
    assert len(storage.get_events_for_asset("orders", limit=None)) == 100
    storage.close()


def test_sqlite_full_disk_at_exit_is_logged(tmp_path, clock, caplog):
    storage = Storage.embedded(tmp_path)
    storage.open()
    fill_disk(storage)
    storage.record(materialization())
    for _ in range(20):
        storage._pending.append(materialization("x" * 10_000))
    storage._close_logged()
    assert "Not written: 2" in caplog.text
    storage.close()


def test_run_on_full_disk_does_not_report_success(tmp_path):
    @rs.Asset
    def orders() -> list:
        fill_disk(storage)
        return [1]

    repo = rs.CodeRepository([orders])
    storage = Storage.embedded(tmp_path)
    repo.resolve(storage=storage)
    with pytest.raises(
        StorageError, match=r"disk is full.*Not written: 1 event \(Materialization of 'orders'\)"
    ) as caught:
        repo.materialize(tags=[("note", "x" * 20_000)], run_id_override="full")
    assert "'full'" in "".join(caught.value.__notes__)
    storage._database.close()
    assert storage.finish_run("full", "Success").status == "Success"
    assert storage.get_latest_materialization("orders") is not None
    storage.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not have SIGKILL")
def test_resume_after_sigkill_keeps_long_steps(tmp_path):
    code = """
import os, signal, sys
from time import monotonic, sleep
import rivers as rs

@rs.Asset(io_handler=rs.PickleIOHandler(sys.argv[1] + "/values"))
def slow() -> int:
    # a step counts as long by the last commit, which may take any time on a busy machine
    begin = monotonic()
    while monotonic() - max(begin, storage._written_at) < 3 * storage._long_step_ns / 1e9:
        sleep(0.001)
    print("slow ran")
    return 1

@rs.Asset(io_handler=rs.PickleIOHandler(sys.argv[1] + "/values"))
def deadly(slow: int) -> int:
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return slow

repo = rs.CodeRepository([slow, deadly])
storage = rs.Storage.embedded(sys.argv[1] + "/log")
repo.resolve(storage=storage)
result = repo.materialize(run_id_override="r", resume=sys.argv[2] == "resume")
print(result.materialized_assets)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    killed = subprocess.run([*command, "kill"], capture_output=True)
    assert killed.returncode == -9
    resumed = subprocess.run([*command, "resume"], capture_output=True, text=True, check=True)
    assert resumed.stdout.splitlines() == ["['deadly']"]


def test_schema_rejects_file_of_another_program(tmp_path):
    connection = sqlite3.connect(tmp_path / "rivers.db")
    connection.execute("CREATE TABLE moz_places (x)")
    connection.close()
    with pytest.raises(StorageError, match=r"another program with the tables moz_places"):
        Storage.embedded(tmp_path).open()
    assert rows_on_disk(tmp_path, "SELECT COUNT(*) FROM sqlite_schema") == 1


def test_schema_rejects_newer_version(tmp_path):
    Storage.embedded(tmp_path).open()
    connection = sqlite3.connect(tmp_path / "rivers.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(
        StorageError, match=r"newer rivers: its schema version is 99.*pip install -U rivers-io"
    ):
        Storage.embedded(tmp_path).open()


def test_schema_migrates_older_file(tmp_path, monkeypatch):
    with Storage.embedded(tmp_path) as storage:
        storage.record(materialization(1))
    oldest = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", oldest + 2)
    steps = ["CREATE TABLE notes (text)"], ["INSERT INTO notes VALUES ('from two to three')"]
    monkeypatch.setattr(schema, "MIGRATIONS", {oldest: steps[0], oldest + 1: steps[1]})
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_latest_materialization("orders").data_version == "1"
    assert rows_on_disk(tmp_path, "PRAGMA user_version") == oldest + 2
    assert rows_on_disk(tmp_path, "SELECT text FROM notes") == "from two to three"
    assert rows_on_disk(tmp_path, "SELECT GROUP_CONCAT(version) FROM schema_history") == "2,3,4"


def test_schema_rolls_back_failed_migration(tmp_path, monkeypatch):
    Storage.embedded(tmp_path).open()
    before = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", before + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {before: ["CREATE TABLE notes (text)", "CREATE nonsense"]})
    with pytest.raises(StorageError, match="syntax error"):
        Storage.embedded(tmp_path).open()
    assert rows_on_disk(tmp_path, "PRAGMA user_version") == before
    assert rows_on_disk(tmp_path, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'notes'") == 0


def test_schema_has_migration_from_each_version():
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.VERSION))


def test_sqlite_rejects_directory_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="choose another directory") as caught:
        Storage.embedded(tmp_path / "taken").open()
    assert str(tmp_path / "taken") in str(caught.value)


def test_sqlite_opens_after_failed_open(tmp_path):
    (tmp_path / "rivers.db").write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    storage = Storage.embedded(tmp_path)
    with pytest.raises(StorageError):
        storage.record(materialization(1))
    (tmp_path / "rivers.db").unlink()
    assert storage.get_latest_materialization("orders").data_version == "1"
    storage.close()


def test_sqlite_reports_lock_of_another_process(tmp_path, monkeypatch):
    with Storage.embedded(tmp_path):
        pass
    monkeypatch.setattr("rivers.storage.sqlite.connection.BUSY_SECONDS", 0.01)
    blocker = sqlite3.connect(tmp_path / "rivers.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageError, match="another process kept it locked"):
            Storage.embedded(tmp_path).open()
    finally:
        blocker.close()


def test_sqlite_close_removes_lock_files(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r")
        storage.finish_run("r", "success")
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert files in ([Path("owners/opening.lock"), Path("rivers.db")], [Path("rivers.db")])


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
def test_sqlite_flushes_commits_of_a_durable_log(tmp_path, durable, synchronous):
    with Storage.embedded(tmp_path, durable=durable) as storage:
        assert storage._read("PRAGMA synchronous") == [(synchronous,)]
        copy = pickle.loads(pickle.dumps(storage))
        assert copy._read("PRAGMA synchronous") == [(synchronous,)]
        copy.close()
