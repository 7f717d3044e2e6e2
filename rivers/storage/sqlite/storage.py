"""Event storage in a SQLite file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rivers.storage.sql.storage import SQLStorage
from rivers.storage.sqlite.connection import SQLiteDatabase

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


class SQLiteStorage(SQLStorage):
    """Event storage in the file `rivers.db` of a directory, pickled as its path.

    Args:
        path: The directory, created on first use.
        read_only: Only read an existing file.
        durable: Flush each commit to the disk.
    """

    _database: SQLiteDatabase

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, durable: bool = False
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._read_only = read_only
        self._durable = durable
        super().__init__()

    def _connect(self) -> SQLiteDatabase:
        return SQLiteDatabase(self.path, read_only=self._read_only, durable=self._durable)

    def __reduce__(self) -> tuple[Callable[..., SQLiteStorage], tuple[str]]:
        make = partial(SQLiteStorage, read_only=self._read_only, durable=self._durable)
        return make, (str(self.path),)

    def __repr__(self) -> str:
        return f"Storage.embedded({str(self.path)!r})"
