"""Tables of `rivers.db` and migrations from older schema versions."""

from __future__ import annotations

from importlib.metadata import version
from time import time_ns
from typing import TYPE_CHECKING, Final

from rivers.exceptions import StorageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

VERSION: Final = 2

# "RIVR": marks the file as one of rivers, not of another program that uses SQLite.
APPLICATION_ID: Final = 0x52495652

# Running steps, log records and requests to cancel, in the same file as the events, so that other processes see them.
_LIVE_TABLES: Final = (
    """
    CREATE TABLE running_steps (
        run_id TEXT NOT NULL,
        step TEXT NOT NULL,
        asset_key TEXT NOT NULL,
        partition_key TEXT,
        attempt INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        place TEXT NOT NULL
    )
    """,
    "CREATE INDEX running_steps_of_run ON running_steps (run_id)",
    """
    CREATE TABLE logs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL,
        step TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        level TEXT NOT NULL,
        message TEXT NOT NULL,
        asset_key TEXT,
        partition_key TEXT,
        attempt INTEGER NOT NULL
    )
    """,
    "CREATE INDEX logs_of_run ON logs (run_id)",
    """
    CREATE TABLE cancellations (
        run_id TEXT PRIMARY KEY,
        requested_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

# Statements that migrate from the version that is the key to the next one.
MIGRATIONS: Final[dict[int, Sequence[str]]] = {1: _LIVE_TABLES}

_TABLES: Final = (
    """
    CREATE TABLE schema_history (
        version INTEGER PRIMARY KEY,
        applied_at INTEGER NOT NULL,
        writer TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        event_type TEXT NOT NULL,
        asset_key TEXT,
        run_id TEXT NOT NULL,
        partition_key TEXT,
        timestamp INTEGER NOT NULL,
        data_version TEXT,
        code_version TEXT,
        handler TEXT,
        step TEXT,
        attempt INTEGER NOT NULL,
        message TEXT,
        duration_ns INTEGER,
        tags TEXT,
        input_data_versions TEXT,
        metadata TEXT
    )
    """,
    "CREATE INDEX events_of_asset ON events (asset_key) WHERE asset_key IS NOT NULL",
    "CREATE INDEX events_of_run ON events (run_id)",
    # One row per partition ('' for none): the latest materialization is found without scanning events.
    """
    CREATE TABLE materialized (
        asset_key TEXT NOT NULL,
        partition_key TEXT NOT NULL,
        first_id INTEGER NOT NULL,
        last_id INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (asset_key, partition_key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE runs (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        start_time INTEGER NOT NULL,
        end_time INTEGER,
        job TEXT,
        partition_key TEXT,
        message TEXT,
        tags TEXT NOT NULL,
        steps TEXT NOT NULL,
        selection TEXT,
        owner TEXT
    )
    """,
    "CREATE INDEX running ON runs (status) WHERE status = 'running'",
    """
    CREATE TABLE dynamic_partitions (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        partition_key TEXT NOT NULL,
        UNIQUE (name, partition_key)
    )
    """,
    *_LIVE_TABLES,
    f"PRAGMA application_id = {APPLICATION_ID}",
)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create or migrate the tables; call it within a transaction.

    Args:
        connection: Open connection to the file.
        path: The file, for messages.

    Raises:
        StorageError: The file belongs to another program, or to a newer version of rivers.
    """
    current = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        _check_empty(connection, path)
        _apply(connection, _TABLES, VERSION)
    else:
        _check_not_newer(current, path)
    for older in range(current or VERSION, VERSION):
        _apply(connection, MIGRATIONS[older], older + 1)


def check_current(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the tables can be read as they are, without a migration.

    Args:
        connection: Open connection to the file.
        path: The file, for messages.

    Raises:
        StorageError: The file belongs to another program, or to another version of rivers.
    """
    current = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise StorageError(f"{path} is not an event log of rivers. Use the folder of one.")
    _check_not_newer(current, path)
    if current < VERSION:
        raise StorageError(
            f"{path} was written by an older rivers: its schema version is {current}, not {VERSION}. Run any command "
            "that writes, such as `rivers materialize`, to migrate it."
        )


def _check_not_newer(current: int, path: Path) -> None:
    if current > VERSION:
        raise StorageError(
            f"{path} was written by a newer rivers: its schema version is {current}, but rivers "
            f"{version('rivers-io')} supports versions up to {VERSION}. Upgrade with 'pip install -U rivers-io', "
            "or use another directory."
        )


def _check_empty(connection: sqlite3.Connection, path: Path) -> None:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name LIMIT 3")]
    if tables:
        raise StorageError(
            f"{path} is a SQLite file of another program with the tables {', '.join(tables)}. "
            "Use another directory for the storage."
        )


def _apply(connection: sqlite3.Connection, statements: Sequence[str], reached: int) -> None:
    for statement in statements:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_history VALUES (?, ?, ?)", (reached, time_ns(), version("rivers-io"))
    )
    connection.execute(f"PRAGMA user_version = {reached}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
