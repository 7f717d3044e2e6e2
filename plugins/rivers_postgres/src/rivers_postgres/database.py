"""Database of the storage: a pool of connections, transactions that are applied once, notifications."""

from __future__ import annotations

from contextlib import suppress
from threading import RLock
from time import monotonic, sleep, time_ns
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from rivers.exceptions import StorageError
from rivers.storage.sql import RUN_COLUMNS, VERSION, interrupt_run, read_run
from rivers_postgres.connection import (
    PostgresConnection,
    is_lost,
    is_refused,
    open_connection,
    prepare_connection,
    translate,
)
from rivers_postgres.owners import PostgresOwner, is_gone
from rivers_postgres.schema import prepare, read_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rivers.storage.sql import Connection, Row
    from rivers_postgres.address import Address

T = TypeVar("T")

RETRY_SECONDS: Final = 30.0
FIRST_DELAY_SECONDS: Final = 0.1
LAST_DELAY_SECONDS: Final = 2.0
POOL_SIZE: Final = 4

# The row is locked until the end of the transaction: one writer at a time, as in SQLite.
_BEGIN_WRITE: Final = "UPDATE changes SET count = count + 1 RETURNING pg_current_xact_id()::text"
_REMOVE_OWNERS: Final = """
    DELETE FROM owners WHERE seen_at < clock_timestamp() - INTERVAL '1 day'
    AND owner NOT IN (SELECT owner FROM runs WHERE owner IS NOT NULL)
"""
_OUTCOME: Final = "SELECT pg_xact_status(%s::text::xid8)"


