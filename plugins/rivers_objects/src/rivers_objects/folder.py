"""Objects in a folder of the local file system, as plain files.

No native threads are involved, so that a forked process can use them, and an error has its errno and path.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from itertools import islice
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Final

from rivers_objects.flush import flush_folder
from rivers_objects.staging import (
    HAS_LOCKS,
    files_below,
    is_staging,
    leftovers,
    new_staging,
    sweep_once,
)
from rivers_objects.targets import TAIL_SIZE, Leftover, ReplacedError, Staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_objects.targets import Condition, History, Writable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LISTED: Final = 10_000


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
        with open(self.file(path), "rb", buffering=0) as file:
            return memoryview(file.readall())

    def tail(self, path: str) -> tuple[bytes, int]:
        """Return the last `TAIL_SIZE` bytes of an object, and its size in bytes.

        Args:
            path: The object's path in the folder.
        """
        with open(self.file(path), "rb") as data:
            size = os.fstat(data.fileno()).st_size
            data.seek(max(0, size - TAIL_SIZE))
            return data.read(), size

    def entries(self, folder: str) -> list[tuple[str, int]]:
        """Return name and size of each object in a folder, without those in its folders.

        Args:
            folder: Path of the folder in this one.
        """
        with suppress(FileNotFoundError), os.scandir(self.file(folder)) as entries:
            return [
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.is_file() and not is_staging(entry.name)
            ]
        return []

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
        file = self.file(path)
        with suppress(FileNotFoundError), _changing(os.path.dirname(file)):
            os.unlink(file)
            if self._fsync:
                flush_folder(os.path.dirname(file))

    def paths(self, below: str, offset: str | None = None) -> list[str]:
        """Return paths of objects, in no order; a large folder is not listed completely.

        Args:
            below: Path of a folder in this one; empty for all of it.
            offset: Ignored: a file system cannot list from an offset.
        """
        del offset
        return list(islice(self.all_paths(below), _LISTED))

    def all_paths(self, below: str) -> Iterator[str]:
        """Yield the paths of all objects in a folder and its folders, in no order.

        Args:
            below: Path of a folder in this one; empty for all of it.
        """
        for file in files_below(self.file(below)):
            if not is_staging(file):
                yield os.path.relpath(file, self._root).replace(os.sep, "/")

    def target(
        self, path: str, condition: Condition | None = None, history: History | None = None
    ) -> LocalFile:
        """Return an object to write.

        Args:
            path: The object's path in the folder.
            condition: Condition of the write; publishing raises `ReplacedError` if it does not hold.
            history: Where the replaced object is kept.
        """
        sweep_once(self._root)
        if history is not None:
            history = history._replace(folder=self.file(history.folder))
        return LocalFile(self._root, self.file(path), condition, history, fsync=self._fsync)

    def leftovers(self, below: str = "") -> Iterator[Leftover]:
        """Yield the staging files whose writers were killed.

        Args:
            below: Path of a folder in this one; empty for all of it.
        """
        for leftover in leftovers(self.file(below)):
            yield Leftover(leftover.path, "remove staging file", leftover.size, leftover.remove)

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
        condition: Condition of the write, if any.
        history: Where the replaced object is kept, as an absolute path; None if it is not kept.
        fsync: Flush file and folders to the disk.
    """

    def __init__(
        self,
        root: str,
        file: str,
        condition: Condition | None = None,
        history: History | None = None,
        *,
        fsync: bool,
    ) -> None:
        self._root = root
        self._file = file
        self._condition = condition
        self._history = history
        self._fsync = fsync

    def put(self, data: bytes) -> None:
        """Write the whole object."""
        with self.stage() as staged:
            rest = memoryview(data)
            while rest:  # a write may accept fewer bytes than given
                rest = rest[os.write(staged.descriptor, rest) :]

    @contextmanager
    def open(self) -> Iterator[Writable]:
        """Write a staging file in pieces, see `stage`."""
        with self.stage() as staged, os.fdopen(staged.descriptor, "wb", buffering=0, closefd=False) as file:
            yield _Complete(file.write)

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Write a staging file next to the object, and rename it; an exception removes it."""
        folder = os.path.dirname(self._file)
        try:
            staging, descriptor = new_staging(folder)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            staging, descriptor = new_staging(folder)
        try:
            # closed after the rename, which ends the lock: until then no sweep removes the file
            try:
                yield Staged(staging, descriptor)
                if self._fsync:
                    os.fsync(descriptor)
                if HAS_LOCKS:
                    self._publish(staging)
            finally:
                os.close(descriptor)
            if not HAS_LOCKS:  # Windows does not rename an open file
                self._publish(staging)
        except BaseException:
            with suppress(OSError):
                os.unlink(staging)
            raise
        if self._fsync:
            self._flush_folders()

    def _publish(self, staging: str) -> None:
        """Rename a complete staging file to the object, if the condition of the write holds."""
        condition = self._condition
        with _changing(os.path.dirname(self._file), must_lock=condition is not None):
            if condition is not None:
                version = _version_of(self._file, condition)
                if version != condition.expected:
                    raise ReplacedError(version)
            if self._history is None:
                os.replace(staging, self._file)
            else:
                # kept first: a process that ends between the two leaves the current object in both places
                self._keep_replaced(self._history)
                os.replace(staging, self._file)
                _prune(self._history)

    def _keep_replaced(self, history: History) -> None:
        """Give the object that is about to be replaced a second name in the folder of earlier versions."""
        name = _described(self._file, history.name_of)
        if name is None:
            return
        os.makedirs(history.folder, exist_ok=True)
        kept = os.path.join(history.folder, name)
        try:
            os.link(self._file, kept)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            staging, descriptor = new_staging(history.folder)
            try:
                with open(self._file, "rb") as source, os.fdopen(descriptor, "wb", closefd=False) as copy:
                    shutil.copyfileobj(source, copy)
            finally:
                os.close(descriptor)
            os.replace(staging, kept)
        if self._fsync:
            self._flush_folders(history.folder)

    def _flush_folders(self, folder: str | None = None) -> None:
        folder = folder or os.path.dirname(self._file)
        while folder != self._root and folder != os.path.dirname(folder):
            flush_folder(folder)
            folder = os.path.dirname(folder)
        flush_folder(self._root)
        flush_folder(os.path.dirname(self._root))


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


@contextmanager
def _changing(folder: str, *, must_lock: bool = False) -> Iterator[None]:
    """Exclude other writers of this host while an object of a folder is compared and replaced.

    Args:
        folder: The folder.
        must_lock: Whether to fail on a file system without locks.
    """
    descriptor = None
    try:
        try:
            if fcntl is not None:
                descriptor = os.open(folder, os.O_RDONLY)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            else:
                descriptor = _windows_lock(os.path.join(folder, ".lock"))
        except OSError as error:
            if must_lock and not isinstance(error, FileNotFoundError):
                raise OSError(
                    error.errno,
                    "the file system does not support locks, which a conditional write requires",
                    folder,
                ) from error
        yield
    finally:
        if descriptor is not None:
            if fcntl is None:
                _windows_unlock(descriptor)
            os.close(descriptor)


def _windows_lock(file: str) -> int:  # pragma: no cover - Windows only
    """Lock a file and return its descriptor."""
    import msvcrt

    api: Any = msvcrt
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    while True:
        try:
            api.locking(descriptor, api.LK_LOCK, 1)
        except OSError as error:  # after ten seconds
            if error.errno != errno.EDEADLOCK:
                os.close(descriptor)
                raise
        else:
            return descriptor


def _windows_unlock(descriptor: int) -> None:  # pragma: no cover - Windows only
    import msvcrt

    api: Any = msvcrt
    os.lseek(descriptor, 0, os.SEEK_SET)
    api.locking(descriptor, api.LK_UNLCK, 1)


def _version_of(file: str, condition: Condition) -> str:
    """Return the version of the object in a file, empty text if there is none."""
    version = _described(file, condition.version_of)
    return "" if version is None else version or "unknown"


def _described(file: str, describe: Callable[[bytes, bool], str | None]) -> str | None:
    """Return a description of the object in a file by its tail, or by the whole of it; None if there is none."""
    try:
        with open(file, "rb") as data:
            size = os.fstat(data.fileno()).st_size
            data.seek(max(0, size - TAIL_SIZE))
            description = describe(data.read(), size <= TAIL_SIZE)
            if description is None:
                data.seek(0)
                description = describe(data.read(), True)
            return description or ""
    except FileNotFoundError:
        return None


def _prune(history: History) -> None:
    """Remove the versions beyond the number to keep; what cannot be removed is removed after a later write."""
    with suppress(OSError):
        names = [name for name in os.listdir(history.folder) if not is_staging(name)]
        for name in history.obsolete(names):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(history.folder, name))
