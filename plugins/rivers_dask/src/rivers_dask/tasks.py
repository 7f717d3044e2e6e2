"""Functions that run on the workers, and the plugin of the scheduler."""

from __future__ import annotations

import asyncio
import os
import pickle
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from distributed import SchedulerPlugin, get_worker

from rivers.executors.remote.worker import repositories, run_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Scheduler, Worker

PACKAGES = ("rivers-core", "rivers-io", "rivers-dask")

TOPIC = "rivers"
"""Topic of the events that carry reports to a client."""

NEEDS_BUNDLE = b"bundle"
"""Report of a worker that has not loaded the steps."""

LOST = b"lost"
"""Message of the scheduler: the worker that ran a task is gone."""

SHOWN_SECONDS = 0.25
"""Time after which the coordinator learns where a running step runs."""

RECONNECT_SECONDS = 10.0
"""Time in which a coordinator may connect again before what it left on the cluster is removed."""


def load_bundle(digest: str, data: bytes) -> None:
    """Rebuild the steps of a repository in this worker."""
    repositories.get(digest, data)


def close_bundle(digest: str) -> None:
    """Tear down the resources of a repository in this worker and forget it."""
    repositories.close(digest)


class StepCall:
    """Call of `run_step` as a pickle that makes the call when it is loaded.

    The scheduler unpickles the functions of tasks, and would need this package; `pickle.loads` it has.
    """

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return run_step, self._arguments


def run_step(
    digest: str, data: bytes | None, encoded: bytes, run_id: str, key: str, channel: str, client: str
) -> None:
    """Run one attempt of a step and send its report to the coordinator.

    Dask starts the tasks of a lost worker again on another. The scheduler remembers which have started, so that
    their functions run once.

    The report travels with the messages that worker, scheduler and client exchange about tasks anyway, and arrives
    before the one that the task has ended: to fetch the result of a task takes three more requests.

    Args:
        digest: Digest of the bundle.
        data: The pickled steps; None if the worker should have loaded them.
        encoded: The encoded request.
        run_id: Identifier of the run.
        key: Key of the task.
        channel: Identifies the connection of the coordinator.
        client: Id of its Dask client.
    """
    worker = get_worker()
    place = f"Dask worker {worker.address}"
    if data is None and digest not in repositories:
        report = NEEDS_BUNDLE
    elif _may_start(worker, channel, key, run_id, digest, client, f"{place}, process {os.getpid()}"):
        report = run_request(digest, data, encoded, place=place)
    else:
        return
    message = {"op": "rivers-report", "message": (client, key, report)}
    worker.loop.add_callback(_send_with_next, worker, message)


def _send_with_next(worker: Worker, message: dict[str, Any]) -> None:
    """Send a message to the scheduler together with the next one, which says that the task has ended.

    `batched_send` would send it at once, and the next one 2 ms later (distributed 2026.8).
    """
    worker.batched_stream.buffer.append(message)


def _may_start(worker: Worker, *claim: str) -> bool:
    loop: Any = worker.loop  # of tornado, which runs on the one of asyncio
    answer: bool = asyncio.run_coroutine_threadsafe(_claimed(worker, claim), loop.asyncio_loop).result()
    return answer


async def _claimed(worker: Worker, claim: tuple[str, ...]) -> bool:
    scheduler: Any = worker.scheduler  # has every handler of the scheduler as a method
    answer: bool = await scheduler.rivers_claim(claim=claim)
    return answer


