"""Pool of worker processes, each with a pipe: killing or losing one does not affect the others.

loky's own executor ends all its workers when it loses one, so that steps that still run would be lost. Only its
processes are used here, which start without running the `__main__` module again.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import pickle
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import loky
from loky.backend import get_context

from rivers.definitions.retry import FailureReason
from rivers.executors.remote import Channel, LostStepError
from rivers_parallel.processes import MemoryKills, kill_tree
from rivers_parallel.worker import run_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from rivers.executors.remote import StepRequest

_INTERRUPT_SECONDS = 5.0
"""Time for a worker to interrupt a step that takes too long and to report, before the worker is killed."""

_STOP_SECONDS = 10.0
"""Time for a worker to tear down its resources before it is killed."""


def available_cpus() -> int:
    """Return the number of CPUs that this process may use, with affinity and cgroup limits."""
    return int(loky.cpu_count())


class WorkerPool(Channel):
    """Worker processes that run the steps of one repository, started when they are needed and reused.

    Args:
        max_workers: Number of processes.
    """

    reports_start = True
    limits_time = True  # a worker may have to start first

    def __init__(self, max_workers: int) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}
        self._sent: dict[Future[bytes], str] = {}
        self._kills = MemoryKills()
        # each drives a worker; requests wait here and not in the event loop, which would take part in each exchange
        self._threads = ThreadPoolExecutor(max_workers, "rivers-worker")
        # registered after multiprocessing's own function, and so called before that waits for the processes
        atexit.register(self.close)

    async def send(self, request: StepRequest) -> bytes:
        """Run one attempt of a step in a worker; see `Channel.send`."""
        sent = self._threads.submit(self._exchange, request)
        with self._lock:
            self._sent[sent] = request.run_id
        try:
            return await asyncio.wrap_future(sent)
        except asyncio.CancelledError:
            worker = self._busy.get(id(request))
            if worker is not None:
                worker.kill()
            raise
        finally:
            with self._lock:
                del self._sent[sent]

    def withdraw(self, run_id: str) -> None:
        """Take back requests that wait for a worker; see `Channel.withdraw`."""
        with self._lock:
            waiting = [sent for sent, run in self._sent.items() if run == run_id]
        for sent in waiting:
            sent.cancel()  # no effect on one that runs

    def interrupt(self) -> None:
        """Kill the workers that run a step, and start no other step."""
        with self._lock:
            waiting, busy = list(self._sent), list(self._busy.values())
        for sent in waiting:
            sent.cancel()
        for worker in busy:
            worker.kill()

    def _exchange(self, request: StepRequest) -> bytes:
        """Let an idle worker run a request, in one of the threads."""
        with self._lock:
            worker = self._idle.pop() if self._idle else _Worker(self._kills)
            self._busy[id(request)] = worker
        try:
            return worker.exchange(request)
        except BaseException:
            worker.kill()
            raise
        finally:
            with self._lock:
                del self._busy[id(request)]
                if not worker.is_ended:
                    self._idle.append(worker)

    def close(self) -> None:
        """End all workers: they tear down their resources first, unless they still run a step."""
        atexit.unregister(self.close)
        self.interrupt()
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.request_stop()
        for worker in idle:
            worker.wait_for_end()
        self._threads.shutdown()


class _Worker:
    """One worker process and the pipe to it.

    Args:
        kills: Count of processes that were killed for lack of memory.
    """

    def __init__(self, kills: MemoryKills) -> None:
        self._kills = kills
        self.is_ended = False
        self._process: Any = None
        self._pipe: Connection | None = None
        self._lifeline: Connection | None = None
        self._bundles: set[str] = set()
        self._lock = threading.Lock()

    def exchange(self, request: StepRequest) -> bytes:
        """Send a request and wait for its report.

        Raises:
            LostStepError: The process ended before it reported.
        """
        self._start()
        assert self._pipe is not None
        request.started(f"process {self._process.pid}")
        kills = self._kills.before_step()
        digest = request.bundle.digest
        data = None if digest in self._bundles else request.bundle.data
        try:
            self._pipe.send_bytes(pickle.dumps((digest, data, request.encoded), pickle.HIGHEST_PROTOCOL))
            # the worker itself interrupts a step that takes too long, unless that is deaf to signals
            if request.timeout is not None and not self._pipe.poll(request.timeout + _INTERRUPT_SECONDS):
                self.kill()
                raise LostStepError(
                    f"{request.subject} timed out: one attempt took longer than {request.timeout:g} s, and its worker "
                    "process was ended. Raise timeout=, or make the function faster.",
                    FailureReason.TIMEOUT,
                )
            report = self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._lost(request, kills) from error
        self._bundles.add(digest)
        return report

    def request_stop(self) -> None:
        """Ask the process to tear down its resources and end."""
        with suppress(OSError):
            if self._pipe is not None:
                self._pipe.send_bytes(b"")

    def wait_for_end(self) -> None:
        """Wait until the process has ended; kill it if that takes too long."""
        if self._process is not None:
            self._process.join(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the process and those that it started."""
        with self._lock:
            self.is_ended = True
            if self._process is None:
                return
            if self._process.exitcode is None:
                kill_tree(self._process.pid)
            self._process.join(_STOP_SECONDS)
            for end in (self._pipe, self._lifeline):
                if end is not None:
                    end.close()

    def _start(self) -> None:
        with self._lock:
            if self._process is not None or self.is_ended:
                return
            context: Any = get_context("loky")
            self._pipe, their_pipe = context.Pipe()
            their_lifeline, self._lifeline = context.Pipe(duplex=False)
            self._process = context.Process(
                target=run_worker, args=(their_pipe, their_lifeline, os.getpid()), name="rivers-worker"
            )
            with _interrupts_blocked():
                self._process.start()
            their_pipe.close()
            their_lifeline.close()

    def _lost(self, request: StepRequest, kills: int) -> LostStepError:
        process = self._process
        process.join(_STOP_SECONDS)
        code = process.exitcode
        ending = (
            f"ended with exit code {code}"
            if code is None or code >= 0
            else f"was ended by {_signal_name(-code)}"
        )
        reason = FailureReason.INFRASTRUCTURE
        if code == -getattr(signal, "SIGKILL", 9) and self._kills.has_grown(kills):
            ending, reason = f"{ending}, since memory ran out", FailureReason.OUT_OF_MEMORY
        return LostStepError(
            f"Worker process {process.pid} {ending} while it ran {request.subject}, attempt {request.attempt}.",
            reason,
        )


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start a process with SIGINT blocked, so that Ctrl-C does not reach it before it ignores the signal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