class PostgresDatabase:
    """Tables in one schema, opened on first use, shared by all threads.

    Args:
        address: Where the tables are.
        read_only: Change nothing: no migration, no interrupted run is closed.
        durable: Commit only after the server flushed the transaction, whatever its settings.
    """

    def __init__(self, address: Address, *, read_only: bool = False, durable: bool = False) -> None:
        self.address = address
        self.lock = RLock()
        self._read_only = read_only
        self._durable = durable
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._listener: psycopg.Connection[Any] | None = None

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Call a function in one transaction and return its result; a lost connection is opened again.

        If the connection is lost during the commit, the server is asked for the outcome, so that nothing is applied
        twice.

        Raises:
            StorageError: The server cannot be reached for half a minute, or refuses.
        """
        with self.lock:
            attempt = _Transaction(work)
            self._retried(attempt.run)
            return attempt.result

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement.

        Raises:
            StorageError: The server cannot be reached for half a minute, or refuses.
        """
        return self._retried(lambda raw: PostgresConnection(raw).execute(statement, values).fetchall())

    def change_token(self) -> str:
        """Return a text that changes with every transaction that writes, of any process."""
        ((count,),) = self.query("SELECT count FROM changes")
        return str(count)

    def wait(self, seconds: float) -> None:
        """Wait until a process writes, at most some time; the first call only begins to listen."""
        try:
            if self._listener is None:
                self._listener = self._connect()
                self._listener.execute(f'LISTEN "{self._channel}"'.encode())
                return
            for _ in self._listener.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.close()
            sleep(min(seconds, FIRST_DELAY_SECONDS))

    def claim(self) -> PostgresOwner:
        """Return the entry that marks runs of this process as alive."""
        return self._retried(lambda _: PostgresOwner(self._connect))

    def interrupt_orphans(self, connection: Connection, run_id: str | None = None) -> None:
        """Close runs whose process is gone as "interrupted"; call it within a transaction.

        Args:
            connection: Open connection.
            run_id: Check only this run.
        """
        statement = (
            f"SELECT {RUN_COLUMNS} FROM runs WHERE status = 'running' AND run_id = COALESCE(?, run_id)"
        )
        rows = connection.execute(statement, (run_id,)).fetchall()
        gone = {owner: is_gone(connection, owner) for owner in {row[-1] for row in rows}}
        for row in rows:
            if gone[row[-1]]:
                interrupt_run(connection, read_run(row), time_ns())

    def vacuum(self) -> None:
        """Let the server use the space of removed rows for new ones."""
        tables = ("events", "materialized", "runs", "logs", "running_steps", "changes", "owners")
        self._retried(lambda raw: raw.execute(translate(f"VACUUM (ANALYZE) {', '.join(tables)}")))

    def close(self) -> None:
        """Close all connections; a later use opens others."""
        with self.lock:
            pool, self._pool = self._pool, None
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.close()
            if pool is not None:
                pool.close()

    @property
    def _channel(self) -> str:
        return f"rivers_{self.address.schema}"

    def _connect(self) -> psycopg.Connection[Any]:
        return open_connection(self.address, read_only=self._read_only, durable=self._durable)

    def _retried(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Call a function with a connection, and again with another one if the connection is lost."""
        end, delay = monotonic() + RETRY_SECONDS, FIRST_DELAY_SECONDS
        while True:
            pool = self._pool
            try:
                pool = pool or self._open()
                with pool.connection(timeout=max(end - monotonic(), FIRST_DELAY_SECONDS)) as raw:
                    return work(raw)
            except psycopg.Error as error:
                if pool is None or not is_lost(error) or monotonic() + delay > end:
                    raise self._explained(error) from error
            sleep(delay)
            delay = min(delay * 2, LAST_DELAY_SECONDS)
            if pool is self._pool:  # no other thread closed it
                with suppress(psycopg.Error):
                    pool.check()

    def _open(self) -> ConnectionPool[psycopg.Connection[Any]]:
        with self.lock:
            if self._pool is not None:
                return self._pool
            with self._connect() as raw, raw.transaction():
                connection = PostgresConnection(raw)
                if self._read_only:
                    self._check_readable(connection)
                else:
                    prepare(connection, self.address.schema, self.address.shown)
                    raw.execute(_BEGIN_WRITE)
                    self.interrupt_orphans(connection)
                    raw.execute(_REMOVE_OWNERS)
            self._pool = ConnectionPool(
                self.address.url,
                min_size=0,
                max_size=POOL_SIZE,
                open=True,
                kwargs={"autocommit": True, **self.address.settings},
                configure=self._configure,
                name=self._channel,
            )
            return self._pool

    def _check_readable(self, connection: Connection) -> None:
        current = read_version(connection, self.address.schema, self.address.shown)
        if current < VERSION:
            raise StorageError(
                f"{self.address.shown} was written by an older rivers: its schema version is {current}, not {VERSION}. "
                "Run any command that writes, such as `rivers materialize`, to migrate it."
            )

    def _configure(self, raw: psycopg.Connection[Any]) -> None:
        prepare_connection(raw, self.address, read_only=self._read_only, durable=self._durable)

    def _explained(self, error: psycopg.Error) -> StorageError:
        if isinstance(error, PoolTimeout):  # it does not have the cause
            try:
                self._connect().close()
            except psycopg.Error as cause:
                error = cause
        text = " ".join(self.address.redact(str(error)).split()) or type(error).__name__
        if is_refused(error):
            advice = "Check user, password, database and permissions"
        elif is_lost(error):
            advice = "Check that the server runs and can be reached, and try again"
        elif error.sqlstate == "25006":
            advice = "The storage is read-only"
        else:
            advice = "PostgreSQL reports an error"
        return StorageError(f"{self.address.shown}: {text}. {advice}.")


class _Transaction(Generic[T]):
    """A transaction that is applied once, however often its connection is lost.

    Args:
        work: Function that writes and returns the result.
    """

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self._committing: str | None = None
        self.result: T

    def run(self, raw: psycopg.Connection[Any]) -> None:
        """Apply the transaction, unless an earlier commit whose answer was lost did."""
        if self._committing is not None and self._is_committed(raw, self._committing):
            return
        self._committing = None
        raw.execute("BEGIN")
        try:
            row = raw.execute(_BEGIN_WRITE).fetchone()
            assert row is not None
            self.result = self._work(PostgresConnection(raw))
            raw.execute("SELECT pg_notify('rivers_' || current_schema(), '')")
            self._committing = row[0]
            raw.execute("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):
                raw.rollback()
            raise

    def _is_committed(self, raw: psycopg.Connection[Any], number: str) -> bool:
        row = raw.execute(_OUTCOME, (number,)).fetchone()
        assert row is not None
        if row[0] == "in progress":
            raise psycopg.OperationalError("the outcome of the commit is not known yet")
        if row[0] is None:
            raise psycopg.DatabaseError("the outcome of a commit is too old to be known")
        return bool(row[0] == "committed")
