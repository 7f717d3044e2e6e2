"""Cost of recording events: in memory against a bare list append, in SQLite against a raw executemany."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Report, run_interleaved

from rivers.storage import Event, Storage
from rivers.storage.sql.rows import event_row
from rivers_core import MetadataValue

EVENTS = 50_000
BATCH = 256
MEMORY_TARGET = 5
SQLITE_TARGET = 6

COLUMNS = "id INTEGER PRIMARY KEY, " + ", ".join(f"c{number}" for number in range(15))


def make_events(count: int) -> list[Event]:
    """Return events as a run records them for stored values."""
    metadata = {"rows": MetadataValue.int(1000), "path": MetadataValue.text("orders/2024-01-01/data.pkl")}
    return [
        Event(
            "Materialization",
            run_id="run",
            asset_key=f"asset{number % 100}",
            partition_key=f"p{number % 1000}",
            data_version=f"{number:032x}",
            handler="pickle",
            step=f"asset{number % 100}",
            metadata=metadata,
            duration_ns=number,
        )
        for number in range(count)
    ]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def construct() -> float:
    """Return the seconds for constructing the events that an in-memory step records."""

    def work() -> None:
        for _ in range(EVENTS):
            Event("Materialization", run_id="r", asset_key="a", data_version="v", handler="memory", step="a")

    return seconds(work)


def append_to_list(events: list[Event]) -> float:
    """Return the seconds for bare list appends."""
    items: list[Event] = []

    def work() -> None:
        append = items.append
        for event in events:
            append(event)

    return seconds(work)


def record_in_memory(events: list[Event]) -> float:
    """Return the seconds for recording the same events in an in-memory storage."""
    storage = Storage.memory()

    def work() -> None:
        record = storage.record
        for event in events:
            record(event)

    return seconds(work)


@contextmanager
def raw_database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a database with one table of as many columns, and with the pragmas of the storage."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"CREATE TABLE events ({COLUMNS})")
    yield connection
    connection.close()


def insert_raw(rows: list[tuple[object, ...]]) -> float:
    """Return the seconds for inserting prepared rows in batches, into a table without an index."""
    insert = f"INSERT INTO events VALUES ({', '.join('?' * 16)})"
    with tempfile.TemporaryDirectory() as folder, raw_database(Path(folder)) as connection:

        def work() -> None:
            for first in range(0, len(rows), BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, rows[first : first + BATCH])
                connection.execute("COMMIT")

        return seconds(work)


def record_in_sqlite(events: list[Event]) -> float:
    """Return the seconds for recording the same events, with encoding, batches and indexes."""
    with tempfile.TemporaryDirectory() as folder, Storage.embedded(folder) as storage:

        def work() -> None:
            for event in events:
                storage.record(event)
            storage.flush()

        return seconds(work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    events = make_events(EVENTS)
    rows = [(number, *event_row(event)[1:]) for number, event in enumerate(events)]
    measurements = run_interleaved(
        {
            "construct": construct,
            "append": lambda: append_to_list(events),
            "memory": lambda: record_in_memory(events),
            "raw": lambda: insert_raw(rows),
            "sqlite": lambda: record_in_sqlite(events),
        },
        rounds,
        warm_up=0,
    )
    report = Report(f"one of {EVENTS:,} events, fastest of {rounds} interleaved rounds")
    fastest = {name: min(times) / EVENTS for name, times in measurements.items()}
    report.ratio("construct  :  list.append", fastest["construct"], fastest["append"])
    report.ratio("record in memory  :  list.append", fastest["memory"], fastest["append"], MEMORY_TARGET)
    report.ratio("record in SQLite  :  executemany", fastest["sqlite"], fastest["raw"], SQLITE_TARGET)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
