"""Functions that run on the workers, and the plugin of the scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import SchedulerPlugin, get_worker
from distributed.utils import sync

from rivers.executors.remote.worker import repositories, run_request

if TYPE_CHECKING:
    from distributed import Scheduler

PACKAGES = ("rivers-core", "rivers-io", "rivers-dask")


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
        claim: Identifies the attempt.
        channel: Identifies the coordinator.

    Returns:
        The encoded report; empty if the attempt had started on a worker that was lost, None if this worker
        needs the steps.
    """
    if data is None and digest not in repositories:
        return None
    worker = get_worker()
    if not sync(worker.loop, worker.scheduler.rivers_claim, channel=channel, claim=claim):
        return b""
    return run_request(digest, data, encoded, place=f"Dask worker {worker.address}")


class ClaimPlugin(SchedulerPlugin):
    """Remembers on the scheduler which attempts have started.

    Args:
        channel: Identifies the coordinator.
    """

    def __init__(self, channel: str) -> None:
        self.name = f"rivers-{channel}"
        self.channel = channel

    async def start(self, scheduler: Scheduler) -> None:
        """Add the handler that workers call."""
        claims: dict[str, set[str]] = scheduler.extensions.setdefault("rivers-claims", {})
        claims[self.channel] = set()

        async def claim_attempt(channel: str, claim: str) -> bool:
            started = claims.get(channel)
            if started is None or claim in started:
                return False
            started.add(claim)
            return True

        scheduler.handlers["rivers_claim"] = claim_attempt


def forget_claims(channel: str, dask_scheduler: Any = None) -> None:
    """Remove what the plugin of a coordinator left on the scheduler."""
    claims = dask_scheduler.extensions.get("rivers-claims", {})
    claims.pop(channel, None)
    if not claims:
        dask_scheduler.extensions.pop("rivers-claims", None)
        dask_scheduler.handlers.pop("rivers_claim", None)


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
