"""Time limits of attempts: interrupt what takes too long, and never store its result."""

from __future__ import annotations

import asyncio
import signal
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import Step


def time_limit(step: Step, run: Run) -> float | None:
    """Return the seconds that one attempt of a step may take: of the asset, else of the job or run."""
    return run.timeout if step.timeout is None else step.timeout


class TimeLimit:
    """Time limit of one attempt, while it loads its inputs and calls the function.

    An asynchronous step is cancelled. A synchronous one in the main thread is interrupted by a timer signal, where the
    platform has one; elsewhere it runs to its end. Either way `check` refuses a result that comes too late. A write
    that has begun is completed, since what an interrupted one leaves is unknown.

    Args:
        step: The step.
        seconds: The limit.
    """

    __slots__ = (
        "_handle",
        "_is_running",
        "_others_handler",
        "_others_seconds",
        "_seconds",
        "_started",
        "_step",
        "_task",
    )

    def __init__(self, step: Step, seconds: float) -> None:
        self._step = step
        self._seconds = seconds
        self._started = perf_counter_ns()
        self._is_running = False
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._others_handler: Any = None
        self._others_seconds = 0.0

    @property
    def has_passed(self) -> bool:
        """True if the time is over."""
        return (perf_counter_ns() - self._started) / 1e9 >= self._seconds

    def start(self) -> None:
        """Start to measure, and arrange the interruption."""
        self._started = perf_counter_ns()
        self._is_running = True
        if self._step.needs_loop:
            self._task = asyncio.current_task()
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._cancel)
        elif _has_timer_signals():
            self._others_handler = signal.signal(signal.SIGALRM, self._interrupt)
            self._others_seconds, _ = signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def stop(self) -> None:
        """End the interruption; may be called again."""
        was_running, self._is_running = self._is_running, False
        if self._handle is not None:
            self._handle.cancel()
        elif was_running and self._others_handler is not None:
            # a timer of the project, or of a run around this one, goes on
            rest = self._others_seconds and max(1e-3, self._others_seconds - self._elapsed())
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._others_handler)
            signal.setitimer(signal.ITIMER_REAL, rest)

    def check(self) -> None:
        """Refuse a result that comes too late.

        Raises:
            TimeoutError: The time is over.
        """
        if self.has_passed:
            raise self.error()

    def error(self) -> TimeoutError:
        """Return the error of an attempt that took too long."""
        return TimeoutError(
            f"asset {self._step.owner!r} timed out: one attempt took longer than {self._seconds:g} s. Nothing was "
            "stored. Raise timeout=, or make the function faster."
        )

    def is_cancellation(self, error: BaseException) -> bool:
        """Return whether an error is the cancellation by this limit, which it takes back then."""
        if not isinstance(error, asyncio.CancelledError) or self._task is None or not self.has_passed:
            return False
        return self._task.cancelling() > 0 and self._task.uncancel() == 0

    def _elapsed(self) -> float:
        return (perf_counter_ns() - self._started) / 1e9

    def _cancel(self) -> None:
        if self._is_running and self._task is not None:
            self._task.cancel()

    def _interrupt(self, number: int, frame: object) -> None:
        del number, frame
        if self._is_running:
            raise self.error()


def _has_timer_signals() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
