"""Opening tables, and the few things deltalake does not tell by itself."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from rivers_core import Schema
from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.compat import is_rounded, without_bounds
from rivers_delta.log.location import is_local, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arro3.core import Table as ArrowTable

_FILE: Final = "file://"


class Table(DeltaTable):
    """A table whose file paths are paths; deltalake gives those of a folder like `my data` as in a URL.

    Attributes:
        uses: For how many writes it was kept open.
    """

    uses: int = 0

    @property
    def table_uri(self) -> str:
        """The folder or URL of the table."""
        encoded = str(super().table_uri)
        return unquote(encoded.removeprefix(_FILE)) if _is_escaped(encoded) else encoded

    @property
    def address(self) -> str:
        """The path or URL of the table, as a message shows it."""
        return shown(self.table_uri.removeprefix(_FILE).rstrip("/"))

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:
        """Paths or URLs of the data files."""
        paths = super().file_uris(*args, **kwargs)
        encoded = str(super().table_uri)
        if not _is_escaped(encoded):
            return paths
        folder = encoded.removeprefix(_FILE)
        return [unquote(folder) + path.removeprefix(folder) for path in paths]

    def get_add_actions(self, flatten: bool = False) -> ArrowTable:
        """The data files, as polars asks for them to pass over some; without bounds that deltalake has rounded.

        Args:
            flatten: Whether statistics are columns of their own; then all of them are there.
        """
        actions = super().get_add_actions(flatten)
        rounded = [] if flatten else [one.name for one in Schema(self.schema()).columns if is_rounded(one)]
        return without_bounds(actions, rounded) if rounded else actions

    def data_version(self) -> str:
        """Equal only for the same state of the same table: its id and version."""
        return f"{self.metadata().id}@{self.version()}"

    def read_commit(self, version: int | None = None) -> list[dict[str, Any]]:
        """The actions of one commit: one small object, whatever the table's size.

        Args:
            version: What the commit made; None for this version.
        """
        text = self.read_log(f"{self.version() if version is None else version:020d}.json").decode()
        return [json.loads(line) for line in text.split("\n") if line]

    def read_log(self, name: str) -> bytes:
        """One file of the log.

        Args:
            name: The file.

        Raises:
            FileNotFoundError: There is none.
        """
        name, uri = f"_delta_log/{name}", self.table_uri
        return _read_local(uri, name) if uri.startswith((_FILE, os.sep)) else self._read_remote(name)

    def committed_at(self, version: int | None = None) -> datetime | None:
        """When a version was made, as its commit says; None if it does not, or is no longer in the log.

        Args:
            version: What the commit made; None for this version.
        """
        try:
            commit = self.read_commit(version)
        except FileNotFoundError:
            return None
        told = (action["commitInfo"].get("timestamp") for action in commit if "commitInfo" in action)
        milliseconds = next(told, None)
        if not isinstance(milliseconds, int):
            return None
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)

    def _read_remote(self, name: str) -> bytes:
        from deltalake._internal import DeltaFileSystemHandler

        store = DeltaFileSystemHandler.from_table(self._table, self._storage_options, None)
        file = store.open_input_file(name)
        return bytes(file.read(file.size()))


def _read_local(uri: str, name: str) -> bytes:
    with open(os.path.join(uri.removeprefix(_FILE), name), "rb") as file:
        return file.read()


def _is_escaped(encoded: str) -> bool:
    return "%" in encoded and encoded.startswith(_FILE)


def open_table(
    address: str, storage_options: Mapping[str, str] | None, version: int | str | None = None
) -> Table | None:
    """A table, or None if there is none.

    Args:
        address: Its path or URL.
        storage_options: For the object store.
        version: A version number, or a moment in RFC 3339; None for the latest version.

    Raises:
        InvalidMetadataError: The table has no such version, or was not there at that moment.
        Exception: deltalake's own, for a table that is damaged or cannot be reached.
    """
    if is_local(address) and not _has_log(address):
        return None
    options = dict(storage_options) if storage_options else None
    try:
        table = Table(address, version if isinstance(version, int) else None, options)
    except TableNotFoundError:
        return None
    except Exception as error:
        if isinstance(version, int):
            _refuse_version(address, options, version, error)
        raise
    if isinstance(version, str):
        table.load_as_version(version)
        _refuse_earlier(table, version)
    return table


def _has_log(folder: str) -> bool:
    """Whether a folder has a transaction log; a folder that may not be looked into is an error, not absent."""
    try:
        os.stat(os.path.join(folder, "_delta_log"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _refuse_earlier(table: Table, moment: str) -> None:
    """Say so if a table was made after a moment: deltalake then gives the first version that its log still has."""
    version, asked = table.version(), datetime.fromisoformat(moment)
    committed = table.committed_at(version)
    if committed is None or committed <= asked or (version and table.committed_at(version - 1) is not None):
        return
    raise InvalidMetadataError(
        f"The table {table.address!r} has no version of {asked.isoformat()}: the first in its log is "
        f"{version}, of {committed.isoformat()}."
    )


def _refuse_version(address: str, options: dict[str, str] | None, version: int, error: Exception) -> None:
    """Say so if the table is there and only the version is not."""
    try:
        latest = DeltaTable(address, storage_options=options).version()
    except Exception:
        return
    if version > latest:
        raise InvalidMetadataError(
            f"The table {shown(address)!r} has no version {version}; the latest is {latest}."
        ) from error
