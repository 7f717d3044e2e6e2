"""Event storage in a SQL database: written in batches, shared by any number of processes."""

from __future__ import annotations

import atexit
import logging
import os
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from threading import Timer
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakSet

from rivers.exceptions import StorageError
from rivers.storage.base import EventStorage
from rivers.storage.pruning import PrunedRuns
from rivers.storage.records import AssetRecord, check_startable, never_started, stored_status
from rivers.storage.sql.pruning import delete_events, delete_run, events_of, needed_events, without_run
from rivers.storage.sql.rows import (
    EVENT_COLUMNS,
    LOG_COLUMNS,
    RUN_COLUMNS,
    RUNNING_COLUMNS,
    end_run,
    insert_events,
    insert_logs,
    is_stored,
    read_event,
    read_log,
    read_run,
    read_running,
    replace_running,
    write_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.storage.events import Event
    from rivers.storage.pruning import PruningPlan
    from rivers.storage.records import LogRecord, RunningStep, RunRecord, RunStatus
    from rivers.storage.sql.database import Connection, Database, RunOwner
    from rivers.storage.sql.rows import Row

T = TypeVar("T")

SHOWN_EVENTS: Final = 5
BATCH_EVENTS: Final = 256
BATCH_SECONDS: Final = 0.2
PRUNED_EVENTS: Final = 2000

# Events of a step are committed at once if it took at least this long, so that a killed run does not repeat it.
LONG_STEP_NS: Final = 5_000_000
COMMITS_PER_STEP: Final = 20  # and this many times the last commit, which then costs at most 5 % of the run

_NO_LIMIT: Final = 2**62

_LOG = logging.getLogger("rivers.storage")

_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM events"
_RUNS: Final = f"SELECT {RUN_COLUMNS} FROM runs"

# A skip scan: seeks each asset name in the index instead of reading every event.
_LAST_EVENTS: Final = """
WHERE id IN (
    WITH RECURSIVE assets (name) AS (
        SELECT MIN(asset_key) FROM events WHERE asset_key IS NOT NULL
        UNION ALL
        SELECT (SELECT MIN(asset_key) FROM events WHERE asset_key > name) FROM assets WHERE name IS NOT NULL
    )
    SELECT (SELECT MAX(id) FROM events WHERE asset_key = name) FROM assets WHERE name IS NOT NULL
)"""
_LAST_MATERIALIZATIONS: Final = "WHERE id IN (SELECT MAX(last_id) FROM materialized GROUP BY asset_key)"
_TOTALS: Final = """
    SELECT asset_key, CAST(SUM(count) AS BIGINT), COUNT(NULLIF(partition_key, '')), MAX(last_id)
    FROM materialized GROUP BY asset_key
"""


class SQLStorage(EventStorage):
    """Event storage in a SQL database; a subclass says which one.

    Pending events are written after a step that took longer than 20 commits and 5 milliseconds, when there
    are 256, when the last write was 0.2 seconds ago, before a query, and when a run starts or ends.
    """

    def __init__(self) -> None:
        self._fresh()

    @abstractmethod
    def _connect(self) -> Database:
        """Return the database of this storage; it is opened on first use."""

    def _fresh(self) -> None:
        self._database = self._connect()
        self._pending: list[Event] = []
        self._pending_logs: list[LogRecord] = []
        self._is_unsettled = False
        self._written_at = 0.0
        self._long_step_ns = LONG_STEP_NS
        self._timer: Timer | None = None
        self._owner: RunOwner | None = None

    def __del__(self) -> None:
        with suppress(Exception):
            self._close_logged()

    def open(self) -> None:
        """Create the tables or migrate older ones, and close interrupted runs.

        Raises:
            StorageError: The database cannot be opened, or is not one of this version of rivers.
        """
        self._read("SELECT 1")

    def flush(self) -> None:
        """Write all pending events.

        Raises:
            StorageError: The database cannot be written; pending events are kept for the next attempt.
        """
        if self._pending or self._pending_logs:
            with self._database.lock:  # another thread may have written them since
                if self._pending or self._pending_logs:
                    self._write(lambda _: None)

    def close(self) -> None:
        """Write pending events and close the database; its running runs count as interrupted from then on."""
        with self._database.lock:
            try:
                self.flush()
            finally:
                timer, self._timer = self._timer, None
                owner, self._owner = self._owner, None
                if timer is not None:
                    timer.cancel()
                self._database.close()
                if owner is not None:
                    owner.release()

    def record(self, event: Event) -> None:
        """Add an event to the next batch; it gets its id when the batch is written.

        Raises:
            StorageError: The batch cannot be written; it is kept for the next attempt.
        """
        self._pending.append(event)
        pause = monotonic() - self._written_at
        is_long = event.duration_ns is not None and event.duration_ns >= self._long_step_ns
        # a step with many outputs does not commit each: those that follow soon are written by a short timer
        if len(self._pending) >= BATCH_EVENTS or pause > (
            self._long_step_ns / 1e9 if is_long else BATCH_SECONDS
        ):
            self.flush()
        elif self._timer is None or (is_long and self._timer.interval == BATCH_SECONDS):
            self._write_later(self._long_step_ns / 1e9 if is_long else BATCH_SECONDS)

    def record_log(self, log: LogRecord) -> None:
        """Keep a record of a step in the next batch.

        Raises:
            StorageError: The batch cannot be written; it is kept for the next attempt.
        """
        self._pending_logs.append(log)
        if len(self._pending_logs) >= BATCH_EVENTS or monotonic() - self._written_at > BATCH_SECONDS:
            self.flush()
        elif self._timer is None:
            self._write_later(BATCH_SECONDS)

    def _write_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Timer(seconds, self._write_late)
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:  # the interpreter is shutting down
            self.flush()

    def _write_late(self) -> None:
        self._timer = None
        with suppress(StorageError):  # pending events are kept, and the next write reports the error
            self.flush()

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Write all pending events and call a function in the same transaction."""
        with self._database.lock:
            batch, is_unsettled, written_ns, is_refused = self._pending[:], self._is_unsettled, 0, False
            logs = self._pending_logs[:]

            def write(connection: Connection) -> T:
                nonlocal written_ns, is_refused
                if is_unsettled:  # an earlier write failed, or was interrupted after its commit
                    insert_events(connection, [event for event in batch if not is_stored(connection, event)])
                else:
                    insert_events(connection, batch)
                if logs:
                    insert_logs(connection, logs)
                try:
                    result = work(connection)
                except StorageError:  # the call is not valid; nothing is wrong with the database
                    is_refused = True
                    raise
                written_ns = perf_counter_ns()
                return result

            self._is_unsettled = True
            try:
                result = self._database.transaction(write)
                del self._pending[: len(batch)]
                del self._pending_logs[: len(logs)]
                self._is_unsettled = False
                self._long_step_ns = max(LONG_STEP_NS, COMMITS_PER_STEP * (perf_counter_ns() - written_ns))
            except StorageError as error:
                if batch and not is_refused:
                    error.args = (f"{error} {_unwritten(batch)}",)
                raise
            finally:
                self._written_at = monotonic()
                _open_storages.add(self)
            return result

    def _read(self, statement: str, *values: object) -> list[Row]:
        self.flush()
        rows = self._database.query(statement, values)
        _open_storages.add(self)
        return rows

    def _begin(self, run: RunRecord) -> None:
        with self._database.lock:
            if self._owner is None:
                self._owner = self._database.claim()
            owner = self._owner.id

            def start(connection: Connection) -> None:
                self._database.interrupt_orphans(connection, run.run_id)
                row = connection.execute(f"{_RUNS} WHERE run_id = ?", (run.run_id,)).fetchone()
                check_startable(row and read_run(row))
                if row is not None:  # a request was for the part of the run that has ended
                    connection.execute("DELETE FROM cancellations WHERE run_id = ?", (run.run_id,))
                write_run(connection, run, owner)
                insert_events(connection, [run.event()])

            self._write(start)

    def _end(self, run_id: str, status: RunStatus, at: int, message: str | None) -> RunRecord:
        def end(connection: Connection) -> RunRecord:
            row = connection.execute(f"{_RUNS} WHERE run_id = ?", (run_id,)).fetchone()
            if row is None:
                raise never_started(run_id)
            run = read_run(row).ended(status, at, message)
            end_run(connection, run)
            return run

        return self._write(end)

    def _run(self, run_id: str) -> RunRecord | None:
        rows = self._read(f"{_RUNS} WHERE run_id = ?", run_id)
        return read_run(rows[0]) if rows else None

    def _list_runs(self, limit: int | None, status: RunStatus | None) -> list[RunRecord]:
        where = "" if status is None else f"WHERE status = '{stored_status(status)}'"
        rows = self._read(f"{_RUNS} {where} ORDER BY position DESC LIMIT ?", _sql_limit(limit))
        return [read_run(row) for row in rows]

    def vacuum(self) -> None:
        """Return the space of removed runs; other processes wait for it as for a long transaction."""
        self.flush()
        self._database.vacuum()
        _open_storages.add(self)

    def _prune(self, plan: PruningPlan, *, dry_run: bool) -> PrunedRuns:
        needed = needed_events(self._read)
        old = without_run(self._read, plan.before, needed)
        for chunk in () if dry_run else _chunks(old, PRUNED_EVENTS):
            self._write(partial(delete_events, numbers=chunk))
        pruned, event_count, kept_count, log_count = [], len(old), 0, 0
        # a transaction for each run, so that other processes can write in between
        for run in plan.runs:
            numbers, needed_count = events_of(self._read, run.run_id, needed)
            ((logs,),) = self._read("SELECT COUNT(*) FROM logs WHERE run_id = ?", run.run_id)
            if dry_run or self._write(partial(delete_run, run_id=run.run_id, numbers=numbers)):
                pruned.append(run)
                event_count += len(numbers)
                kept_count += needed_count
                log_count += logs
        return PrunedRuns(tuple(pruned), event_count, kept_count, log_count)

    def _asset_events(self, asset: str, limit: int | None) -> list[Event]:
        return self._events("WHERE asset_key = ? ORDER BY id DESC LIMIT ?", asset, _sql_limit(limit))

    def _run_events(self, run_id: str, after: int) -> list[Event]:
        return self._events("WHERE run_id = ? AND id > ? ORDER BY id", run_id, after)

    def _events_after(self, cursor: int, limit: int | None) -> list[Event]:
        return self._events("WHERE id > ? ORDER BY id LIMIT ?", cursor, _sql_limit(limit))

    def change_token(self) -> str:
        """Return a text that changes whenever anything is recorded, by any process."""
        self.flush()
        return self._database.change_token()

    def _wait(self, seconds: float) -> None:
        self._database.wait(seconds)

    def is_cancelled(self, run_id: str) -> bool:
        """Return whether cancellation of a run was requested since it was last started."""
        return bool(self._database.query("SELECT 1 FROM cancellations WHERE run_id = ?", (run_id,)))

    def replace_running_steps(self, run_id: str, steps: Sequence[RunningStep]) -> None:
        """Show these as the running steps of a run, unless it has ended."""
        self._write(lambda connection: replace_running(connection, run_id, steps))

    def _request_cancellation(self, run_id: str, at: int) -> bool:
        def request(connection: Connection) -> bool:
            row = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if row not in (None, ("running",)):
                return False
            connection.execute("DELETE FROM cancellations WHERE run_id = ?", (run_id,))
            insert = "INSERT INTO cancellations (run_id, requested_at) VALUES (?, ?)"
            connection.execute(insert, (run_id, at))
            return True

        return self._write(request)

    def _running(self, run_id: str | None) -> list[RunningStep]:
        where = "" if run_id is None else "WHERE run_id = ?"
        values = () if run_id is None else (run_id,)
        rows = self._read(f"SELECT {RUNNING_COLUMNS} FROM running_steps {where} ORDER BY started_at", *values)
        return [read_running(row) for row in rows]

    def _run_logs(self, run_id: str, step: str | None, after: int, limit: int | None) -> list[LogRecord]:
        where = "WHERE run_id = ? AND step = COALESCE(?, step) AND id > ? ORDER BY id LIMIT ?"
        rows = self._read(f"SELECT {LOG_COLUMNS} FROM logs {where}", run_id, step, after, _sql_limit(limit))
        return [read_log(row) for row in rows]

    def _latest(self, asset: str, partition: str | None) -> Event | None:
        newest, values = "SELECT MAX(last_id) FROM materialized WHERE asset_key = ?", [asset]
        if partition is not None:
            newest, values = f"{newest} AND partition_key = ?", [asset, partition]
        return next(iter(self._events(f"WHERE id = ({newest})", *values)), None)

    def _latest_by_partition(self, asset: str) -> dict[str | None, Event]:
        latest = "JOIN materialized ON id = last_id WHERE materialized.asset_key = ? ORDER BY first_id"
        return {event.partition_key: event for event in self._events(latest, asset)}

    def _latest_by_asset(self) -> dict[str, dict[str | None, Event]]:
        latest: dict[str, dict[str | None, Event]] = {}
        for event in self._events("JOIN materialized ON id = last_id ORDER BY first_id"):
            latest.setdefault(event.asset_key or "", {})[event.partition_key] = event
        return latest

    def _materialized(self, asset: str) -> list[str]:
        keys = "SELECT partition_key FROM materialized WHERE asset_key = ? ORDER BY first_id"
        return [key for (key,) in self._read(keys, asset) if key]

    def _events(self, where: str, *values: object) -> list[Event]:
        return [read_event(row) for row in self._read(f"{_EVENTS} {where}", *values)]

    def _asset_records(self, asset: str | None) -> list[AssetRecord]:
        if asset is not None:
            record = self._asset_record(asset)
            return [] if record is None else [record]
        # three queries for all assets, instead of three for each
        last = {event.asset_key or "": event for event in self._events(_LAST_EVENTS)}
        totals = {name: counts for name, *counts in self._read(_TOTALS)}
        events = {event.id: event for event in last.values()}
        if not events.keys() >= {number for *_, number in totals.values()}:
            events.update((event.id, event) for event in self._events(_LAST_MATERIALIZATIONS))
        records = []
        for name in sorted(last):
            count, partitions, number = totals.get(name, (0, 0, None))
            records.append(AssetRecord(name, last[name], events.get(number), count, partitions))
        return records

    def _asset_record(self, asset: str) -> AssetRecord | None:
        if not (last := self._asset_events(asset, 1)):
            return None
        totals = "SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT), COUNT(NULLIF(partition_key, '')) FROM materialized"
        ((materializations, partitions),) = self._read(f"{totals} WHERE asset_key = ?", asset)
        return AssetRecord(asset, last[0], self._latest(asset, None), materializations, partitions)

    def _add_keys(self, name: str, keys: list[str]) -> None:
        insert = "INSERT INTO dynamic_partitions (name, partition_key) VALUES (?, ?) ON CONFLICT DO NOTHING"
        self._write(lambda connection: connection.executemany(insert, [(name, key) for key in keys]))

    def _delete_key(self, name: str, key: str) -> None:
        delete = "DELETE FROM dynamic_partitions WHERE name = ? AND partition_key = ?"
        self._write(lambda connection: connection.execute(delete, (name, key)))

    def _keys(self, name: str) -> list[str]:
        rows = self._read(
            "SELECT partition_key FROM dynamic_partitions WHERE name = ? ORDER BY position", name
        )
        return [key for (key,) in rows]

    def _has_key(self, name: str, key: str) -> bool:
        known = "SELECT 1 FROM dynamic_partitions WHERE name = ? AND partition_key = ?"
        return bool(self._read(known, name, key))

    def _close_logged(self) -> None:
        try:
            self.close()
        except StorageError as error:
            _LOG.error("Events were lost when the event log was closed. %s", error)

    def _forget_parent(self) -> None:
        # Connections must not cross a fork: closing one here would end that of the parent.
        _of_parents.append((self._database, self._owner, self._timer))
        self._fresh()


def _unwritten(events: Sequence[Event]) -> str:
    """Return a sentence that lists the events that could not be written."""
    names = [
        f"{event.event_type} of {event.asset_key or event.run_id!r}"
        + (f" [{event.partition_key}]" if event.partition_key else "")
        for event in events[:SHOWN_EVENTS]
    ]
    rest = len(events) - len(names)
    return (
        f"Not written: {len(events)} {'event' if len(events) == 1 else 'events'} ({', '.join(names)}"
        f"{f' and {rest} more' if rest else ''}); the next write tries again, until this process ends."
    )


def _chunks(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _sql_limit(limit: int | None) -> int:
    return _NO_LIMIT if limit is None else limit


_open_storages: WeakSet[SQLStorage] = WeakSet()
_of_parents: list[object] = []


def _close_all() -> None:
    for storage in list(_open_storages):
        storage._close_logged()  # noqa: SLF001 - same module


def _forget_all() -> None:
    for storage in list(_open_storages):
        storage._forget_parent()  # noqa: SLF001 - same module


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
