"""Event storages in SQL databases, whatever the database: what packages with an event storage build on.

`SQLStorage` has the batches, the queries and the transactions of an event log; a package adds a `Database`, which opens
connections, runs transactions and knows which processes are alive. `create_tables` and `MIGRATIONS` have the tables.
"""

from __future__ import annotations

from rivers.storage.sql.database import Connection, Cursor, Database, NoTablesError, RunOwner
from rivers.storage.sql.rows import (
    RUN_COLUMNS,
    Row,
    insert_events,
    interrupt_run,
    read_run,
)
from rivers.storage.sql.schema import MIGRATIONS, VERSION, Dialect, create_tables, migrate_tables
from rivers.storage.sql.storage import SQLStorage

__all__ = [
    "MIGRATIONS",
    "RUN_COLUMNS",
    "VERSION",
    "Connection",
    "Cursor",
    "Database",
    "Dialect",
    "NoTablesError",
    "Row",
    "RunOwner",
    "SQLStorage",
    "create_tables",
    "insert_events",
    "interrupt_run",
    "migrate_tables",
    "read_run",
]
