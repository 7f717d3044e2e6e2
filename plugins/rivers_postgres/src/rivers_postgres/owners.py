"""Detect dead processes: each storage that starts runs renews a time in the database and holds a lock there."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.storage.sql import Connection

RENEWAL_SECONDS: Final = 2.0
GRACE_SECONDS: Final = 10.0
"""A process whose connection is lost has this long to connect again before its runs count as interrupted."""

_RENEW: Final = """
    INSERT INTO owners VALUES (%s, clock_timestamp())
    ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at
"""
_LOG: Final = logging.getLogger("rivers.storage")


class PostgresOwner:
    """Entry of one open storage, renewed by a thread while its runs are alive.

    The lock keeps an entry alive whose thread cannot run, such as while a library holds the interpreter's lock; the
    time keeps one alive whose connection is lost.

    Args:
        connect: Opens a connection.

    Raises:
        psycopg.Error: The server cannot be reached, or refuses.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self.id = uuid4().hex
        self._connect = connect
        self._released = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        try:
            self._renew()
        except BaseException:
            self._disconnect()
            raise
        self._thread = threading.Thread(target=self._keep, name="rivers-owner", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Remove the entry; running runs of this owner count as interrupted from then on."""
        self._released.set()
        self._thread.join()
        with suppress(psycopg.Error):
            if self._connection is None:
                self._renew()
            if self._connection is not None:
                self._connection.execute("DELETE FROM owners WHERE owner = %s", (self.id,))
        self._disconnect()

    def _keep(self) -> None:
        while not self._released.wait(RENEWAL_SECONDS):
            try:
                self._renew()
            except psycopg.Error as error:
                _LOG.debug("the entry of this process is not renewed: %s", type(error).__name__)
                self._disconnect()

    def _renew(self) -> None:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_number(self.id),))
        self._connection.execute(_RENEW, (self.id,))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def is_gone(connection: Connection, owner: str | None) -> bool:
    """Return whether the process of an owner has ended; call it within a transaction.

    Args:
        connection: Open connection.
        owner: Id of a `PostgresOwner`; None counts as gone.
    """
    seen = "SELECT EXTRACT(EPOCH FROM clock_timestamp() - seen_at)::float8 FROM owners WHERE owner = ?"
    row = None if owner is None else connection.execute(seen, (owner,)).fetchone()
    if owner is None or row is None:
        return True
    if row[0] < GRACE_SECONDS:
        return False
    if not connection.execute("SELECT pg_try_advisory_xact_lock(?)", (lock_number(owner),)).fetchone()[0]:
        return False
    connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))
    return True


def lock_number(owner: str) -> int:
    """Return the number of the advisory lock of an owner."""
    return int(owner[:15], 16)
