"""Connections to PostgreSQL: statements, and errors that a new connection may avoid."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rivers_postgres.address import Address

# Classes of SQLSTATE: connection exceptions, the server stops or starts, a transaction that another one made fail.
_LOST: Final = ("08", "57P01", "57P02", "57P03", "40001", "40P01")
# Errors of a connection that is not made again: wrong password, unknown role or database, no permission.
_REFUSED: Final = ("28", "3D000", "42501")


class PostgresConnection:
    """Connection that takes statements with `?` for each value.

    Args:
        connection: Open connection.
    """

    unstorable: ClassVar[tuple[type[Exception], ...]] = (UnicodeEncodeError, OverflowError, psycopg.DataError)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Run a statement."""
        return self._connection.execute(translate(statement), [_storable(value) for value in values])

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run a statement once for each row."""
        with self._connection.cursor() as cursor:
            cursor.executemany(translate(statement), rows)


@lru_cache(256)
def translate(statement: str) -> bytes:
    """Return a statement with the placeholders of psycopg; bytes, since psycopg wants text to be literal."""
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _storable(value: Any) -> Any:
    # what was stored as escaped text is found by the same text
    if isinstance(value, str) and ("\0" in value or not value.isascii()):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return value


def open_connection(address: Address, *, read_only: bool, durable: bool) -> psycopg.Connection[Any]:
    """Return a new connection, prepared as those of the pool are.

    Raises:
        psycopg.Error: The server cannot be reached, or refuses.
    """
    connection = psycopg.connect(address.url, autocommit=True, **address.settings)  # type: ignore[arg-type]
    try:
        prepare_connection(connection, address, read_only=read_only, durable=durable)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_connection(
    connection: psycopg.Connection[Any], address: Address, *, read_only: bool, durable: bool
) -> None:
    """Set what the statements of this package expect."""
    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(address.schema)))
    if read_only:
        connection.execute("SET default_transaction_read_only TO on")
    if durable:
        connection.execute("SET synchronous_commit TO on")


def is_lost(error: psycopg.Error) -> bool:
    """Return whether an error says that the connection is gone or the transaction lost, not that it is refused."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_LOST)


def is_refused(error: psycopg.Error) -> bool:
    """Return whether the server answers, but refuses the connection."""
    text = str(error)
    return (error.sqlstate or "").startswith(_REFUSED) or any(
        mark in text
        for mark in ("authentication failed", "does not exist", "no password supplied", "permission denied")
    )
