"""DuckDB instance of this process, which opens one file at a time."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAUSE_S: Final = 0.02


class Instance:
    """Opens a file for one transaction of one thread.

    To start an instance of DuckDB costs 40 ms of CPU time, to attach a file to a running one 2 ms (2.0.0).
    """

    def __init__(self) -> None:
        self._abandoned: list[duckdb.DuckDBPyConnection | None] = []
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._abandon)

    @contextmanager
    def transaction(self, path: Path, timeout_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection in a transaction, with the file as default database; commit unless an error occurs.

        Args:
            path: The file; DuckDB creates it if it does not exist.
            timeout_s: Seconds to wait while something else uses the file.

        Raises:
            duckdb.Error: Something else still uses the file (`is_in_use`), or a statement failed.
        """
        with self._lock:
            connection = self._connection = self._connection or duckdb.connect()
            try:
                _attach(connection, path, timeout_s)
                with connection.cursor() as cursor:
                    cursor.execute("USE attached")
                    cursor.begin()
                    yield cursor
                    cursor.commit()
                connection.execute("DETACH attached")
            except BaseException:
                self._connection = None
                connection.close()  # rolls back, and lets go of the file; the instance may be unusable after an error
                raise

    def _abandon(self) -> None:
        """Forget the lock and the instance of the parent process, whose threads do not exist in this one."""
        self._abandoned.append(self._connection)  # to close it would wait for its threads
        self._lock = threading.Lock()
        self._connection = None


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, timeout_s: float) -> None:
    escaped = str(path).replace("'", "''")
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(f"ATTACH '{escaped}' AS attached")
        except duckdb.Error as error:
            if not is_in_use(error) or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(_PAUSE_S)


def is_in_use(error: duckdb.Error) -> bool:
    """Return whether a file could not be opened because another process or connection uses it.

    Args:
        error: The error of DuckDB.
    """
    is_locked = isinstance(error, duckdb.IOException) and "lock on file" in str(error)
    return is_locked or isinstance(error, duckdb.ResourceInUseException)


INSTANCE: Final = Instance()
