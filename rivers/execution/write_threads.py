"""Threads in which handlers store values while the calling thread executes other steps."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rivers.execution.retries import NotRunError
from rivers.execution.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Future

    from rivers.execution.run import Run
    from rivers.graph.plan import HandlerBinding, Step
    from rivers_core.contexts import OutputContext


class WriteThreads:
    """Threads that store values for the steps of one run.

    Only the call of the handler leaves the calling thread: functions, hooks, retries and events stay there.

    Args:
        count: Number of threads.

    Attributes:
        is_closing: Whether the run ends: writes that have begun are completed, and no call of a function is begun.
    """

    __slots__ = ("_threads", "count", "is_closing")

    def __init__(self, count: int) -> None:
        self.count = count
        self.is_closing = False
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="rivers-io")

    def takes(self, step: Step, run: Run, binding: HandlerBinding) -> bool:
        """Return whether a value is stored in a thread.

        Asynchronous steps and handlers overlap anyway. A handler that keeps values in this process has nothing to wait
        for. The time limit of a step with several outputs includes the time between them.
        """
        if step.needs_loop or binding.is_async_output:
            return False
        if step.is_multi and time_limit(step, run) is not None:
            return False
        return bool(binding.handler.locality != "process")

    def store(self, binding: HandlerBinding, context: OutputContext, value: Any) -> Suspension:
        """Start `handle_output` in a thread, with the context variables of this one.

        Returns:
            An awaitable that gives the result of `handle_output`.
        """
        in_context = contextvars.copy_context().run
        return Suspension(self._threads.submit(in_context, binding.handle_output, context, value))

    def check_open(self) -> None:
        """Refuse to begin another call of a step.

        Raises:
            NotRunError: The run ends.
        """
        if self.is_closing:
            raise NotRunError

    def close(self) -> None:
        """End the threads, after the writes that have begun."""
        self._threads.shutdown()


class Suspension:
    """Awaitable that suspends the coroutine of a step until a future is done; the scheduler continues it then."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def __await__(self) -> Generator[Future[Any], None, Any]:
        """Yield the future to the caller that drives the coroutine."""
        yield self._future
        return self._future.result()
