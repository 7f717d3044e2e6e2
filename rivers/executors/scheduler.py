"""Scheduler of plans whose steps overlap: asynchronous steps on an event loop, steps that run elsewhere, and others.

A step starts as soon as its upstreams are stored. Synchronous steps of this process run in the calling thread, one
after the other, while the event loop in another thread drives the rest. While a thread stores the result of one, the
calling thread runs the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from rivers.execution.fan_out import Streams, UpstreamFailedError
from rivers.execution.retries import NotRunError, is_failure
from rivers.execution.step import execute_step, run_step
from rivers.execution.write_threads import WriteThreads

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping
    from concurrent.futures import Future
    from typing import Any

    from rivers.execution.run import Run
    from rivers.executors.remote.call import Ending, RemoteCalls
    from rivers.graph.plan import Step


def run_overlapping(run: Run, max_async_concurrent: int | None = None, io_threads: int = 0) -> None:
    """Run every step of a plan as soon as its upstreams are stored.

    The event loop runs in another thread, so that a synchronous step does not block other steps, a function may call
    `asyncio.run`, and the caller may be inside a running loop. An early end cancels the asynchronous steps that are
    still running and awaits them. Steps that run elsewhere finish, unless a second interrupt ends their processes, and
    values that threads store are recorded.

    Args:
        run: The run.
        max_async_concurrent: Number of asynchronous steps of this process that may run at once; None for no limit.
        io_threads: Number of threads that store results of synchronous steps of this process; 0 stores them in the
            calling thread.
    """
    loop = _Loop()
    try:
        loop.open()
        run.write_threads = WriteThreads(io_threads) if io_threads else None
        _Scheduler(run, loop, max_async_concurrent).run()
    finally:
        if run.streams is not None:
            run.streams.close_all()
        if run.write_threads is not None:
            run.write_threads.close()
        try:
            loop.close()
        except BaseException:  # an interrupt must not leave the thread with running steps
            loop.close()
            raise


class _Loop:
    """Event loop in a separate thread; what it runs sees the context variables of the calling thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._context = contextvars.copy_context()
        self._thread = threading.Thread(target=self._serve, name="rivers-loop", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, BaseException | None]) -> Future[BaseException | None]:
        # a copy, since one context cannot be entered twice at once
        return self._context.copy().run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)

    def close(self) -> None:
        """Cancel what still runs, and end the thread. May be called again after an interrupt."""
        if not self._thread.is_alive():
            self._loop.close()
            return
        with suppress(RuntimeError):  # the thread has just closed the loop
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run_until_closing())
        finally:
            self._loop.close()

    async def _run_until_closing(self) -> None:
        await self._closing.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


class _Suspended(NamedTuple):
    """Step of the calling thread that waits until a thread has stored its result."""

    step: Step
    coroutine: Coroutine[Any, Any, None]
    context: contextvars.Context


