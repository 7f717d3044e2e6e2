"""Running assets: what was asked for, how it goes, how it ended."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from rivers.exceptions import ExecutionError
from rivers_cli.running.logs import logs_shown
from rivers_cli.running.outcome import Outcome, Terminated, finished, stopped
from rivers_cli.running.progress import Progress
from rivers_cli.running.request import Request, prepared
from rivers_cli.running.views import say, view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_cli.running.request import Prepared

__all__ = ["Outcome", "Request", "prepared", "run", "say"]


def run(prepared: Prepared, without_secrets: Callable[[str], str], *, silent: bool = False) -> Outcome:
    """Run what was prepared, and show it.

    Args:
        prepared: What to run.
        without_secrets: Takes credentials out of what functions and handlers log.
        silent: Show nothing while it runs.

    Returns:
        How it ended, also when somebody stopped it.
    """
    progress = Progress(prepared, without_secrets)
    started = monotonic_ns()
    view = view_of(progress, silent=silent)
    try:
        logs, watched = logs_shown(without_secrets), prepared.repository.storage.watching(view.note)
        with _ended_by_signal(), logs, view, watched:
            errors: Any = prepared.run().errors
    except ExecutionError as error:
        failed = progress.names("failed")
        errors = {failed[0] if failed else "?": error.__cause__ or error}
    except (KeyboardInterrupt, SystemExit) as error:
        return stopped(prepared, progress, monotonic_ns() - started, error)
    return finished(prepared, progress, monotonic_ns() - started, errors)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: recorded, with nothing half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
