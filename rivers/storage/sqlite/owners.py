"""Detect dead processes: each storage that starts runs holds a lock file, released when its process ends."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from rivers.storage.sqlite.file_lock import try_lock, unlock

if TYPE_CHECKING:
    from pathlib import Path

_ID: Final = re.compile("[0-9a-f]{1,64}")


class Owner:
    """Lock file of one open storage, held while its runs are alive.

    Args:
        folder: Existing folder of the lock files.

    Raises:
        OSError: The lock file cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.id = uuid4().hex
        self._path = _lock_path(folder, self.id)
        self._file = self._path.open("ab")
        try_lock(self._file)

    def release(self) -> None:
        """Release the lock; running runs of this owner count as interrupted from then on."""
        # Unix can remove a locked file, so that no other process locks it in between; Windows only a free one.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        if not self._file.closed:
            unlock(self._file)
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_gone(folder: Path, owner: str | None) -> bool:
    """Return whether the process of an owner has ended, and remove its lock file if so.

    Args:
        folder: Folder of the lock files.
        owner: Id of an `Owner`; None counts as ended.
    """
    # a text that is not an id, in a log that was tampered with, must not name a file elsewhere
    if owner is None or _ID.fullmatch(owner) is None or not (path := _lock_path(folder, owner)).exists():
        return True
    try:
        with path.open("r+b") as file:
            if not try_lock(file):
                return False
            with suppress(OSError):
                path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    # Windows cannot remove an open file.
    with suppress(OSError):
        path.unlink(missing_ok=True)
    return True


def remove_stale(folder: Path) -> None:
    """Remove the lock files of processes that have ended."""
    for path in folder.glob("*.owner"):
        is_gone(folder, path.stem)


def _lock_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.owner"
