"""Exclusive locks on open files, released when the file is closed or its process ends.

filelock (up to 4.2) keeps the locked descriptor as a number: an interrupt between the lock and its assignment leaves
the file locked until the process ends. A file object closes itself.
"""

from __future__ import annotations

import sys
from time import monotonic, sleep
from typing import IO, Final

RETRY_SECONDS: Final = 0.02

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file and return True, or return False if another open file holds the lock."""
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Release the lock of a file."""
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file and return True, or return False if another open file holds the lock."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Release the lock of a file; closing it would not, while a forked child has it open."""
        fcntl.flock(file, fcntl.LOCK_UN)


def lock(file: IO[bytes], seconds: float) -> None:
    """Lock a file, waiting for another process that holds the lock.

    Raises:
        TimeoutError: The lock was not released in time.
    """
    end = monotonic() + seconds
    while not try_lock(file):
        if monotonic() > end:
            raise TimeoutError(f"{file.name}: locked for {seconds} s")
        sleep(RETRY_SECONDS)
