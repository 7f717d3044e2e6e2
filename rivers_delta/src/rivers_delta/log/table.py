"""Delta tables: opening them, and reading their transaction log."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from rivers_core.exceptions import IntegrityError, InvalidMetadataError
from rivers_delta.compat import (
    DeltaTable,
    TableNotFoundError,
    UnescapedTable,
    is_before_first_version,
)
from rivers_delta.log.location import shown
from rivers_delta.schema.encoding import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyarrow.fs import FileSystem

    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.schema.encoding import Column

LOG: Final = "_delta_log/"
CREATION: Final = f"{LOG}.rivers"
"""Object that a write puts into an object store before it creates a table, whose data files come before its log."""

_FILE: Final = "file://"


class Table(UnescapedTable):
    """A Delta table at one version.

    Attributes:
        settings: The settings with which the table was opened.
        uses: For how many writes the table was kept open.
    """

    settings: TableSettings
    uses: int = 0
    _transactions_at: int = -1
    _transactions: dict[str, int | None]

    @property
    def address(self) -> str:
        """The path or URL of the table, for messages."""
        return shown(self.path)

    @property
    def path(self) -> str:
        """The path or URL of the table as deltalake resolves it, without links."""
        return self.table_uri.removeprefix(_FILE).rstrip("/")

    def columns(self) -> tuple[Column, ...]:
        """Return all columns, with the types they were written with."""
        return decode(pa.schema(self.schema()))

    def transaction_version(self, app_id: str) -> int | None:
        """Return the version of an application transaction; deltalake reads the log each time it is asked."""
        if self._transactions_at != self.version():
            self._transactions_at, self._transactions = self.version(), {}
        if app_id not in self._transactions:
            self._transactions[app_id] = super().transaction_version(app_id)
        return self._transactions[app_id]

    def read_commit(self, version: int | None = None) -> list[dict[str, Any]]:
        """Return the actions of one commit: one small file, whatever the size of the table.

        Args:
            version: The version that the commit created; None for this version.
        """
        text = self.read_log(f"{self.version() if version is None else version:020d}.json").decode()
        return [json.loads(line) for line in text.split("\n") if line]

    def read_log(self, name: str) -> bytes:
        """Return one file of the log.

        Args:
            name: The file.

        Raises:
            FileNotFoundError: It does not exist.
        """
        settings = self.settings
        if settings.is_local:
            with open(os.path.join(settings.address, "_delta_log", name), "rb") as file:
                return file.read()
        from rivers_delta.log.remote_files import read_remote

        return read_remote(settings.address, settings.storage_options, f"_delta_log/{name}")

    def file_system(self, sizes: Mapping[str, int] | None = None) -> FileSystem:
        """Return a file system whose root is the folder of the table.

        Args:
            sizes: Size in bytes of data files that are known, which saves requests.
        """
        from pyarrow import fs

        settings = self.settings
        if settings.is_local:
            return fs.SubTreeFileSystem(settings.address, fs.LocalFileSystem())
        from rivers_delta.log.remote_files import remote_files

        return remote_files(settings.address, settings.storage_options, sizes)

    def committed_at(self, version: int | None = None) -> datetime | None:
        """Return when a version was committed; None if its commit does not say, or is no longer in the log.

        Args:
            version: The version; None for this one.
        """
        try:
            commit = self.read_commit(version)
        except FileNotFoundError:
            return None
        timestamps = (action["commitInfo"].get("timestamp") for action in commit if "commitInfo" in action)
        milliseconds = next(timestamps, None)
        if not isinstance(milliseconds, int):
            return None
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def open_table(settings: TableSettings, version: int | str | None = None) -> Table | None:
    """Open a table; return None if it does not exist.

    Args:
        settings: The table.
        version: A version number, or a timestamp in RFC 3339; None for the latest version.

    Raises:
        InvalidMetadataError: The table has no such version, or did not exist at that time.
        IntegrityError: The folder has data files and no log.
        Exception: deltalake's own, for a table that is damaged or cannot be reached.
    """
    address, storage_options = settings.address, settings.storage_options
    if settings.is_local and not _has_log(address):
        _refuse_lost_log(address)
        return None
    try:
        table = Table(address, version if isinstance(version, int) else None, storage_options)
    except TableNotFoundError:
        if not settings.is_local:
            _refuse_lost_remote_log(settings)
        return None
    except Exception as error:
        if isinstance(version, int):
            _refuse_missing_version(settings, version, error)
        raise
    table.settings = settings
    if isinstance(version, str):
        table.load_as_version(version)
        _refuse_earlier(table, version)
    return table


def _has_log(folder: str) -> bool:
    """Return whether a folder has a transaction log; a folder without read permission is an error, not absent."""
    try:
        os.stat(os.path.join(folder, "_delta_log"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _refuse_lost_log(folder: str) -> None:
    """Refuse a folder with data files and without a log: it is damaged, or not a table, but not an absent one."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if "=" in name]
        # asked again: another writer may have created the table since, and makes the log's folder first
        if any(name.endswith(".parquet") for name in files) and not _has_log(folder):
            raise _lost_log(f"Folder {folder!r}")


def _refuse_lost_remote_log(settings: TableSettings) -> None:
    """Do the same in an object store, where a table that is being created has one object in its log."""
    from pyarrow import fs

    from rivers_delta.log.remote_files import refuse_absent, remote_files

    refuse_absent(settings.address, settings.storage_options)
    files = remote_files(settings.address, settings.storage_options)
    entries = files.get_file_info(fs.FileSelector("", recursive=True, allow_not_found=True))
    paths = [entry.path for entry in entries if entry.type == fs.FileType.File]
    if any(path.endswith(".parquet") for path in paths) and not any(path.startswith(LOG) for path in paths):
        raise _lost_log(f"Folder {settings.shown_address!r}")


def _lost_log(folder: str) -> IntegrityError:
    return IntegrityError(
        f"{folder} has Parquet files and no '_delta_log': the log of the table was lost, or this is not a Delta table. "
        "Restore the log, convert the folder with deltalake.convert_to_deltalake, or remove it."
    )


def _refuse_earlier(table: Table, moment: str) -> None:
    version, asked = table.version(), datetime.fromisoformat(moment)
    committed = table.committed_at(version)
    is_earlier_kept = bool(version) and table.committed_at(version - 1) is not None
    if is_before_first_version(asked, committed, version, is_earlier_kept):
        assert committed is not None
        raise InvalidMetadataError(
            f"Table {table.address!r} has no version at {asked.isoformat()}. The first in its log is {version}, "
            f"committed at {committed.isoformat()}."
        )


def _refuse_missing_version(settings: TableSettings, version: int, error: Exception) -> None:
    """Raise an error if the table exists and only the version does not."""
    try:
        latest = DeltaTable(settings.address, storage_options=settings.storage_options).version()
    except Exception:
        return
    if version > latest:
        raise InvalidMetadataError(
            f"Table {settings.shown_address!r} has no version {version}. The latest is {latest}."
        ) from error
