"""Who runs what: one locked file per owner of runs, which the system unlocks when its process ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path


class Owner:
    """The claim of one open storage to the runs that it started.

    Args:
        folder: Where the lock files are, which exists.

    Raises:
        OSError: The lock file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.id = uuid4().hex
        self._path = _lock_path(folder, self.id)
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Give up the claim: what still runs under it counts as interrupted from now on."""
        # Unix removes a file that is in use, so nobody can lock it in between; Windows only one that is free.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._lock.release()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_gone(folder: Path, owner: str | None) -> bool:
    """Whether the process behind an owner's id has ended; what it left behind is removed.

    Args:
        folder: Where the lock files are.
        owner: Id of an `Owner`; None is nobody, and gone.
    """
    if owner is None or not (path := _lock_path(folder, owner)).exists():
        return True
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return False
    with suppress(OSError):
        path.unlink(missing_ok=True)
    lock.release()
    return True


def remove_stale(folder: Path) -> None:
    """Remove the lock files of processes that are gone."""
    for path in folder.glob("*.owner"):
        is_gone(folder, path.stem)


def _lock_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.owner"