class _Scheduler:
    """State of one run: steps that wait for upstreams, are ready, are running, or ended.

    The thread in which a step ends starts its downstream steps, so that a long step in the calling thread does not
    delay them. One lock guards the state; synchronous steps run outside it.
    """

    def __init__(self, run: Run, loop: _Loop, max_async_concurrent: int | None) -> None:
        self._run = run
        self._loop = loop
        self._streams = run.streams = Streams.of(run)
        after: Mapping[str, Collection[str]] = run.plan.after if run.streams is None else run.streams.after
        self._waits = {step.name: len(after[step.name]) for step in run.plan.steps}
        self._followers: dict[str, list[Step]] = {step.name: [] for step in run.plan.steps}
        for step in run.plan.steps:
            for name in after[step.name]:
                self._followers[name].append(step)
        self._ready = deque(step for step in run.plan.steps if not after[step.name])
        self._here: deque[Step] = deque()  # ready synchronous steps of the calling thread
        self._stored: deque[_Suspended] = deque()  # to be continued in the calling thread
        self._io_threads = 0 if run.write_threads is None else run.write_threads.count
        self._storing = 0  # begun there, with a result that a thread stores
        self._async_slots = None if max_async_concurrent is None else asyncio.Semaphore(max_async_concurrent)
        # an event loop keeps only weak references to its tasks: without this one a waiting task may be collected
        self._running: dict[str, Future[BaseException | None]] = {}
        self._change = threading.Condition(threading.RLock())
        self._stopped = False
        self._ended_by: BaseException | None = None
        self._calls, self._ending = _remote_calls(run)

    def run(self) -> None:
        self._run.when_canceled = self._cancel
        try:
            if self._run.is_canceled:
                self._cancel()
            while (next_step := self._next_here()) is not None:
                self._run_here(next_step)
        except BaseException:
            self._finish_writes()
            self._drain(is_canceled=True)
            raise
        self._finish_writes()
        if self._ended_by is not None:
            self._drain(is_canceled=True)
            raise self._ended_by
        self._drain()

    def _next_here(self) -> Step | _Suspended | None:
        """Return the next step of the calling thread, waiting for other steps; None when all have ended."""
        with self._change:
            while True:
                self._start_ready()
                if self._ended_by is not None or self._stopped:
                    return None
                if self._stored:
                    return self._stored.popleft()
                # results wait in memory: no more of them than threads, and one behind these
                if self._here and self._storing <= self._io_threads:
                    return self._here.popleft()
                if not self._running and not self._storing:
                    return None
                self._change.wait()

    def _start_ready(self) -> None:
        """Start what does not need the calling thread, and queue the rest."""
        while self._ready and not self._stopped:
            step = self._ready.popleft()
            if step.name in self._calls or step.needs_loop:
                self._begin(step)
            else:
                self._here.append(step)

    def _begin(self, step: Step) -> None:
        if not self._run.may_start(step):
            self._release(step)
            return
        self._release_early(step)
        calls = self._calls.get(step.name)
        if calls is not None:
            coroutine = execute_step(step, self._run, calls.execute)
        else:
            coroutine = _limited(execute_step(step, self._run), self._async_slots)
        future = self._running[step.name] = self._loop.start(_error_of_step(coroutine, step))
        future.add_done_callback(lambda done: self._end_of_task(step, done))

    def _run_here(self, ready: Step | _Suspended) -> None:
        if isinstance(ready, _Suspended):
            step, suspended = ready.step, ready
        else:
            step, suspended = ready, None
            with self._change:
                if not self._run.may_start(step):
                    self._release(step)
                    return
                if self._streams is not None:
                    self._release_early(step)
                    self._start_ready()
        error: BaseException | None = None
        try:
            if suspended is None and self._run.write_threads is None:
                run_step(step, self._run)
            elif not self._advance(suspended or self._begun(step)):
                return
        except BaseException as raised:
            if not is_failure(raised, step) and not isinstance(raised, (NotRunError, UpstreamFailedError)):
                raise
            error = raised
        self._end(step, error)

    def _begun(self, step: Step) -> _Suspended:
        # a copy of the context variables, as of asynchronous steps: those of steps that take turns stay apart
        return _Suspended(step, execute_step(step, self._run), contextvars.copy_context())

    def _advance(self, suspended: _Suspended) -> bool:
        """Run a step until a thread stores its result; return whether it has ended."""
        try:
            write: Future[Any] = suspended.context.run(suspended.coroutine.send, None)
        except StopIteration:
            return True
        with self._change:
            self._storing += 1
        write.add_done_callback(lambda _: self._continue(suspended))
        return False

    def _continue(self, suspended: _Suspended) -> None:
        """Let the calling thread continue a step whose result is stored; called in the thread that stored it."""
        with self._change:
            self._storing -= 1
            self._stored.append(suspended)
            self._change.notify_all()

    def _finish_writes(self) -> None:
        """Record what threads store, when the run ends early: nothing else is begun."""
        if self._run.write_threads is None:
            return
        self._run.write_threads.is_closing = True
        with self._change:
            self._stop()
        while True:
            with self._change:
                while self._storing and not self._stored:
                    self._change.wait()
                if not self._stored:
                    return
                stored = self._stored.popleft()
            self._run_here(stored)

    def _end_of_task(self, step: Step, done: Future[BaseException | None]) -> None:
        try:
            self._end(step, _error_of(done))
        except BaseException as error:  # the storage failed; a future would only log this
            with self._change:
                self._ended_by = self._ended_by or error
                self._stop()
                if self._streams is not None:
                    self._streams.close_all()
                self._change.notify_all()

    def _end(self, step: Step, error: BaseException | None) -> None:
        with self._change:
            self._running.pop(step.name, None)
            if error is None:
                self._run.finished.add(step.name)
            elif isinstance(error, NotRunError):
                self._stop()
            elif isinstance(error, UpstreamFailedError):
                self._run.give_up(step, str(error))
            elif isinstance(error, (Exception, asyncio.CancelledError)):
                self._run.fail(step, error)
                if self._run.stop_at_failure:
                    self._stop()
            else:
                self._ended_by = self._ended_by or error
                self._stop()
            self._release(step)
            self._start_ready()
            self._change.notify_all()

    def _stop(self) -> None:
        self._stopped = True
        self._withdraw()

    def _cancel(self) -> None:
        """Start nothing more, and end calls elsewhere that a canceled run does not wait for."""
        self._withdraw()
        self._interrupt_unfinished()

    def _withdraw(self) -> None:
        """Let no call start elsewhere, not even one that waits for a process there."""
        if self._ending is not None:
            self._ending.starts_nothing = True
            for calls in set(self._calls.values()):
                calls.withdraw()

    def _interrupt_unfinished(self) -> None:
        for calls in set(self._calls.values()):
            if not calls.finishes_running:
                calls.interrupt()

    def _release_early(self, step: Step) -> None:
        """Let collectors start that receive the values of a mapped step while it runs."""
        for collector in () if self._streams is None else self._streams.begun_by.get(step.name, ()):
            self._followers[step.name].remove(collector)
            self._waits[collector.name] -= 1
            if not self._waits[collector.name]:
                self._ready.append(collector)

    def _release(self, step: Step) -> None:
        if self._streams is not None:
            self._streams.close(step.name)
        for follower in self._followers[step.name]:
            self._waits[follower.name] -= 1
            if not self._waits[follower.name]:
                self._ready.append(follower)

    def _drain(self, *, is_canceled: bool = False) -> None:
        """Wait for running steps if some run elsewhere; a second interrupt ends their processes."""
        if self._ending is None:
            return
        try:
            with self._change:
                self._stop()
            if is_canceled:
                self._interrupt_unfinished()
            with self._change:
                while self._running:
                    self._change.wait()
        except BaseException:
            for calls in set(self._calls.values()):
                calls.interrupt()
            raise


