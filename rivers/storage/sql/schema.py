"""Tables of an event log and migrations from older schema versions, for each database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from time import time_ns
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.storage.sql.database import Connection

VERSION: Final = 2
"""Version of the tables that this rivers reads and writes."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Types of the columns of a database.

    Attributes:
        integer: Whole number of 64 bits.
        text: Text, compared by code points.
        number: Primary key that the database numbers, ascending.
        position: The same, but a number is never used again.
        clustered: Suffix of a table that is stored in the order of its primary key.
    """

    integer: str
    text: str
    number: str
    position: str
    clustered: str = ""


# Running steps, log records and requests to cancel, beside the events, so that other processes see them.
_LIVE_TABLES: Final = (
    """
    CREATE TABLE running_steps (
        run_id {text} NOT NULL,
        step {text} NOT NULL,
        asset_key {text} NOT NULL,
        partition_key {text},
        attempt {integer} NOT NULL,
        started_at {integer} NOT NULL,
        place {text} NOT NULL
    )
    """,
    "CREATE INDEX running_steps_of_run ON running_steps (run_id)",
    """
    CREATE TABLE logs (
        id {number},
        run_id {text} NOT NULL,
        step {text} NOT NULL,
        timestamp {integer} NOT NULL,
        level {text} NOT NULL,
        message {text} NOT NULL,
        asset_key {text},
        partition_key {text},
        attempt {integer} NOT NULL
    )
    """,
    "CREATE INDEX logs_of_run ON logs (run_id)",
    """
    CREATE TABLE cancellations (
        run_id {text} PRIMARY KEY,
        requested_at {integer} NOT NULL
    ){clustered}
    """,
)

MIGRATIONS: Final[dict[int, Sequence[str]]] = {1: _LIVE_TABLES}
"""Statements that migrate from the version that is the key to the next one, with the types of a `Dialect` in braces."""

_TABLES: Final = (
    """
    CREATE TABLE schema_history (
        version {integer} PRIMARY KEY,
        applied_at {integer} NOT NULL,
        writer {text} NOT NULL
    )
    """,
    """
    CREATE TABLE events (
        id {integer} PRIMARY KEY,
        event_type {text} NOT NULL,
        asset_key {text},
        run_id {text} NOT NULL,
        partition_key {text},
        timestamp {integer} NOT NULL,
        data_version {text},
        code_version {text},
        handler {text},
        step {text},
        attempt {integer} NOT NULL,
        message {text},
        duration_ns {integer},
        tags {text},
        input_data_versions {text},
        metadata {text}
    )
    """,
    "CREATE INDEX events_of_asset ON events (asset_key) WHERE asset_key IS NOT NULL",
    "CREATE INDEX events_of_run ON events (run_id)",
    # One row per partition ('' for none): the latest materialization is found without scanning events.
    """
    CREATE TABLE materialized (
        asset_key {text} NOT NULL,
        partition_key {text} NOT NULL,
        first_id {integer} NOT NULL,
        last_id {integer} NOT NULL,
        count {integer} NOT NULL,
        PRIMARY KEY (asset_key, partition_key)
    ){clustered}
    """,
    """
    CREATE TABLE runs (
        position {position},
        run_id {text} NOT NULL UNIQUE,
        status {text} NOT NULL,
        start_time {integer} NOT NULL,
        end_time {integer},
        job {text},
        partition_key {text},
        message {text},
        tags {text} NOT NULL,
        steps {text} NOT NULL,
        selection {text},
        owner {text}
    )
    """,
    "CREATE INDEX running ON runs (status) WHERE status = 'running'",
    """
    CREATE TABLE dynamic_partitions (
        position {position},
        name {text} NOT NULL,
        partition_key {text} NOT NULL,
        UNIQUE (name, partition_key)
    )
    """,
    *_LIVE_TABLES,
)


def create_tables(connection: Connection, dialect: Dialect) -> None:
    """Create the tables in their current version; call it within a transaction.

    Args:
        connection: Open connection to an empty database.
        dialect: Types of the database.
    """
    _apply(connection, _TABLES, VERSION, dialect)


def migrate_tables(
    connection: Connection,
    dialect: Dialect,
    current: int,
    target: int = VERSION,
    migrations: Mapping[int, Sequence[str]] = MIGRATIONS,
) -> None:
    """Migrate older tables to the current version; call it within a transaction.

    Args:
        connection: Open connection to the database.
        dialect: Types of the database.
        current: Version of the tables.
        target: Version to reach.
        migrations: The statements by version.
    """
    for older in range(current, target):
        _apply(connection, migrations[older], older + 1, dialect)


def _apply(connection: Connection, statements: Sequence[str], reached: int, dialect: Dialect) -> None:
    types = asdict(dialect)
    for statement in statements:
        connection.execute(statement.format_map(types))
    connection.execute(
        "INSERT INTO schema_history VALUES (?, ?, ?)", (reached, time_ns(), version("rivers-io"))
    )
