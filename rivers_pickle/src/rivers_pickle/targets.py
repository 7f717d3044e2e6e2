"""Destinations of one object: written whole or streamed, visible only when complete."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from obstore.store import ObjectStore

# S3 accepts at most 10,000 parts, so objects may have up to 160 GB; up to four parts are in flight.
_PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_LEFTOVER_AGE_S: Final = 24 * 3600


class Writable(Protocol):
    """File-like object that accepts bytes."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write bytes."""


class Target(Protocol):
    """One object to write."""

    def put(self, data: bytes) -> None:
        """Write the whole object at once."""

    def open(self) -> AbstractContextManager[Writable]:
        """Write the object in pieces; leaving the block publishes it, an exception discards it."""
        ...


class StoredObject:
    """An object in any store.

    Args:
        store: The store.
        path: The object's path in it.
    """

    def __init__(self, store: ObjectStore, path: str) -> None:
        self._store = store
        self._path = path

    def put(self, data: bytes) -> None:
        """Write the whole object in one request."""
        import obstore

        obstore.put(self._store, self._path, data)

    def open(self) -> AbstractContextManager[Writable]:
        """Write the object as a multipart upload, which the store publishes as a whole or discards."""
        import obstore

        return obstore.open_writer(
            self._store, self._path, buffer_size=_PART_SIZE, max_concurrency=_PARTS_IN_FLIGHT
        )


class DurableFile:
    """An object in a local store, flushed to the disk before it becomes visible.

    Args:
        root: The store's folder.
        path: The object's path in it.
    """

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        self._file = root / path

    def put(self, data: bytes) -> None:
        """Write the whole object."""
        with self.open() as file:
            file.write(data)

    @contextmanager
    def open(self) -> Iterator[Writable]:
        """Write a temporary file beside the object, flush it to the disk, and rename it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary, descriptor = _new_temporary(str(self._file))
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                yield _Complete(file.write)
                os.fsync(file.fileno())
            os.replace(temporary, self._file)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self._flush_folders()

    def _flush_folders(self) -> None:
        if os.name == "nt":  # folders cannot be opened there; the rename is journalled
            return
        folder = self._file.parent
        while folder.is_relative_to(self._root):
            _flush_folder(folder)
            folder = folder.parent
        _flush_folder(self._root.parent)


class _Complete:
    """Repeat the writes of an unbuffered file, which may accept fewer bytes than given."""

    __slots__ = ("_write",)

    def __init__(self, write: object) -> None:
        self._write = write

    def write(self, data: bytes | memoryview, /) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(rest) :]  # type: ignore[operator]
        return len(data)


def sweep(file: str) -> None:
    """Remove temporary files of killed processes beside an object, if they are older than a day.

    They are named `<name>#1` and so on. A local store does not list them, they only occupy space.

    Args:
        file: Path of the file of an object.
    """
    number = 1
    with suppress(OSError):
        while time.time() - os.stat(leftover := _temporary(file, number)).st_mtime > _LEFTOVER_AGE_S:
            os.unlink(leftover)
            number += 1


def _temporary(file: str, number: int) -> str:
    # obstore names its temporary files like this, and omits them from listings
    return f"{file}#{number}"


def _new_temporary(file: str) -> tuple[str, int]:
    number = 1
    while True:
        temporary = _temporary(file, number)
        try:
            return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            number += 1


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
