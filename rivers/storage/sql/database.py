"""Interface between an event storage and its database: transactions, queries, and live processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from rivers.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from rivers.storage.sql.rows import Row

T = TypeVar("T")


class NoTablesError(StorageError):
    """A database that is only read has no event log yet."""


class Cursor(Protocol):
    """Rows of a statement."""

    def fetchone(self) -> Any:
        """Return the next row, None after the last one."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""
        ...


class Connection(Protocol):
    """Open connection within a transaction. A statement has `?` for each value.

    Attributes:
        unstorable: Errors of a row with a value that the database cannot store as it is; such values are written
            as escaped text.
    """

    unstorable: ClassVar[tuple[type[Exception], ...]]

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""
        ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a statement once for each row."""
        ...


class RunOwner(Protocol):
    """Proof that the process of a run is alive.

    Attributes:
        id: Text that the rows of its runs have.
    """

    @property
    def id(self) -> str:
        """Text that the rows of its runs have."""
        ...

    def release(self) -> None:
        """Give up the proof: the running runs of this owner count as interrupted from then on."""


class Database(Protocol):
    """Database of one event storage, opened on first use, shared by all threads.

    All methods raise a `StorageError` if the database cannot be reached.
    """

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Reentrant lock of the batches that wait to be written."""
        ...

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Call a function in one transaction, while no other process writes, and return its result.

        The function may be called again if the transaction had no effect; it is never applied twice.
        """
        ...

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement."""
        ...

    def change_token(self) -> str:
        """Return a text that changes with every commit of any process."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until a process may have committed, at most some time."""
        ...

    def claim(self) -> RunOwner:
        """Return the proof that the runs of this process are alive."""
        ...

    def interrupt_orphans(self, connection: Connection, run_id: str) -> None:
        """Close a run as "interrupted" if its process is gone; called within a transaction."""
        ...

    def vacuum(self) -> None:
        """Return the space of removed rows."""
        ...

    def close(self) -> None:
        """Close all connections; a later use opens others."""
        ...
