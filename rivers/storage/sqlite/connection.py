"""Connection to the SQLite file: opening, transactions, and errors with advice."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from time import sleep, time_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from rivers.exceptions import StorageError
from rivers.storage.sql.rows import RUN_COLUMNS, interrupt_run, read_run
from rivers.storage.sqlite import owners, schema
from rivers.storage.sqlite.file_lock import lock, unlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.storage.sql.database import Connection
    from rivers.storage.sql.rows import Row

T = TypeVar("T")

BUSY_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
_HEADER_BYTES: Final = 100

_ADVICE: Final = {
    "SQLITE_NOTADB": "not a SQLite file. Use another directory, or move the file to start a new event log",
    "SQLITE_CORRUPT": "the file is damaged. Restore a copy, or move the file to start a new event log",
    "SQLITE_ERROR": (
        "the tables are not those of rivers: they were changed, or the file is damaged. Restore a copy, or move the "
        "file to start a new event log"
    ),
    "SQLITE_BUSY": f"another process kept it locked for {BUSY_SECONDS:.0f} s. Try again when that process has ended",
    "SQLITE_READONLY": "the file is read-only. Check the permissions of the file and its directory",
    "SQLITE_CANTOPEN": "the file cannot be opened. Check the permissions of the file and its directory",
    "SQLITE_PERM": "access is denied. Check the permissions of the file and its directory",
    "SQLITE_FULL": "the disk is full. Free some space and try again",
    "SQLITE_IOERR": "the disk reports an error; it may be full. Check the disk and try again",
}
_NOT_TEXT: Final = "Could not decode to UTF-8"


class SQLiteConnection(sqlite3.Connection):
    """Connection of Python's SQLite module, with the errors of values that it cannot store."""

    unstorable: ClassVar[tuple[type[Exception], ...]] = (
        UnicodeEncodeError,
        OverflowError,
        sqlite3.ProgrammingError,
        sqlite3.InterfaceError,
    )


