"""Channel to the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle
from distributed import Client, Future, LocalCluster

from rivers.exceptions import RiversError
from rivers.execution.retries import NotRunError
from rivers.executors.remote import Channel, LostStepError
from rivers_dask import tasks

if TYPE_CHECKING:
    from rivers.definitions.retry import Compute
    from rivers.execution.run import Run
    from rivers.executors.remote import StepRequest
    from rivers_dask.executor import Dask

CONNECT_SECONDS = 10

_LOG = logging.getLogger("rivers.run")


class DaskChannel(Channel):
    """Connection to a scheduler, whose workers run the steps of one repository.

    Args:
        executor: The executor, with the address or the size of a local cluster.

    Raises:
        RiversError: The scheduler cannot be reached, or workers have other versions.
    """

    limits_time = (
        True  # a task may wait for a free worker; a thread cannot be ended, its late result is refused
    )

    def __init__(self, executor: Dask) -> None:
        self._executor = executor
        self._name = uuid4().hex
        self._cluster = None if executor.address is not None else _local_cluster(executor)
        self._client = self._connected()
        self._running: set[Future[Any]] = set()
        self._bundles: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: set[str] = set()
        self._lock = threading.Lock()
        try:
            self._check_versions()
            close_bundle = cloudpickle.dumps(tasks.close_bundle)
            # by value: the scheduler need not have this package
            cloudpickle.register_pickle_by_value(tasks)
            try:
                self._client.register_plugin(tasks.ClaimPlugin(self._name, self._client.id, close_bundle))
            finally:
                cloudpickle.unregister_pickle_by_value(tasks)
        except BaseException:
            self._disconnect()
            raise

    def open_run(self, run: Run) -> None:
        """Accept the requests of a run, and warn if its credentials are sent without encryption."""
        if run.run_id in self._withdrawn:  # it is resumed
            self._withdrawn.discard(run.run_id)
            self._client.run_on_scheduler(_by_value(tasks.set_withdrawn), self._name, run.run_id, False)
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
        """Let the scheduler refuse steps of a run that have not started; see `Channel.withdraw`."""
        self._withdrawn.add(run_id)
        with suppress(OSError, RuntimeError):  # the cluster may be gone
            self._client.run_on_scheduler(_by_value(tasks.set_withdrawn), self._name, run_id, True)

    def interrupt(self) -> None:
        """Cancel all running tasks; see `Channel.interrupt`."""
        with self._lock:
            running = list(self._running)
        self._client.cancel(running, force=True)

    def close(self) -> None:
        """Tear down resources on the workers and leave nothing on the cluster; end a local one."""
        with suppress(OSError, RuntimeError):  # the cluster may be gone
            for digest in self._bundles:
                self._client.run(tasks.close_bundle, digest, on_error="ignore")
            self._client.unregister_scheduler_plugin(f"rivers-{self._name}")
            self._client.run_on_scheduler(_by_value(tasks.forget_claims), self._name)
        self._disconnect()

    # ------------------------------------------------------------------ on the loop of the client

    async def _send(self, request: StepRequest, resources: dict[str, float] | None) -> bytes:
        digest = request.bundle.digest
        if digest not in self._bundles:
            self._bundles[digest] = asyncio.ensure_future(self._broadcast(digest, request.bundle.data))
        await asyncio.shield(self._bundles[digest])
        claim = f"{uuid4().hex} {request.run_id}"
        report = await self._run(request, None, claim, resources)
        if report is None:  # a worker that came later
            report = await self._run(request, request.bundle.data, claim, resources)
        if not report and request.run_id in self._withdrawn:
            raise NotRunError
        if not report:
            raise LostStepError(
                f"The Dask worker that ran {request.subject}, attempt {request.attempt}, was lost "
                f"(scheduler {self._executor.address or 'of the local cluster'})."
            )
        return report

    async def _broadcast(self, digest: str, data: bytes) -> None:
        # a worker that cannot load them reports that with the first step
        await self._client.run(tasks.load_bundle, digest, data, on_error="ignore")

    async def _run(
        self, request: StepRequest, data: bytes | None, claim: str, resources: dict[str, float] | None
    ) -> bytes | None:
        future = self._client.submit(
            tasks.run_step,
            request.bundle.digest,
            data,
            request.encoded,
            claim,
            self._name,
            key=f"rivers-{request.step}-{uuid4().hex}",
            pure=False,
            retries=0,
            resources=resources,
        )
        with self._lock:
            self._running.add(future)
        try:
            report: bytes | None = await future
        except asyncio.CancelledError:
            if future.status != "cancelled":  # this coroutine was cancelled
                await self._client.cancel([future], force=True)
                raise
            raise LostStepError(f"The task of {request.subject} was canceled.") from None
        except Exception as error:
            raise LostStepError(f"Dask could not run {request.subject}: {error}") from error
        finally:
            with self._lock:
                self._running.discard(future)
            future.release()
        return report

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


def _by_value(function: Any) -> Any:
    """Return a function that is pickled by value, for processes that need not have this package."""
    copy = type(function)(
        function.__code__, {"__builtins__": __builtins__}, function.__name__, function.__defaults__
    )
    copy.__module__ = "__main__"
    return copy
