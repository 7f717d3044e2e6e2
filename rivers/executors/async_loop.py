"""Event loop for plans with asynchronous steps: these overlap, while the others run in the calling thread."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING

from rivers.execution.retries import is_failure
from rivers.execution.step import execute_step
from rivers_core.awaitables import run_sync

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rivers.execution.run import Run
    from rivers.graph.plan import Step


def run_overlapping(run: Run) -> None:
    """Run every step of a plan as soon as its upstreams are stored.

    The event loop runs in another thread, so that a synchronous step does not block asynchronous ones, a function may
    call `asyncio.run`, and the caller may be inside a running loop. An early end cancels the steps that are still
    running and awaits them.

    Args:
        run: The run.
    """
    loop = _Loop()
    try:
        loop.open()
        _Overlap(run, loop).run()
    finally:
        try:
            loop.close()
        except BaseException:  # an interrupt must not leave the thread with running steps
            loop.close()
            raise


class _Loop:
    """Event loop in a separate thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="rivers-loop", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def start(self, step: Step, run: Run) -> Future[BaseException | None]:
        context = contextvars.copy_context()
        return context.run(asyncio.run_coroutine_threadsafe, _error_of_step(step, run), self.loop)

    def close(self) -> None:
        if self._thread.is_alive():
            try:
                asyncio.run_coroutine_threadsafe(self._close(), self.loop).result()
            finally:
                self.loop.call_soon_threadsafe(self.loop.stop)
                self._thread.join()
        self.loop.close()

    async def _close(self) -> None:
        tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task(self.loop)}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()


class _Overlap:
    """State of one run: steps that wait for upstreams, are ready, are running, or ended."""

    def __init__(self, run: Run, loop: _Loop) -> None:
        self._run = run
        self._loop = loop
        self._waits = {step.name: len(run.plan.after[step.name]) for step in run.plan.steps}
        self._followers: dict[str, list[Step]] = {step.name: [] for step in run.plan.steps}
        for step in run.plan.steps:
            for name in run.plan.after[step.name]:
                self._followers[name].append(step)
        self._ready = deque(step for step in run.plan.steps if not run.plan.after[step.name])
        self._ended: queue.SimpleQueue[tuple[Step, BaseException | None]] = queue.SimpleQueue()
        self._running = 0
        # an event loop keeps only weak references to its tasks: without this one a waiting task may be collected
        self._futures: dict[str, Future[BaseException | None]] = {}
        self._stopped = False

    def run(self) -> None:
        while (self._ready or self._running) and not self._stopped:
            self._begin_asynchronous()
            if self._ready:
                self._begin(self._ready.popleft())
            elif self._running:
                self._end(*self._ended.get())
            while not self._ended.empty():
                self._end(*self._ended.get())

    def _begin_asynchronous(self) -> None:
        """Start asynchronous steps before the next synchronous step blocks this thread."""
        for step in [step for step in self._ready if step.needs_loop]:
            self._ready.remove(step)
            self._begin(step)

    def _begin(self, step: Step) -> None:
        if not self._run.may_start(step):
            self._release(step)
            return
        self._running += 1
        if step.needs_loop:
            future = self._futures[step.name] = self._loop.start(step, self._run)
            future.add_done_callback(lambda done: self._ended.put((step, _error_of(done))))
            return
        error: BaseException | None = None
        try:
            run_sync(execute_step(step, self._run))
        except BaseException as raised:
            if not is_failure(raised, step):
                raise
            error = raised
        self._ended.put((step, error))

    def _end(self, step: Step, error: BaseException | None) -> None:
        self._running -= 1
        self._futures.pop(step.name, None)
        if error is not None and not isinstance(error, (Exception, asyncio.CancelledError)):
            raise error
        if error is None:
            self._run.finished.add(step.name)
        else:
            self._run.fail(step, error)
            self._stopped = self._stopped or self._run.stop_at_failure
        self._release(step)

    def _release(self, step: Step) -> None:
        for follower in self._followers[step.name]:
            self._waits[follower.name] -= 1
            if not self._waits[follower.name]:
                self._ready.append(follower)


async def _error_of_step(step: Step, run: Run) -> BaseException | None:
    """Run a step and return its error: raising KeyboardInterrupt in a task would end the event loop."""
    try:
        await execute_step(step, run)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and not is_failure(error, step):
            raise
        return error
    return None


def _error_of(done: Future[BaseException | None]) -> BaseException | None:
    return asyncio.CancelledError("the step was cancelled") if done.cancelled() else done.result()
