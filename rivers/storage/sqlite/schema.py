"""Mark of `rivers.db`, and checks of its schema version."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from rivers.exceptions import StorageError
from rivers.storage.sql.schema import MIGRATIONS, VERSION, Dialect, create_tables, migrate_tables

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rivers.storage.sqlite.connection import SQLiteConnection

# "RIVR": marks the file as one of rivers, not of another program that uses SQLite.
APPLICATION_ID: Final = 0x52495652

_TYPES: Final = Dialect(
    integer="INTEGER",
    text="TEXT",
    number="INTEGER PRIMARY KEY",
    position="INTEGER PRIMARY KEY AUTOINCREMENT",
    clustered=" WITHOUT ROWID",
)


def prepare(connection: SQLiteConnection, path: Path) -> None:
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
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        create_tables(connection, _TYPES)
    else:
        _check_not_newer(current, path)
        migrate_tables(connection, _TYPES, current or VERSION, VERSION, MIGRATIONS)
    if current != VERSION:
        connection.execute(f"PRAGMA user_version = {VERSION}")


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
    if current < 0:
        raise StorageError(
            f"{path}: the schema version is {current}, which no rivers writes: the file is damaged. Restore a copy, or "
            "move the file to start a new event log."
        )
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


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
