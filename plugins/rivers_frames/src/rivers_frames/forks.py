"""Frame libraries in forked processes: threads of polars do not survive a fork, so that the next query would hang."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from rivers_core.authoring import ForkGuard
from rivers_core.exceptions import RiversError

POLARS: Final = ForkGuard("polars")
"""Refuses polars in a process that was forked after polars had started its threads."""

# Names of the threads that polars (1.30 up to 2.1) starts with its first query, as Linux shows them.
_THREAD: Final = re.compile(r"polars-\d+|async-executor-")
_TASKS: Final = Path("/proc/self/task")


def _mark_polars() -> None:
    """Mark polars as used before this process forks, if code outside this package has started its threads."""
    if "polars" in sys.modules and _has_threads():
        # a parent that was forked itself is refused already
        with suppress(RiversError):
            POLARS.enter()


def _has_threads() -> bool:
    """Return whether polars has started threads; True where that is not known."""
    if not _TASKS.exists():
        return True
    for task in _TASKS.iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if _THREAD.match((task / "comm").read_text()):
                return True
    return False


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_mark_polars)
