"""Staging files: files that a writer renames when they are complete, and those that killed writers leave behind."""

from __future__ import annotations

import os
import re
import socket
import time
import zlib
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]
HAS_LOCKS: bool = fcntl is not None
"""Whether a process can lock the file that it writes; Windows does not rename an open file instead."""

_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_AGE_S: Final = 24 * 3600
_CLOCK_S: Final = 0.1
"""By how much the clock of a file system may be behind that of this process."""
# Bounds the first use of a large folder; `maintain` looks at everything.
_SWEPT_AT_FIRST_USE: Final = 20_000
_STAGING: Final = re.compile(r"\.staging#(?P<host>\d{10})\d{18}")
# object_store, the Rust crate behind deltalake and obstore, appends # and a number. Only names of files of handlers
# count, because a folder may contain files of others.
_STAGING_OF_LIBRARIES: Final = re.compile(r"(?:.+\.(?:parquet|pkl)|\d{20}\..+|_last_checkpoint)#\d+")

_swept: Final[set[tuple[int, str]]] = set()


def new_staging(folder: str) -> tuple[str, int]:
    """Create a staging file, and return its path and descriptor; it is locked until the descriptor is closed.

    Args:
        folder: An existing folder.
    """
    while True:
        staging = os.path.join(folder, f".staging#{_host()}{_random() % 10**18:018d}")
        try:
            descriptor = os.open(staging, _NEW_FILE, 0o666)
        except FileExistsError:
            continue
        if _is_locked(staging, descriptor):
            return staging, descriptor
        os.close(descriptor)


def is_staging(file: str) -> bool:
    """Return whether a file has the name of a staging file.

    Args:
        file: Name or path of the file.
    """
    name = os.path.basename(file)
    return _STAGING.fullmatch(name) is not None or _STAGING_OF_LIBRARIES.fullmatch(name) is not None


def files_below(folder: str) -> Iterator[str]:
    """Yield the paths of all files in a folder and its folders, those of a folder before those of its folders.

    Links to folders are followed, as they are in reading and writing; each folder is visited once.

    Args:
        folder: The folder.
    """
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        try:
            status = os.stat(parent)
        except FileNotFoundError:
            continue  # removed meanwhile
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        for name in sorted(names):
            yield os.path.join(parent, name)


def sweep_once(folder: str) -> None:
    """Remove leftovers at the first use of a folder by this process; of a large one only a part is examined.

    Args:
        folder: The folder.
    """
    if (os.getpid(), folder) not in _swept:
        _swept.add((os.getpid(), folder))
        for leftover in leftovers(folder, limit=_SWEPT_AT_FIRST_USE):
            leftover.remove()


class StagingFile(NamedTuple):
    """A staging file whose writer was killed.

    Attributes:
        path: Its path.
        size: Its size in bytes.
        is_unlocked: Whether its library does not lock files, and a killed process of rivers wrote it.
    """

    path: str
    size: int
    is_unlocked: bool = False

    def remove(self) -> bool:
        """Remove the file unless a process is writing it, and return whether it was removed."""
        if not self.is_unlocked:
            return _if_abandoned(self.path, os.unlink)
        try:
            os.unlink(self.path)
        except OSError:
            return False
        return True


def leftovers(folder: str, *, limit: int | None = None) -> Iterator[StagingFile]:
    """Yield each staging file whose writer was killed.

    Args:
        folder: The folder.
        limit: The number of files to examine; all if None.
    """
    writers = _KilledWriters(folder)
    for file in islice(files_below(folder), limit):
        if not is_staging(file):
            continue
        try:
            status = os.stat(file)
        except OSError:
            continue  # removed meanwhile
        if _if_abandoned(file, lambda _: None):
            writers.add(file, status)
            yield StagingFile(file, status.st_size)
        elif _STAGING.fullmatch(os.path.basename(file)):
            writers.alive.add(os.path.dirname(file))
        elif writers.wrote(file, status):
            yield StagingFile(file, status.st_size, is_unlocked=True)


class _KilledWriters:
    """Processes that were killed in `writing_below`, as a sweep finds their empty staging files.

    Args:
        folder: The folder that is swept.

    Attributes:
        alive: Folders in which a process holds a staging file.
    """

    def __init__(self, folder: str) -> None:
        self.alive: set[str] = set()
        self._top = folder
        self._since: dict[str, float] = {}
        # before any of the locks is tried: a process that starts later writes later
        self._until = time.time() - _CLOCK_S

    def add(self, file: str, status: os.stat_result) -> None:
        """Note an abandoned staging file."""
        if status.st_size == 0 and _STAGING.fullmatch(os.path.basename(file)):
            folder = os.path.dirname(file)
            self._since[folder] = min(self._since.get(folder, status.st_mtime), status.st_mtime)

    def wrote(self, file: str, status: os.stat_result) -> bool:
        """Return whether a killed process wrote the staging file of a library: none that is alive writes there."""
        folder, is_found = os.path.dirname(file), False
        while folder not in self.alive:
            is_found |= self._since.get(folder, float("inf")) <= status.st_mtime < self._until
            if len(folder) <= len(self._top):
                return is_found
            folder = os.path.dirname(folder)
        return False


@contextmanager
def writing_below(folder: str, root: str) -> Iterator[None]:
    """Let sweeps know that this process writes below a folder with a library that does not lock its staging files.

    While the block runs, the folder has an empty staging file of rivers, whose lock ends with this process.

    Args:
        folder: The folder.
        root: A folder above it, which is used if the folder does not exist, and created if neither does.
    """
    try:
        try:
            mark, descriptor = new_staging(folder)
        except FileNotFoundError:
            os.makedirs(root, exist_ok=True)
            mark, descriptor = new_staging(root)
    except OSError:  # the library will report that nothing can be written
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may have been deleted
            os.unlink(mark)
        os.close(descriptor)


def _if_abandoned(file: str, action: Callable[[str], None]) -> bool:
    """Call `action` with a staging file once it is certain that no process writes it; return whether it was called.

    A process holds a lock on the file that it writes, and the lock ends with the process. A lock says nothing about
    writers on other hosts, nor about obstore and deltalake, which do not lock: their files must be a day old.
    """
    match = _STAGING.fullmatch(os.path.basename(file))
    try:
        if match is None or match["host"] != _host() or fcntl is None:
            if time.time() - os.stat(file).st_mtime <= _AGE_S:
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


def _is_locked(staging: str, descriptor: int) -> bool:
    """Lock a new file, and return False if a sweep removed it before it was locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks, where a sweep cannot lock either
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(staging))
    except FileNotFoundError:
        return False


def _random() -> int:
    return int.from_bytes(os.urandom(8))  # a fifth of the time of `secrets.randbelow`


@cache
def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):010d}"
