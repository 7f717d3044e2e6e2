"""Tables in a schema of PostgreSQL."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from rivers.exceptions import StorageError
from rivers.storage.sql import MIGRATIONS, VERSION, Dialect, NoTablesError, create_tables, migrate_tables

if TYPE_CHECKING:
    from rivers.storage.sql import Connection

TYPES: Final = Dialect(
    integer="BIGINT",
    text='TEXT COLLATE "C"',
    number="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    position="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
)

_COORDINATION: Final = (
    # each transaction that writes locks the row, so that ids are visible in ascending order
    "CREATE TABLE changes (count BIGINT NOT NULL)",
    "INSERT INTO changes VALUES (0)",
    "CREATE TABLE owners (owner TEXT PRIMARY KEY, seen_at TIMESTAMPTZ NOT NULL)",
)


def prepare(connection: Connection, schema: str, address: str) -> None:
    """Create or migrate the tables; call it within a transaction.

    Args:
        connection: Connection whose search path is the schema.
        schema: Name of the schema.
        address: Address of the storage, for messages.

    Raises:
        StorageError: The schema belongs to another program, or to a newer version of rivers.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('rivers'), hashtext(?))", (schema,))
    known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (schema,)).fetchone()
    if known is None:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    tables = _tables(connection, schema)
    if not tables:
        create_tables(connection, TYPES)
        for statement in _COORDINATION:
            connection.execute(statement)
    else:
        current = read_version(connection, schema, address)
        migrate_tables(connection, TYPES, current, VERSION, MIGRATIONS)


def read_version(connection: Connection, schema: str, address: str) -> int:
    """Return the version of the tables, which this rivers supports.

    Args:
        connection: Connection whose search path is the schema.
        schema: Name of the schema.
        address: Address of the storage, for messages.

    Raises:
        NoTablesError: The schema has no tables.
        StorageError: The schema is not one of rivers, or one of a newer version.
    """
    tables = _tables(connection, schema)
    if not {"schema_history", "events", "changes"} <= set(tables):
        kind = f"has the tables {', '.join(sorted(tables)[:3])} of another program" if tables else "is empty"
        error = StorageError if tables else NoTablesError
        raise error(f"{address}: the schema {schema!r} {kind}. Use another one with ?schema=NAME in the URL.")
    current: int = connection.execute("SELECT MAX(version) FROM schema_history").fetchone()[0]
    if current > VERSION:
        raise StorageError(
            f"{address} was written by a newer rivers: its schema version is {current}, but rivers "
            f"{version('rivers-io')} supports versions up to {VERSION}. Upgrade with 'pip install -U rivers-io'."
        )
    return current


def _tables(connection: Connection, schema: str) -> list[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (schema,)).fetchall()
    return [name for (name,) in rows]
