"""What recording costs: memory against a bare list append, SQLite against a raw executemany.

Each pair takes turns in one process; the figures are ratios of the best rounds, and hold on any machine.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rivers.storage import Event, Storage
from rivers.storage.sqlite.rows import event_row
from rivers_core.metadata import MetadataValue

EVENTS = 50_000
BATCH = 256
ROUNDS = 7
MEMORY_TARGET = 5
SQLITE_TARGET = 6

COLUMNS = "id INTEGER PRIMARY KEY, " + ", ".join(f"c{n}" for n in range(15))


def make_events(count: int) -> list[Event]:
    """Events as a run with stored values records them."""
    metadata = {"rows": MetadataValue.int(1000), "path": MetadataValue.text("orders/2024-01-01/data.pkl")}
    return [
        Event(
            "Materialization",
            run_id="run",
            asset_key=f"asset{n % 100}",
            partition_key=f"p{n % 1000}",
            data_version=f"{n:032x}",
            handler="pickle",
            step=f"asset{n % 100}",
            metadata=metadata,
            duration_ns=n,
        )
        for n in range(count)
    ]


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def construct() -> float:
    """Seconds for making events of the kind that an in-memory step records."""

    def work() -> None:
        for _ in range(EVENTS):
            Event("Materialization", run_id="r", asset_key="a", data_version="v", handler="memory", step="a")

    return seconds(work)


def append_to_list(events: list[Event]) -> float:
    """Seconds for the bare appends."""
    kept: list[Event] = []

    def work() -> None:
        append = kept.append
        for event in events:
            append(event)

    return seconds(work)


def record_in_memory(events: list[Event]) -> float:
    """Seconds for the same events in a storage."""
    storage = Storage.memory()

    def work() -> None:
        record = storage.record
        for event in events:
            record(event)

    return seconds(work)


@contextmanager
def raw_file(folder: Path) -> Iterator[sqlite3.Connection]:
    """A database with one table of as many columns, set up for speed as the storage is."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"CREATE TABLE events ({COLUMNS})")
    yield connection
    connection.close()


def write_raw(rows: list[tuple[object, ...]]) -> float:
    """Seconds for raw batches of ready-made rows, without any index."""
    insert = f"INSERT INTO events VALUES ({', '.join('?' * 16)})"
    with tempfile.TemporaryDirectory() as folder, raw_file(Path(folder)) as connection:

        def work() -> None:
            for first in range(0, len(rows), BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, rows[first : first + BATCH])
                connection.execute("COMMIT")

        return seconds(work)


def record_in_sqlite(events: list[Event]) -> float:
    """Seconds for recording the same events, with indexes, encoding and batching."""
    with tempfile.TemporaryDirectory() as folder, Storage.embedded(folder) as storage:

        def work() -> None:
            for event in events:
                storage.record(event)
            storage.flush()

        return seconds(work)


def main() -> int:
    """Print the ratios; 1 if one is worse than wanted."""
    events = make_events(EVENTS)
    rows = [(n, *event_row(event)[1:]) for n, event in enumerate(events)]
    contestants = {
        "make": construct,
        "append": lambda: append_to_list(events),
        "memory": lambda: record_in_memory(events),
        "raw": lambda: write_raw(rows),
        "sqlite": lambda: record_in_sqlite(events),
    }
    rounds = [{name: measure() for name, measure in contestants.items()} for _ in range(ROUNDS)]
    best = {name: min(figures[name] for figures in rounds) / EVENTS for name in contestants}
    memory, sqlite = best["memory"] / best["append"], best["sqlite"] / best["raw"]
    print(f"{EVENTS:,} events, fastest of {ROUNDS} interleaved rounds")
    print(f"  one event       made in {best['make'] * 1e9:.0f} ns")
    times = f"record() {best['memory'] * 1e9:.0f} ns   list.append {best['append'] * 1e9:.0f} ns"
    print(f"  memory          {times}   ratio {memory:.2f}   wanted: at most {MEMORY_TARGET}")
    times = f"record() {1 / best['sqlite']:,.0f}/s   executemany {1 / best['raw']:,.0f}/s"
    print(f"  SQLite          {times}   ratio {sqlite:.2f}   wanted: at most {SQLITE_TARGET}")
    return int(memory > MEMORY_TARGET or sqlite > SQLITE_TARGET)


if __name__ == "__main__":
    sys.exit(main())