def _remote_calls(run: Run) -> tuple[Mapping[str, RemoteCalls], Ending | None]:
    """Return the calls of each step that runs elsewhere, by name of the step."""
    if not run.elsewhere:
        return {}, None
    from rivers.executors.remote.call import Ending, RemoteCalls

    assert run.connections is not None
    run.connections.open_run(run)
    ending = Ending()
    bundle = run.connections.bundle
    calls = {
        executor: RemoteCalls(
            run, run.connections.channel(executor), bundle, ending, f"Executor.{type(executor).__name__}"
        )
        for executor in dict.fromkeys(run.elsewhere.values())
    }
    return {name: calls[executor] for name, executor in run.elsewhere.items()}, ending


async def _limited(coroutine: Coroutine[Any, Any, None], slots: asyncio.Semaphore | None) -> None:
    if slots is None:
        await coroutine
        return
    async with slots:
        await coroutine


async def _error_of_step(coroutine: Coroutine[Any, Any, None], step: Step) -> BaseException | None:
    """Run a step and return its error: raising KeyboardInterrupt in a task would end the event loop."""
    try:
        await coroutine
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and not is_failure(error, step):
            raise
        return error
    return None


def _error_of(done: Future[BaseException | None]) -> BaseException | None:
    return asyncio.CancelledError("the step was cancelled") if done.cancelled() else done.result()