class StepPlugin(SchedulerPlugin):
    """Remembers which attempts have started, passes reports on, and cleans up after a coordinator that was killed.

    Args:
        channel: Identifies the connection of the coordinator.
        client: Id of its Dask client.
        close_bundle: The function of this name, pickled: the scheduler need not have this package.
    """

    def __init__(self, channel: str, client: str, close_bundle: bytes) -> None:
        self.name = f"rivers-{channel}"
        self.channel = channel
        self.client = client
        self.close_bundle = close_bundle
        self.cleaning: asyncio.Task[None] | None = None
        self.scheduler: Scheduler | None = None
        self.send: Callable[[str, str, str | bytes], None]

    async def start(self, scheduler: Scheduler) -> None:
        """Add the handlers of messages that workers send."""
        channels: dict[str, dict[str, Any]] = scheduler.extensions.setdefault("rivers", {})
        # a task that the scheduler forgets was reported or given up, and cannot start again
        channels[self.channel] = {"started": WeakSet(), "withdrawn": set(), "digests": set()}

        def send(client: str, key: str, message: str | bytes) -> None:
            scheduler.report({"op": "event", "topic": TOPIC, "event": (key, message)}, client=client)

        self.scheduler, self.send = scheduler, send

        def show_place(task: Any, client: str, place: str) -> None:
            if task.state == "processing":
                send(client, task.key, place)

        def claim_attempt(claim: tuple[str, ...]) -> bool:
            channel, key, run_id, digest, client, place = claim
            state, task = channels.get(channel), scheduler.tasks.get(key)
            if state is None or task is None or task in state["started"] or run_id in state["withdrawn"]:
                return False
            state["started"].add(task)
            state["digests"].add(digest)
            # short steps are not shown, and a message for each would cost a tenth of them
            asyncio.get_running_loop().call_later(SHOWN_SECONDS, show_place, task, client, place)
            return True

        def pass_report(worker: str, message: tuple[str, str, bytes]) -> None:
            send(*message)

        scheduler.handlers["rivers_claim"] = claim_attempt
        # is never removed: a message without a handler would end the connection to its worker
        scheduler.stream_handlers["rivers-report"] = pass_report

    def transition(self, key: Any, start: Any, finish: Any, *args: Any, **kwargs: Any) -> None:
        """Report a started task whose worker is gone: it may be long until another worker is there to refuse it."""
        if start != "processing" or finish in ("memory", "erred") or self.scheduler is None:
            return
        state = self.scheduler.extensions.get("rivers", {}).get(self.channel)
        task = self.scheduler.tasks.get(key)
        if state is not None and task is not None and task in state["started"]:
            self.send(self.client, key, LOST)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Clean up if the connection to the coordinator is lost and not restored."""
        if client == self.client:
            self.cleaning = asyncio.ensure_future(self._clean_up(scheduler))

    async def _clean_up(self, scheduler: Scheduler) -> None:
        await asyncio.sleep(RECONNECT_SECONDS)
        if self.client in scheduler.clients:
            return
        digests = scheduler.extensions["rivers"][self.channel]["digests"]
        forget_channel(self.channel, scheduler)
        scheduler.remove_plugin(name=self.name)
        scheduler.unsubscribe_topic(TOPIC, self.client)
        for digest in digests:
            message = {
                "op": "run",
                "function": self.close_bundle,
                "args": pickle.dumps((digest,)),
                "wait": True,
            }
            await scheduler.broadcast(msg=message, on_error="ignore")


def forget_channel(channel: str, dask_scheduler: Any = None) -> None:
    """Remove what the plugin of a coordinator left on the scheduler."""
    channels = dask_scheduler.extensions.get("rivers", {})
    channels.pop(channel, None)
    if not channels:
        dask_scheduler.extensions.pop("rivers", None)
        dask_scheduler.handlers.pop("rivers_claim", None)


def withdraw_run(channel: str, run_id: str, dask_scheduler: Any = None) -> list[str]:
    """Refuse attempts of a run that have not started; return the keys of those that have, of any run."""
    state = dask_scheduler.extensions.get("rivers", {}).get(channel)
    if state is None:
        return []
    state["withdrawn"].add(run_id)
    return [task.key for task in state["started"]]


def worker_of(key: str, dask_scheduler: Any = None) -> str | None:
    """Return the address of the worker that runs a task."""
    task = dask_scheduler.tasks.get(key)
    return None if task is None or task.processing_on is None else str(task.processing_on.address)


def accept_run(channel: str, run_id: str, dask_scheduler: Any = None) -> None:
    """Accept attempts of a run again."""
    state = dask_scheduler.extensions.get("rivers", {}).get(channel)
    if state is not None:
        state["withdrawn"].discard(run_id)


def installed_versions() -> dict[str, str | None]:
    """Return the versions of Python and of the rivers packages in this process; None for what is missing."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, str | None] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("rivers-core", "rivers-io", "rivers-dask"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