class SQLiteDatabase:
    """Connection to the `rivers.db` of a directory, opened on first use, shared by all threads.

    Args:
        directory: Directory of the file.
        read_only: Open an existing file without changing anything: no migration, no interrupted run is closed.
        durable: Flush each commit to the disk.
    """

    def __init__(self, directory: Path, *, read_only: bool = False, durable: bool = False) -> None:
        self.path = directory / "rivers.db"
        self.owners = directory / "owners"
        self.lock = RLock()
        self._read_only = read_only
        self._durable = durable
        self._connection: SQLiteConnection | None = None
        self._identity: tuple[int, int] | None = None
        self._frozen: tuple[int, int] | None = None
        self._openings = 0

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Call a function in one transaction and return its result.

        Raises:
            StorageError: The file cannot be opened or written, or is not the one that was opened.
        """
        with self.lock, self._explained():
            connection = self._connection or self._open()
            self._check_identity()
            return _in_transaction(connection, work)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement.

        Raises:
            StorageError: The file cannot be opened or read.
        """
        with self.lock, self._explained():
            if self._frozen is not None and self._frozen != self._content_state():
                self.close()
            connection = self._connection or self._open()
            _roll_back(connection)
            return connection.execute(statement, values).fetchall()

    def change_token(self) -> str:
        """Return a text that changes with every commit of any process, and every row that this one writes.

        Raises:
            StorageError: The file cannot be opened or read.
        """
        ((version,),) = self.query("PRAGMA data_version")
        with self.lock:
            # `data_version` does not count the commits of this connection
            written = 0 if self._connection is None else self._connection.total_changes
            return f"{self._openings}-{version}-{written}"

    def wait(self, seconds: float) -> None:
        """Wait until another process may have committed: SQLite has to be asked again."""
        sleep(min(seconds, POLL_SECONDS))

    def claim(self) -> owners.Owner:
        """Create the lock file that marks runs of this process as alive.

        Raises:
            StorageError: The lock file cannot be created.
        """
        with self.lock, self._explained():
            return self._exclusively(lambda: owners.Owner(self.owners))

    def interrupt_orphans(self, connection: Connection, run_id: str | None = None) -> None:
        """Close runs whose process has ended as "interrupted"; call it within a transaction.

        Args:
            connection: Open connection to the file.
            run_id: Check only this run.
        """
        statement = (
            f"SELECT {RUN_COLUMNS} FROM runs WHERE status = 'running' AND run_id = COALESCE(?, run_id)"
        )
        rows = connection.execute(statement, (run_id,)).fetchall()
        gone = {owner: owners.is_gone(self.owners, owner) for owner in {row[-1] for row in rows}}
        for row in rows:
            if gone[row[-1]]:
                interrupt_run(connection, read_run(row), time_ns())

    def vacuum(self) -> None:
        """Rewrite the file without the space of removed rows.

        Raises:
            StorageError: The file cannot be opened or written, or the disk is full: it needs space for a copy.
        """
        with self.lock, self._explained():
            connection = self._connection or self._open()
            self._check_identity()
            _roll_back(connection)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the connection if it is open; a later use opens another."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> SQLiteConnection:
        connect = self._connect_read_only if self._read_only else lambda: self._exclusively(self._connect)
        connection = self._connection = connect()
        self._openings += 1
        return connection

    def _connect(self) -> SQLiteConnection:
        if not self.path.exists():
            self._create()
        elif self.path.stat().st_size < _HEADER_BYTES:
            # SQLite treats a file of no byte or one as a new database.
            raise StorageError(
                f"{self.path}: the file is empty or cut off, so its events are lost; rivers never leaves such a file. "
                "Restore a copy, or remove the file to start a new event log."
            )
        else:
            self._check_length()
        connection = _connect(self.path)
        try:
            _in_transaction(connection, lambda opened: schema.prepare(opened, self.path))
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            # in a write-ahead log NORMAL keeps the file intact in a power cut, but loses the last commits
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            _in_transaction(connection, self.interrupt_orphans)
            owners.remove_stale(self.owners)
        except BaseException:
            connection.close()
            raise
        self._identity = _identity(self.path.stat())
        return connection

    def _connect_read_only(self) -> SQLiteConnection:
        state = self._content_state()
        self._check_length()
        # SQLite creates files beside a database with a write-ahead log, even to read it; where it cannot, and there
        # is nothing to replay, it reads the file alone
        is_frozen = state[1] == 0 and is_read_only(self.path.parent)
        connection = _connect(f"{self.path.as_uri()}?{'immutable=1' if is_frozen else 'mode=ro'}", uri=True)
        self._frozen = state if is_frozen else None
        try:
            connection.execute("PRAGMA query_only = ON")
            schema.check_current(connection, self.path)
            self._identity = _identity(self.path.stat())
        except BaseException:
            connection.close()
            raise
        return connection

    def _content_state(self) -> tuple[int, int]:
        """Return what changes when another machine writes to a file that this one has open as immutable."""
        log = Path(f"{self.path}-wal")
        return self.path.stat().st_mtime_ns, log.stat().st_size if log.exists() else 0

    def _check_length(self) -> None:
        """Raise if the end of the file is missing; SQLite notices it only when it needs one of the lost pages."""
        if self._content_state()[1]:
            return  # the write-ahead log may hold the pages
        with self.path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or not header.startswith(b"SQLite format 3"):
            return  # SQLite reports that
        # https://www.sqlite.org/fileformat.html, 1.3.2 and 1.3.7: a page size of 65,536 is stored as 1
        page_size = int.from_bytes(header[16:18]) or 1
        expected = (65_536 if page_size == 1 else page_size) * int.from_bytes(header[28:32])
        size = self.path.stat().st_size
        if size < expected and header[24:28] == header[92:96]:
            raise StorageError(
                f"{self.path}: the file is cut off: it has {size} of {expected} bytes. Restore a copy, or move the "
                "file to start a new event log."
            )

    def _create(self) -> None:
        """Create the file under another name and rename it, so that an empty file is always a damaged one."""
        new = self.path.with_name(f"{self.path.name}.new")
        # SQLite would replay the log of a deleted file into the new one.
        for path in (new, Path(f"{new}-journal"), Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            path.unlink(missing_ok=True)
        connection = _connect(new)
        try:
            _in_transaction(connection, lambda opened: schema.prepare(opened, self.path))
        finally:
            connection.close()
        new.replace(self.path)

    def _check_identity(self) -> None:
        """Raise if another file took the place of the open one; SQLite would go on writing to the old one."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            change = "deleted"
        else:
            if status.st_size and _identity(status) == self._identity:
                return
            change = "replaced" if status.st_size else "truncated to zero bytes"
        raise StorageError(
            f"{self.path}: the file was {change} while this process had it open. Restore it, or close the storage "
            "to continue with the file at this path, or with a new one."
        )

    def _exclusively(self, work: Callable[[], T]) -> T:
        """Call a function while no other process opens the file."""
        self.owners.mkdir(parents=True, exist_ok=True)
        with (self.owners / "opening.lock").open("ab") as file:
            lock(file, BUSY_SECONDS)
            try:
                return work()
            finally:
                unlock(file)

    def _reason(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", None) or ""
        if name.startswith("SQLITE_CANTOPEN") and self._read_only and self.path.exists():
            return (
                "the directory cannot be written, and events of a process that was killed wait in rivers.db-wal. Copy "
                "the directory to a disk that can be written, and read it there"
            )
        if str(error).startswith(_NOT_TEXT):
            name = "SQLITE_CORRUPT"
        known = (advice for code, advice in _ADVICE.items() if name.startswith(code))
        return next(known, "SQLite reports an error")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # without the values of a row, and without the statements of the schema, which have several lines
            message = str(error).partition(" with text ")[0].partition("\n")[0]
            raise StorageError(f"{self.path}: {self._reason(error)} ({message}).") from error
        except UnicodeDecodeError as error:  # a message of SQLite that quotes a damaged schema
            raise StorageError(f"{self.path}: {_ADVICE['SQLITE_CORRUPT']} ({error}).") from error
        except TimeoutError as error:
            raise StorageError(
                f"{self.path}: another process has been opening it for {BUSY_SECONDS:.0f} s. Try again later."
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self.path.parent}: the directory cannot be created or written ({error}). "
                "Check its permissions, or choose another directory for the storage."
            ) from error


def is_read_only(directory: Path) -> bool:
    """Return whether files in an existing directory cannot be created, as on a read-only mount."""
    return directory.is_dir() and not os.access(directory, os.W_OK)


def _connect(path: Path | str, *, uri: bool = False) -> SQLiteConnection:
    return sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=uri,
        factory=SQLiteConnection,
    )


def _in_transaction(connection: SQLiteConnection, work: Callable[[SQLiteConnection], T]) -> T:
    # A function and not a context manager: an interrupt between `__enter__` and the block would skip `__exit__`.
    _roll_back(connection)
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _roll_back(connection: SQLiteConnection) -> None:
    """End a transaction that an interrupt left open, even one within the exception handler that should end it."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
