"""Objects in a folder of the local file system, as plain files.

No native threads are involved, so that a forked process can use them, and an error has its errno and path.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import zlib
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from stat import S_ISREG
from typing import TYPE_CHECKING, Final

from rivers_objects.targets import Staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_objects.targets import Writable

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]
_HAS_LOCKS: bool = fcntl is not None

_LEFTOVER_AGE_S: Final = 24 * 3600
# Bounds the first write to a large store; `maintain` looks at everything.
_SWEPT_AT_FIRST_WRITE: Final = 20_000
# obstore, too, names its staging files with # and digits at the end, and omits such files from listings.
_STAGING: Final = re.compile(r"\.staging#(?P<host>\d{10})\d{18}")
_STAGING_OF_OBSTORE: Final = re.compile(r".+\.\w+#\d+")
_LISTED: Final = 10_000

_swept: Final[set[tuple[int, str]]] = set()


class Folder:
    """A folder that holds objects.

    Args:
        root: Absolute path of the folder, which is created with its first object.
        fsync: Flush an object and its folders to the disk before it becomes visible.
    """

    def __init__(self, root: str, *, fsync: bool = False) -> None:
        self._root = root
        self._fsync = fsync

    def read(self, path: str) -> memoryview:
        """Return the bytes of an object.

        Args:
            path: The object's path in the folder.
        """
        with open(self.file(path), "rb") as file:
            return memoryview(file.read())

    def exists(self, path: str) -> bool:
        """Return whether an object exists.

        Args:
            path: The object's path in the folder.
        """
        try:
            return S_ISREG(os.stat(self.file(path)).st_mode)
        except FileNotFoundError:
            return False

    def delete(self, path: str) -> None:
        """Remove an object, if it exists.

        Args:
            path: The object's path in the folder.
        """
        with suppress(FileNotFoundError):
            os.unlink(self.file(path))

    def paths(self, below: str, offset: str | None = None) -> list[str]:
        """Return paths of objects, in no order; a large folder is not listed completely.

        Args:
            below: Path of a folder in this one; empty for all of it.
            offset: Ignored: a file system cannot list from an offset.
        """
        del offset
        files = (file for file in _files(self.file(below)) if not _is_staging(os.path.basename(file)))
        return [os.path.relpath(file, self._root).replace(os.sep, "/") for file in islice(files, _LISTED)]

    def target(self, path: str) -> LocalFile:
        """Return an object to write.

        Args:
            path: The object's path in the folder.
        """
        if (os.getpid(), self._root) not in _swept:
            _swept.add((os.getpid(), self._root))
            for leftover, _ in self.leftovers(limit=_SWEPT_AT_FIRST_WRITE):
                remove_leftover(leftover)
        return LocalFile(self._root, self.file(path), fsync=self._fsync)

    def leftovers(self, below: str = "", *, limit: int | None = None) -> Iterator[tuple[str, int]]:
        """Yield path and size of each staging file whose writer was killed.

        Args:
            below: Path of a folder in this one; empty for all of it.
            limit: The number of files to look at; all if None.
        """
        for file in islice(_files(self.file(below)), limit):
            if _is_staging(os.path.basename(file)) and not _is_being_written(file):
                with suppress(OSError):
                    yield file, os.stat(file).st_size

    def file(self, path: str) -> str:
        """Return the path of an object's file.

        Args:
            path: The object's path in the folder; empty for the folder.
        """
        return os.path.join(self._root, *path.split("/")) if path else self._root


class LocalFile:
    """An object in a local folder, which becomes visible when it is complete.

    Args:
        root: The folder.
        file: Path of the object's file.
        fsync: Flush file and folders to the disk.
    """

    def __init__(self, root: str, file: str, *, fsync: bool) -> None:
        self._root = root
        self._file = file
        self._fsync = fsync

    def put(self, data: bytes) -> None:
        """Write the whole object."""
        with self.open() as file:
            file.write(data)

    @contextmanager
    def open(self) -> Iterator[Writable]:
        """Write a staging file in pieces, see `stage`."""
        with self.stage() as staged, os.fdopen(staged.descriptor, "wb", buffering=0, closefd=False) as file:
            yield _Complete(file.write)

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Write a staging file beside the object, and rename it; an exception removes it."""
        folder = os.path.dirname(self._file)
        os.makedirs(folder, exist_ok=True)
        staging, descriptor = _new_staging(folder)
        try:
            # closed after the rename, which ends the lock: until then nobody takes the file for a leftover
            try:
                yield Staged(staging, descriptor)
                if self._fsync:
                    os.fsync(descriptor)
                if _HAS_LOCKS:
                    os.replace(staging, self._file)
            finally:
                os.close(descriptor)
            if not _HAS_LOCKS:  # Windows does not rename an open file
                os.replace(staging, self._file)
        except BaseException:
            with suppress(OSError):
                os.unlink(staging)
            raise
        if self._fsync:
            self._flush_folders()

    def _flush_folders(self) -> None:
        if os.name == "nt":  # folders cannot be opened there; the rename is journalled
            return
        folder = os.path.dirname(self._file)
        while folder != self._root and folder != os.path.dirname(folder):
            _flush_folder(folder)
            folder = os.path.dirname(folder)
        _flush_folder(self._root)
        _flush_folder(os.path.dirname(self._root))


class _Complete:
    """Repeat the writes of an unbuffered file, which may accept fewer bytes than given."""

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[memoryview], int]) -> None:
        self._write = write

    def write(self, data: bytes | memoryview, /) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(rest) :]
        return len(data)


def remove_leftover(file: str) -> bool:
    """Remove a staging file unless somebody is writing it, and return whether it was removed.

    Args:
        file: Path of the file.
    """
    return _if_abandoned(file, os.unlink)


def _is_being_written(file: str) -> bool:
    return not _if_abandoned(file, lambda _: None)


def _if_abandoned(file: str, action: Callable[[str], None]) -> bool:
    """Call `action` with a staging file while it is certain that nobody writes it, and return whether it was called.

    A process holds a lock on the file that it writes, and the lock ends with the process. A lock says nothing about
    writers on other hosts, nor about obstore, which does not lock: their files must be a day old.
    """
    match = _STAGING.fullmatch(os.path.basename(file))
    try:
        if match is None or match["host"] != _host() or not _HAS_LOCKS:
            if time.time() - os.stat(file).st_mtime <= _LEFTOVER_AGE_S:
                return False
            action(file)
            return True
        descriptor = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the writer may have renamed it before the lock
            if not os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return False
            action(file)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _new_staging(folder: str) -> tuple[str, int]:
    """Create a staging file and return its path and descriptor, locked."""
    while True:
        staging = os.path.join(folder, f".staging#{_host()}{secrets.randbelow(10**18):018d}")
        try:
            descriptor = os.open(
                staging, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
            )
        except FileExistsError:
            continue
        if not _HAS_LOCKS or _is_locked(staging, descriptor):
            return staging, descriptor
        os.close(descriptor)


def _is_locked(staging: str, descriptor: int) -> bool:
    """Lock a new file, and return False if a sweep removed it before it was locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks, where a sweep cannot lock either
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(staging))
    except FileNotFoundError:
        return False


@cache
def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):010d}"


def _is_staging(name: str) -> bool:
    return _STAGING.fullmatch(name) is not None or _STAGING_OF_OBSTORE.fullmatch(name) is not None


def _files(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(parent, name)


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
