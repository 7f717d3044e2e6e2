"""Functions that run on the workers, and the plugin of the scheduler."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

from distributed import SchedulerPlugin, get_worker
from distributed.utils import sync

from rivers.executors.remote.worker import repositories, run_request

if TYPE_CHECKING:
    from distributed import Scheduler

PACKAGES = ("rivers-core", "rivers-io", "rivers-dask")

RECONNECT_SECONDS = 10.0
"""Time in which a coordinator may connect again before what it left on the cluster is removed."""


def load_bundle(digest: str, data: bytes) -> None:
    """Rebuild the steps of a repository in this worker."""
    repositories.get(digest, data)


def close_bundle(digest: str) -> None:
    """Tear down the resources of a repository in this worker and forget it."""
    repositories.close(digest)


def run_step(digest: str, data: bytes | None, encoded: bytes, claim: str, channel: str) -> bytes | None:
    """Run one attempt of a step.

    Dask starts the tasks of a lost worker again on another. The scheduler remembers which have started, so that
    their functions run once.

    Args:
        digest: Digest of the bundle.
        data: The pickled steps; None if the worker should have loaded them.
        encoded: The encoded request.
        claim: Identifies the attempt, and its run after a blank.
        channel: Identifies the coordinator.

    Returns:
        The encoded report; empty if the run was withdrawn, or the attempt had started on a worker that was lost; None
        if this worker needs the steps.
    """
    if data is None and digest not in repositories:
        return None
    worker = get_worker()
    if not sync(worker.loop, worker.scheduler.rivers_claim, channel=channel, claim=claim, digest=digest):
        return b""
    return run_request(digest, data, encoded, place=f"Dask worker {worker.address}")


class ClaimPlugin(SchedulerPlugin):
    """Remembers on the scheduler which attempts have started, and cleans up after a coordinator that was killed.

    Args:
        channel: Identifies the coordinator.
        client: Id of its Dask client.
        close_bundle: The function of this name, pickled: the scheduler need not have this package.
    """

    def __init__(self, channel: str, client: str, close_bundle: bytes) -> None:
        self.name = f"rivers-{channel}"
        self.channel = channel
        self.client = client
        self.close_bundle = close_bundle
        self.cleaning: asyncio.Task[None] | None = None

    async def start(self, scheduler: Scheduler) -> None:
        """Add the handler that workers call."""
        claims: dict[str, set[str]] = scheduler.extensions.setdefault("rivers-claims", {})
        digests: dict[str, set[str]] = scheduler.extensions.setdefault("rivers-digests", {})
        claims[self.channel], digests[self.channel] = set(), set()

        async def claim_attempt(channel: str, claim: str, digest: str) -> bool:
            started = claims.get(channel)
            if started is None or claim in started or claim.partition(" ")[2] in started:
                return False
            started.add(claim)
            digests[channel].add(digest)
            return True

        scheduler.handlers["rivers_claim"] = claim_attempt

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Clean up if the connection to the coordinator is lost and not restored."""
        if client == self.client:
            self.cleaning = asyncio.ensure_future(self._clean_up(scheduler))

    async def _clean_up(self, scheduler: Scheduler) -> None:
        await asyncio.sleep(RECONNECT_SECONDS)
        if self.client in scheduler.clients:
            return
        digests = scheduler.extensions["rivers-digests"].get(self.channel, ())
        forget_claims(self.channel, scheduler)
        scheduler.remove_plugin(name=self.name)
        for digest in digests:
            message = {
                "op": "run",
                "function": self.close_bundle,
                "args": pickle.dumps((digest,)),
                "wait": True,
            }
            await scheduler.broadcast(msg=message, on_error="ignore")


def forget_claims(channel: str, dask_scheduler: Any = None) -> None:
    """Remove what the plugin of a coordinator left on the scheduler."""
    claims = dask_scheduler.extensions.get("rivers-claims", {})
    digests = dask_scheduler.extensions.get("rivers-digests", {})
    claims.pop(channel, None)
    digests.pop(channel, None)
    if not claims:
        dask_scheduler.extensions.pop("rivers-claims", None)
        dask_scheduler.extensions.pop("rivers-digests", None)
        dask_scheduler.handlers.pop("rivers_claim", None)


def set_withdrawn(channel: str, run_id: str, is_withdrawn: bool, dask_scheduler: Any = None) -> None:
    """Refuse, or accept again, attempts of a run that have not started."""
    started = dask_scheduler.extensions.get("rivers-claims", {}).get(channel, set())
    if is_withdrawn:
        started.add(run_id)
    else:
        started.discard(run_id)


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
