"""Event storage in PostgreSQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rivers.storage.sql import SQLStorage
from rivers_postgres.address import Address
from rivers_postgres.database import PostgresDatabase

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.storage.sql import Database


class PostgresStorage(SQLStorage):
    """Event storage in one schema of a PostgreSQL database (13 or newer), shared by several machines.

    The server has to be reached directly or through a pooler that keeps sessions: locks and notifications belong to
    a session. It is pickled as its URL.

    Args:
        url: `postgresql://user@host/database`; `?schema=NAME` chooses the schema, by default `rivers`. What the URL
            does not set is read from the variables of libpq, such as `PGPASSWORD`.
        read_only: Only read existing tables.
        durable: Commit only after the server flushed the transaction, whatever its settings.

    Raises:
        StorageError: The URL is not valid.
    """

    def __init__(self, url: str, *, read_only: bool = False, durable: bool = False) -> None:
        self._url = url
        self._address = Address.parse(url)
        self._read_only = read_only
        self._durable = durable
        super().__init__()

    def _connect(self) -> Database:
        return PostgresDatabase(self._address, read_only=self._read_only, durable=self._durable)

    def __reduce__(self) -> tuple[Callable[..., PostgresStorage], tuple[str]]:
        make = partial(PostgresStorage, read_only=self._read_only, durable=self._durable)
        return make, (self._url,)

    def __repr__(self) -> str:
        return f"Storage.connect({self._address.shown!r})"
