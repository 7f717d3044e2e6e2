"""Native libraries in forked processes: their threads do not survive a fork, so that the next call would hang."""

from __future__ import annotations

import os

from rivers_core.exceptions import RiversError


class ForkGuard:
    """Refuse a native library in a process that was forked after the library was used.

    A child process that forks has none of the threads that the library started in its parent: a call would wait for
    them forever. A child whose parent never used the library may use it.

    Args:
        library: Name of the library, for the message.

    Examples:
        >>> guard = ForkGuard("obstore")
        >>> guard.enter()
    """

    __slots__ = ("_first_user", "_library")

    def __init__(self, library: str) -> None:
        self._library = library
        self._first_user: int | None = None

    def enter(self) -> None:
        """Call this before each call of the library.

        Raises:
            RiversError: Another process used the library before this one was forked from it.
        """
        process = os.getpid()
        if self._first_user is None:
            self._first_user = process
        elif self._first_user != process:
            raise RiversError(
                f"{self._library} does not work in process {process}, which was forked from process "
                f"{self._first_user} after that had used it: its threads do not survive a fork. "
                'Start the process with "spawn", as in multiprocessing.get_context("spawn")'
            )
