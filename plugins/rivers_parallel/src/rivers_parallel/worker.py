"""Main function of a worker process: run one request after the other, and end with the coordinator."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import NoReturn

_CHECK_SECONDS = 5.0
_TEARDOWN_SECONDS = 5.0


def run_worker(pipe: Connection, lifeline: Connection, coordinator: int) -> None:
    """Run requests until the coordinator requests the end or has ended.

    Args:
        pipe: Receives requests and sends reports.
        lifeline: Is closed when the coordinator ends, however it ends.
        coordinator: Process id of the coordinator.
    """
    _leave_terminal()
    from rivers.executors.remote.worker import repositories, run_request

    watch = _Watch(lifeline, coordinator)
    try:
        while request := pipe.recv_bytes():
            digest, bundle, encoded = pickle.loads(request)
            with watch:
                report = run_request(digest, bundle, encoded)
            pipe.send_bytes(report)
    except (EOFError, OSError):  # the coordinator has ended
        watch.limit_teardown()
    repositories.close()


def _leave_terminal() -> None:
    """Ignore Ctrl-C, which the coordinator handles, and leave the group of processes that the terminal signals."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _Watch:
    """Ends this process soon after the coordinator: at once if a step runs, since its result would not be recorded.

    Args:
        lifeline: See `run_worker`.
        coordinator: See `run_worker`.
    """

    def __init__(self, lifeline: Connection, coordinator: int) -> None:
        self._lifeline = lifeline
        self._coordinator = coordinator
        self._is_busy = False
        threading.Thread(target=self._watch, name="rivers-lifeline", daemon=True).start()

    def __enter__(self) -> None:
        self._is_busy = True

    def __exit__(self, *_: object) -> None:
        self._is_busy = False

    def limit_teardown(self) -> None:
        """End this process if tearing down resources takes too long."""
        timer = threading.Timer(_TEARDOWN_SECONDS, _end)
        timer.daemon = True
        timer.start()

    def _watch(self) -> None:
        # a child that the coordinator forked may keep the lifeline open: its process id is compared as well
        while not self._lifeline.poll(_CHECK_SECONDS):
            if os.name == "posix" and os.getppid() != self._coordinator:
                break
        if self._is_busy:
            _end()
        self.limit_teardown()


def _end() -> NoReturn:
    from rivers_parallel.processes import kill_tree

    kill_tree(os.getpid())
    os._exit(1)
