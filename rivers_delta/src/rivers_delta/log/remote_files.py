"""Files of a table in an object store, through obstore: for reading the log, and as a file system of pyarrow.

deltalake has a file system of this kind. It (1.0 up to 1.6) keeps the GIL while it waits for the store, and its threads
need the GIL for rows that a Python stream yields: while all of them wait for it, one call of that file system stops the
process for good. obstore waits without the GIL.
"""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import obstore
import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType, PyFileSystem

from rivers_objects import stores
from rivers_objects.errors import refuse_absent_store, refuse_foreign_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from obstore.store import ObjectStore

_COMMIT: Final = re.compile(r"\d{20}\.(?:json|checkpoint\b)")


def remote_files(
    address: str, options: Mapping[str, str] | None, sizes: Mapping[str, int] | None = None
) -> PyFileSystem:
    """Return the folder of a table in an object store as a file system.

    Args:
        address: The URL of the folder.
        options: Storage options with deltalake's names.
        sizes: Size in bytes of files that are known, which saves a request when they are opened.
    """
    return PyFileSystem(RemoteFiles(_store(address, options), sizes or {}))


def read_remote(address: str, options: Mapping[str, str] | None, path: str) -> bytes:
    """Return the content of one file.

    Args:
        address: The URL of the table's folder.
        options: Storage options with deltalake's names.
        path: The file, relative to the folder.

    Raises:
        FileNotFoundError: It does not exist.
    """
    return obstore.get(_store(address, options), path).bytes().to_bytes()


def is_table(address: str, options: Mapping[str, str] | None) -> bool:
    """Return whether a folder has a transaction log.

    `DeltaTable.is_deltatable` holds the GIL while it waits for the store (deltalake up to 1.6).

    Args:
        address: The URL of the folder.
        options: Storage options with deltalake's names.
    """
    entries = obstore.list_with_delimiter(_store(address, options), "_delta_log")["objects"]
    return any(_COMMIT.match(entry["path"].rpartition("/")[2]) for entry in entries)


def refuse_absent(address: str, options: Mapping[str, str] | None) -> None:
    """Raise unless an object store answers: a sign-in page instead of a listing looks like an empty folder.

    Args:
        address: The URL of a folder in which no table was found.
        options: Storage options with deltalake's names.

    Raises:
        AbsentStoreError: The bucket does not exist, or something else answers in its place.
    """
    try:
        refuse_foreign_object(obstore.get(_store(address, options), f"_delta_log/{0:020d}.json").meta)
    except FileNotFoundError as error:
        refuse_absent_store(error)


def _store(address: str, options: Mapping[str, str] | None) -> ObjectStore:
    # as deltalake, which takes client options from variables as well
    given = stores.client_options_from_environment() | dict(options or {})
    return _connected(address, tuple(sorted(given.items())))


@lru_cache(maxsize=64)
def _connected(address: str, options: tuple[tuple[str, str], ...]) -> ObjectStore:
    # options that only deltalake has, such as the one for its locking provider, mean nothing for reading
    known = {name: value for name, value in options if stores.is_option(address, name, value)}
    return stores.connected(address, known)


class RemoteFiles(FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """Folder of a store as pyarrow asks for it; paths are relative to the folder.

    Args:
        store: The folder.
        sizes: Size in bytes of files that are known.
    """

    def __init__(self, store: ObjectStore, sizes: Mapping[str, int]) -> None:
        self._store = store
        self._sizes = sizes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFiles) and self._store == other._store

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = object.__hash__

    def get_type_name(self) -> str:
        """Return the name of this kind of file system."""
        return "rivers-delta"

    def normalize_path(self, path: str) -> str:
        """Return the path itself."""
        return path

    def get_file_info(self, paths: Iterable[str]) -> list[FileInfo]:
        """Return kind and size of each file; a store has no folders."""
        return [self._info(path) for path in paths]

    def _info(self, path: str) -> FileInfo:
        try:
            return FileInfo(path, FileType.File, size=obstore.head(self._store, path)["size"])
        except FileNotFoundError:
            return FileInfo(path, FileType.NotFound)

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        """Return the files in a folder; of the folders in it only their files, if the selector is recursive."""
        folder = selector.base_dir or None
        if not selector.recursive:
            entries = obstore.list_with_delimiter(self._store, folder)["objects"]
        else:
            entries = [entry for page in obstore.list(self._store, folder) for entry in page]
        return [FileInfo(entry["path"], FileType.File, size=entry["size"]) for entry in entries]

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Open a file for reading at any position."""
        size = self._sizes.get(path)
        if size is None:
            size = obstore.head(self._store, path)["size"]
        return pa.PythonFile(_ReadFile(self._store, path, size), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        """Open a file for reading from its start."""
        return self.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Mapping[str, str] | None = None) -> pa.PythonFile:
        """Open a file that appears, or is replaced, when it is closed."""
        del metadata
        return pa.PythonFile(_WrittenFile(self._store, path), mode="w")

    def delete_file(self, path: str) -> None:
        """Delete a file."""
        obstore.delete(self._store, path)

    def delete_dir(self, path: str) -> None:
        """Delete all files in a folder and its folders."""
        for page in obstore.list(self._store, path or None):
            for entry in page:
                obstore.delete(self._store, entry["path"])

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Delete all files in a folder; an empty folder is as good as none in a store."""
        del missing_dir_ok
        self.delete_dir(path)

    def delete_root_dir_contents(self) -> None:
        """Delete all files."""
        self.delete_dir("")

    def create_dir(self, path: str, recursive: bool = True) -> None:
        """Do nothing: a store has no folders."""

    def copy_file(self, src: str, dest: str) -> None:
        """Copy a file inside the store."""
        obstore.copy(self._store, src, dest)

    def move(self, src: str, dest: str) -> None:
        """Move a file inside the store."""
        obstore.rename(self._store, src, dest)

    def open_append_stream(self, path: str, metadata: Mapping[str, str] | None = None) -> pa.PythonFile:
        """Refuse: no store can append.

        Raises:
            OSError: Always.
        """
        raise OSError(f"An object store cannot append to {path!r}. Write the whole file.")


class _ReadFile(io.RawIOBase):
    """Object to read by ranges; pyarrow itself decides how much it reads at once."""

    def __init__(self, store: ObjectStore, path: str, size: int) -> None:
        self._store = store
        self._path = path
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        data = obstore.get_range(self._store, self._path, start=self._position, end=end).to_bytes()
        self._position += len(data)
        return data


class _WrittenFile(io.BytesIO):
    """Object that is stored when the file is closed."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path

    def close(self) -> None:
        if not self.closed:
            data: Any = self.getvalue()
            super().close()
            obstore.put(self._store, self._path, data)
