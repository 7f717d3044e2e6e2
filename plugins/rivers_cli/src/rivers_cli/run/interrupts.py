"""Ctrl-C and SIGTERM while a command runs assets: the run is recorded as canceled, with an exit code for each.

The engine keeps no partial value and records the end of the run (`rivers/repository/runner.py`). Steps in other
processes finish unless a second Ctrl-C ends them (`rivers/executors/scheduler.py`).
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rivers_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.storage import Event

_ERRORS: Final = ("KeyboardInterrupt", "SystemExit", "Terminated", "CancelledError")


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM."""

    code = 143


def describe_interruption(error: KeyboardInterrupt | SystemExit) -> tuple[int, str]:
    """Return the exit code and the cause: Ctrl-C, SIGTERM, or a function that called `sys.exit`."""
    if isinstance(error, Terminated):
        return error.code, "Terminated (SIGTERM)."
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED, "Interrupted (Ctrl-C)."
    return EXIT_FAILED, f"The project's code called sys.exit({error.code!r})."


def is_interruption(event: Event) -> bool:
    """Return whether the failure of a step is the interruption of its run: its message begins with the error."""
    return (event.message or "").partition(":")[0] in _ERRORS


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Make SIGTERM end a run like Ctrl-C: recorded, without partial values."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise Terminated

    previous = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, interrupt)
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
