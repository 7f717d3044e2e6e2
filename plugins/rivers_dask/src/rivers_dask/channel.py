"""Channel to the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import pickle
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle
from distributed import Client, Future, LocalCluster

from rivers.definitions.retry import FailureReason
from rivers.exceptions import RiversError
from rivers.execution.retries import NotRunError
from rivers.executors.remote import Channel, LostStepError
from rivers_dask import tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.definitions.retry import Compute
    from rivers.execution.run import Run
    from rivers.executors.remote import StepRequest
    from rivers_dask.executor import Dask

CONNECT_SECONDS = 10

SUBMIT_SECONDS = 0.01
"""Time between two submissions. A graph of one task costs the scheduler as much as one of ten tasks, and the client
sends its messages at most this often anyway (distributed 2026.8)."""

OVERDUE_SECONDS = 1.0
"""Time after its limit for a step to end by itself and to report, before its worker is restarted."""

RESTART_SECONDS = 30

RELEASE_SECONDS = 0.2
"""Time after which the scheduler may forget tasks that have ended."""

_LOG = logging.getLogger("rivers.run")


@dataclass(slots=True, eq=False)
class _Task:
    """One attempt of a step that is sent to the cluster.

    Attributes:
        key: Its Dask key.
        run_id: Identifier of its run.
        call: The pickled `StepCall`.
        resources: Dask resources that it asks for.
        started: See `StepRequest.started`.
        timeout: See `StepRequest.timeout`.
        future: Its Dask future, when it is submitted.
        report: The encoded report, when it has arrived.
        is_lost: Whether its worker is gone.
        is_withdrawn: Whether it was given up before it started.
        is_overdue: Whether it took too long, and its worker was ended for that.
    """

    key: str
    run_id: str
    call: bytes
    resources: dict[str, float] | None
    started: Callable[[str], None]
    timeout: float | None
    future: asyncio.Future[Future[None]]
    report: bytes | None = None
    is_lost: bool = False
    is_withdrawn: bool = False
    is_overdue: bool = False

    @property
    def is_submitted(self) -> bool:
        return self.future.done() and not self.future.cancelled() and self.future.exception() is None


class DaskChannel(Channel):
    """Connection to a scheduler, whose workers run the steps of one repository.

    Args:
        executor: The executor, with the address or the size of a local cluster.

    Raises:
        RiversError: The scheduler cannot be reached, or workers have other versions.
    """

    reports_start = True
    limits_time = True  # a task may wait for a free worker

    def __init__(self, executor: Dask) -> None:
        self._executor = executor
        self._name = uuid4().hex
        self._cluster = None if executor.address is not None else _local_cluster(executor)
        self._client = self._connected()
        self._running: dict[str, _Task] = {}
        self._queued: list[_Task] = []
        self._submitted_at = 0.0
        self._ended: list[Future[None]] = []
        self._bundles: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: set[str] = set()
        self._background: set[asyncio.Future[None]] = set()
        try:
            self._check_versions()
            close_bundle = cloudpickle.dumps(tasks.close_bundle)
            # by value: the scheduler need not have this package
            cloudpickle.register_pickle_by_value(tasks)
            try:
                self._client.register_plugin(tasks.StepPlugin(self._name, self._client.id, close_bundle))
            finally:
                cloudpickle.unregister_pickle_by_value(tasks)
            self._client.subscribe_topic(tasks.TOPIC, self._receive)
        except BaseException:
            self._disconnect()
            raise

    def open_run(self, run: Run) -> None:
        """Accept the requests of a run, and warn if its credentials are sent without encryption."""
        if run.run_id in self._withdrawn:  # it is resumed
            self._withdrawn.discard(run.run_id)
            self._client.run_on_scheduler(_by_value(tasks.accept_run), self._name, run.run_id)
        address = self._executor.address
        if address is not None and not address.startswith(("tls://", "wss://")) and run.secrets:
            _LOG.warning(
                "Run %s sends credentials of its handlers and resources to the Dask cluster at %s without encryption. "
                "Use TLS (tls://), or let the workers take credentials from their environment.",
                run.run_id,
                address,
            )

    async def send(self, request: StepRequest) -> bytes:
        """Run one attempt of a step on a worker; see `Channel.send`."""
        resources = self._resources(request)
        loop: Any = self._client.loop  # of tornado, which runs on the one of asyncio
        on_client_loop = asyncio.run_coroutine_threadsafe(self._send(request, resources), loop.asyncio_loop)
        return await asyncio.wrap_future(on_client_loop)

    def withdraw(self, run_id: str) -> None:
        """Give up steps of a run that have not started; see `Channel.withdraw`."""
        self._withdrawn.add(run_id)
        with suppress(OSError, RuntimeError):  # the cluster may be gone
            started: Any = self._client.run_on_scheduler(_by_value(tasks.withdraw_run), self._name, run_id)
            self._client.sync(self._give_up, run_id, set(started))

    def interrupt(self) -> None:
        """Cancel all running tasks; see `Channel.interrupt`."""
        self._client.sync(self._interrupt)

    def close(self) -> None:
        """Tear down resources on the workers and leave nothing on the cluster; end a local one."""
        with suppress(OSError, RuntimeError):  # the cluster may be gone
            for digest in self._bundles:
                self._client.run(tasks.close_bundle, digest, on_error="ignore")
            self._client.unsubscribe_topic(tasks.TOPIC)
            self._client.unregister_scheduler_plugin(f"rivers-{self._name}")
            self._client.run_on_scheduler(_by_value(tasks.forget_channel), self._name)
        self._disconnect()

    # ------------------------------------------------------------------ on the loop of the client

    async def _send(self, request: StepRequest, resources: dict[str, float] | None) -> bytes:
        digest = request.bundle.digest
        if digest not in self._bundles:
            self._bundles[digest] = asyncio.ensure_future(self._broadcast(digest, request.bundle.data))
        await asyncio.shield(self._bundles[digest])
        report = await self._run(request, None, resources)
        if report == tasks.NEEDS_BUNDLE:  # a worker that came later
            report = await self._run(request, request.bundle.data, resources)
        if report is None and request.run_id in self._withdrawn:
            raise NotRunError
        if report is None:
            raise self._lost(request)
        return report

    def _lost(self, request: StepRequest) -> LostStepError:
        return LostStepError(
            f"The Dask worker that ran {request.subject}, attempt {request.attempt}, was lost "
            f"(scheduler {self._executor.address or 'of the local cluster'})."
        )

    async def _broadcast(self, digest: str, data: bytes) -> None:
        # a worker that cannot load them reports that with the first step
        await self._client.run(tasks.load_bundle, digest, data, on_error="ignore")

    async def _run(
        self, request: StepRequest, data: bytes | None, resources: dict[str, float] | None
    ) -> bytes | None:
        """Return the report of a task; None if it ended without one."""
        if request.run_id in self._withdrawn:
            raise NotRunError
        loop = asyncio.get_running_loop()
        key = f"rivers-{request.step}-{uuid4().hex}"
        call = tasks.StepCall(
            request.bundle.digest, data, request.encoded, request.run_id, key, self._name, self._client.id
        )
        encoded = pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
        task = self._running[key] = _Task(
            key, request.run_id, encoded, resources, request.started, request.timeout, loop.create_future()
        )
        try:
            future = await self._submit(task)
            error = await future.exception()
        except asyncio.CancelledError:
            if task.is_submitted:
                await self._client.cancel([task.future.result()], force=True)
            raise
        finally:
            del self._running[key]
        if task.is_withdrawn:
            raise NotRunError
        if task.is_overdue and task.report is None:
            raise LostStepError(
                f"{request.subject} timed out: one attempt took longer than {request.timeout:g} s, and its Dask worker "
                "was restarted. Raise timeout=, or make the function faster.",
                FailureReason.TIMEOUT,
            )
        if task.is_lost and task.report is None:
            raise self._lost(request)
        if future.status == "cancelled" and task.report is None:
            raise LostStepError(f"The task of {request.subject} was canceled.")
        self._end(future)
        if error is not None and task.report is None:
            raise LostStepError(f"Dask could not run {request.subject}: {error}") from error
        return task.report

    def _receive(self, event: tuple[str, str | bytes]) -> None:
        """Note where a task runs, or keep its report, which comes before the message that the task has ended."""
        key, message = event
        task = self._running.get(key)
        if task is None:
            return
        if isinstance(message, str):
            task.started(message)
            # a thread cannot be ended. On a cluster of others the worker may hold their results, and beside other
            # threads their steps: there, the late result is refused
            if (
                task.timeout is not None
                and self._cluster is not None
                and self._executor.threads_per_worker == 1
            ):
                asyncio.get_running_loop().call_later(task.timeout + OVERDUE_SECONDS, self._end_overdue, task)
        elif message == tasks.LOST:
            task.is_lost = True
            self._cancel_task(task)
        else:
            task.report = message

    def _end_overdue(self, task: _Task) -> None:
        """End the worker of a task that still runs after its time limit."""
        if self._running.get(task.key) is task and task.report is None and not task.is_lost:
            task.is_overdue = True
            self._start(self._restart_worker(task))

    async def _restart_worker(self, task: _Task) -> None:
        address: Any = await self._client.run_on_scheduler(_by_value(tasks.worker_of), task.key)
        if address is not None:
            with suppress(
                OSError, TimeoutError
            ):  # the cluster is closed, or the machine is busy: it goes on there
                await self._client.restart_workers([address], timeout=RESTART_SECONDS, raise_for_error=False)

    def _cancel_task(self, task: _Task) -> None:
        """Cancel a task that was submitted, so that `_run` goes on."""
        self._start(self._client.cancel([task.future.result()], force=True))

    def _start(self, coroutine: Any) -> None:
        started = asyncio.ensure_future(coroutine)
        self._background.add(started)  # the loop keeps only a weak reference
        started.add_done_callback(self._background.discard)

    async def _give_up(self, run_id: str, started: set[str]) -> None:
        """End the tasks of a run that have not started, and for which no worker may come."""
        for task in self._running.values():
            if task.run_id == run_id and task.key not in started:
                task.is_withdrawn = True
                if task.is_submitted:
                    self._cancel_task(task)
                elif not task.future.done():
                    task.future.set_exception(NotRunError())

    def _submit(self, task: _Task) -> asyncio.Future[Future[None]]:
        """Queue a task, to be submitted with others that are ready at about the same time."""
        if not self._queued:
            asyncio.get_running_loop().call_at(self._submitted_at + SUBMIT_SECONDS, self._submit_queued)
        self._queued.append(task)
        return task.future

    def _submit_queued(self) -> None:
        self._submitted_at = asyncio.get_running_loop().time()
        queued, self._queued = [task for task in self._queued if not task.future.done()], []
        for resources, alike in groupby(sorted(queued, key=_resources_of), _resources_of):
            batch = list(alike)
            try:
                futures = self._client.map(
                    pickle.loads,  # the scheduler need not have this package
                    [task.call for task in batch],
                    key=[task.key for task in batch],
                    pure=False,
                    retries=0,
                    resources=dict(resources) or None,
                )
            except Exception as error:
                for task in batch:
                    task.future.set_exception(error)
                continue
            for task, future in zip(batch, futures, strict=True):
                task.future.set_result(future)

    def _end(self, future: Future[None]) -> None:
        """Release a future, later: the client would make the next submission wait behind this message."""
        if not self._ended:
            asyncio.get_running_loop().call_later(RELEASE_SECONDS, self._release_ended)
        self._ended.append(future)

    def _release_ended(self) -> None:
        for future in self._ended:
            future.release()
        self._ended.clear()

    async def _interrupt(self) -> None:
        for task in self._queued:
            task.future.cancel()
        submitted = [task.future.result() for task in self._running.values() if task.is_submitted]
        await self._client.cancel(submitted, force=True)

    # ------------------------------------------------------------------ connection

    def _connected(self) -> Client:
        target = self._executor.address or self._cluster
        try:
            return Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RiversError(
                f"Could not reach the Dask scheduler at {self._executor.address}: {error}. Check the address, and "
                "that the scheduler is running."
            ) from error

    def _check_versions(self) -> None:
        own = tasks.installed_versions()
        by_address: Any = self._client.run(_by_value(tasks.installed_versions))
        for address, versions in by_address.items():
            for name, version in own.items():
                if versions[name] != version:
                    shown = "is missing" if versions[name] is None else f"has version {versions[name]}"
                    raise RiversError(
                        f"Dask worker {address}: {name} {shown}, but this process has {version}. Install the same "
                        "version there."
                    )

    def _resources(self, request: StepRequest) -> dict[str, float] | None:
        """Return the Dask resources of a step, as far as workers offer them.

        Raises:
            RiversError: No worker offers as much.
        """
        needed = _quantities(request.compute)
        if not needed and (self._executor.address is None or not self._executor.resources):
            return None
        offers = [
            worker["resources"] for worker in self._client.scheduler_info(n_workers=-1)["workers"].values()
        ]
        names = {name for offer in offers for name in offer}
        needed = {name: amount for name, amount in needed.items() if name in names}
        if self._executor.address is not None:
            needed = {**(self._executor.resources or {}), **needed}
        if needed and offers and not any(_suffices(offer, needed) for offer in offers):
            raise RiversError(
                f"No Dask worker offers the resources of {request.subject}: {needed}. Workers offer {offers}."
            )
        return needed or None

    def _disconnect(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _local_cluster(executor: Dask) -> LocalCluster:
    return LocalCluster(
        n_workers=executor.n_workers,
        threads_per_worker=executor.threads_per_worker,
        processes=True,
        # None would be port 8787, with a warning if another cluster has it
        dashboard_address="127.0.0.1:0",
        resources=executor.resources,
    )


def _quantities(compute: Compute | None) -> dict[str, float]:
    if compute is None:
        return {}
    amounts = {
        "CPU": (compute.millicores or 0) / 1000,
        "MEMORY": float(compute.memory_bytes or 0),
        "GPU": float(compute.gpu or 0),
    }
    return {name: amount for name, amount in amounts.items() if amount}


def _suffices(offer: dict[str, float], needed: dict[str, float]) -> bool:
    return all(offer.get(name, 0) >= amount for name, amount in needed.items())


def _resources_of(task: _Task) -> list[tuple[str, float]]:
    return sorted((task.resources or {}).items())


def _by_value(function: Any) -> Any:
    """Return a function that is pickled by value, for processes that need not have this package."""
    copy = type(function)(
        function.__code__, {"__builtins__": __builtins__}, function.__name__, function.__defaults__
    )
    copy.__module__ = "__main__"
    return copy
