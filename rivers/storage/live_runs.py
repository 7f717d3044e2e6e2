"""Runs of this process while they run: which steps run now, and whether another process asked to cancel."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from operator import itemgetter
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from rivers.exceptions import StorageError
from rivers.storage.records import RunningStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.storage.base import EventStorage

INTERVAL_SECONDS: Final = 0.25
"""A step that runs longer is visible to other processes; their requests to cancel are detected after this time."""

_LOG = logging.getLogger("rivers.storage")


@dataclass(frozen=True, slots=True)
class RunningCall:
    """Key of a running call in `LiveRun.running`; attempts of one call are equal.

    Attributes:
        step: Name of the step.
        asset_key: Name of the asset or task that users know.
        partition_key: Display form of the partition key, None without partitions and for several in one call.
        attempt: Number of the attempt, from 1.
        place: Where it runs; None in this process.
    """

    step: str
    asset_key: str
    partition_key: str | None
    attempt: int = field(default=1, compare=False)
    place: str | None = field(default=None, compare=False)


class LiveRun(Protocol):
    """Interface of a run of this process for storages.

    Attributes:
        run_id: Id of the run.
        running: `perf_counter_ns` of the start of each running call. The key is a `RunningCall`, or only the name of
            a plain step, which costs nothing to create.
    """

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...

    @property
    def running(self) -> dict[Any, int]:
        """Start of each running call."""
        ...

    def cancel(self) -> None:
        """Start no further call; called from any thread, any number of times."""


def running_steps(run: LiveRun, longer_than_s: float = 0.0) -> list[RunningStep]:
    """Return the calls of a run that have been running for some time, the longest first.

    Args:
        run: The run.
        longer_than_s: Leave out calls that started less than this many seconds ago.
    """
    calls = run.running.copy()  # one operation: other threads change it
    now, now_ns = perf_counter_ns(), time_ns()
    return [
        _shown(run.run_id, call, now_ns - (now - started))
        for call, started in sorted(calls.items(), key=itemgetter(1))
        if now - started >= longer_than_s * 1e9
    ]


def _shown(run_id: str, call: RunningCall | str, started_at: int) -> RunningStep:
    if isinstance(call, str):
        call = RunningCall(call, call, None, 1)
    from platform import node

    place = call.place or f"process {os.getpid()} on {node()}"
    return RunningStep(run_id, call.step, call.asset_key, call.partition_key, call.attempt, started_at, place)


@dataclass(slots=True)
class _Watched:
    """A run, its storage, and what that shows as running.

    Attributes:
        lock: Held from reading the running calls until they are shown, so that a thread that is late does not replace
            newer ones, and `LiveRuns.remove` returns when the storage is not in use.
    """

    run: LiveRun
    storage: EventStorage
    shown: Sequence[tuple[object, ...]] = ()
    lock: threading.RLock = field(default_factory=threading.RLock)


class LiveRuns:
    """Thread that reports running steps to storages, and asks them for requests to cancel, while runs are open.

    One thread serves all runs of the process. It ends when there is no run, and is started for the next one, so that
    short runs share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._never = threading.Event()

    def add(self, run: LiveRun, storage: EventStorage) -> None:
        """Watch a run until `remove`."""
        with self._lock:
            self._runs[id(run)] = _Watched(run, storage)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="rivers-live-runs", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is shutting down
                    self._thread = None

    def remove(self, run: LiveRun) -> None:
        """Stop watching a run; when this returns, its storage may be closed."""
        with self._lock:
            watched = self._runs.pop(id(run), None)
        if watched is not None:
            with watched.lock:  # a refresh in progress ends first
                pass

    def refresh(self, run_id: str) -> None:
        """Ask the storages of the runs with this id for requests to cancel now, instead of at the next interval."""
        with self._lock:
            runs = [watched for watched in self._runs.values() if watched.run.run_id == run_id]
        for watched in runs:
            self._refresh(watched)

    def forget(self) -> None:
        """Forget all runs: in a forked child they and the thread are those of the parent."""
        self._lock, self._never = threading.Lock(), threading.Event()
        self._runs, self._thread = {}, None

    def _watch(self) -> None:
        while True:
            self._never.wait(INTERVAL_SECONDS)
            with self._lock:
                if not self._runs:
                    self._thread = None
                    return
                runs = list(self._runs.values())
            for watched in runs:
                self._refresh(watched)

    def _refresh(self, watched: _Watched) -> None:
        run, storage = watched.run, watched.storage
        try:
            with watched.lock:
                if self._runs.get(id(run)) is not watched:
                    return
                calls = running_steps(run, INTERVAL_SECONDS)
                shown = [(call.step, call.partition_key, call.attempt, call.place) for call in calls]
                if shown != list(watched.shown):
                    storage.replace_running_steps(run.run_id, calls)
                    watched.shown = shown
                cancelled = storage.is_cancelled(run.run_id)
            if cancelled:
                run.cancel()
        except StorageError as error:  # the next event of the run fails too, and reports it
            _LOG.debug("running steps of run %s are not recorded: %s", run.run_id, error)
        except Exception:  # a defect of a storage must not end the watching of other runs
            _LOG.warning("running steps of run %s are not recorded", run.run_id, exc_info=True)


live_runs = LiveRuns()
"""Open runs of this process."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=live_runs.forget)
