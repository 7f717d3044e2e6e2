"""Newest state of the Jobs and Pods of one run, kept by two threads that list and watch."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from rivers.executors.remote import LostStepError
from rivers_kubernetes.cluster import GoneError
from rivers_kubernetes.names import RUN_LABEL, label_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_kubernetes.cluster import Cluster
    from rivers_kubernetes.types import Manifest

_LONGEST_DELAY: Final = 10.0
_LOST_AFTER: Final = 600.0
"""Seconds after which a run without contact to the API server is given up."""


class RunWatch:
    """Jobs of a run by name, and the Pods of each.

    A watch that ends is resumed from the last known version; after an error, and when that version has expired (410),
    everything is listed again, which also shows what was deleted meanwhile.

    Args:
        cluster: The cluster.
        run_id: Identifier of the run.
        on_change: Called with the name of a Job that changed, or None if all may have.
    """

    def __init__(self, cluster: Cluster, run_id: str, on_change: Callable[[str | None], None]) -> None:
        self._cluster = cluster
        self._selector = f"{RUN_LABEL}={label_value(run_id)}"
        self._on_change = on_change
        self._closed = threading.Event()
        self.jobs: dict[str, Manifest] = {}
        self.pods: dict[str, dict[str, Manifest]] = {}
        self.deleted_pods: dict[str, dict[str, Manifest]] = {}
        self.error: Exception | None = None

    def open(self) -> None:
        """List once, so that a refusal is raised here, and start watching."""
        for resource in ("jobs", "pods"):
            version = self._list(resource)
            name = f"rivers-watch-{resource}"
            threading.Thread(target=self._run, args=(resource, version), name=name, daemon=True).start()

    def close(self) -> None:
        """Stop watching; the threads end with their current request."""
        self._closed.set()

    def add(self, job: Manifest) -> None:
        """Enter a Job that was just created."""
        self.jobs.setdefault(job["metadata"]["name"], job)

    def pod_of(self, job: str) -> Manifest | None:
        """Return the newest Pod of a Job."""
        pods = list(self.pods.get(job, {}).values())
        return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)

    def _list(self, resource: str) -> str:
        items, version = self._cluster.items(resource, self._selector)
        names = {item["metadata"]["name"] for item in items}
        if resource == "jobs":
            # a Job that is missing may have been created after the list: the thread that awaits it requests it
            for name in [name for name in self.jobs if name not in names]:
                del self.jobs[name]
        else:
            for pods in list(self.pods.values()):
                for name in [name for name in pods if name not in names]:
                    self._remove(resource, pods[name])
        for item in items:
            self._enter(resource, item)
        self._on_change(None)
        return version

    def _enter(self, resource: str, item: Manifest) -> None:
        name = item["metadata"]["name"]
        if resource == "jobs":
            self.jobs[name] = item
        else:
            self.pods.setdefault(_job_of(item), {})[name] = item

    def _remove(self, resource: str, item: Manifest) -> None:
        name = item["metadata"]["name"]
        if resource == "jobs":
            self.jobs.pop(name, None)
        else:
            job = _job_of(item)
            last = self.pods.get(job, {}).pop(name, item)
            self.deleted_pods.setdefault(job, {})[name] = last

    def _run(self, resource: str, version: str | None) -> None:
        delay = 0.1
        contact = time.monotonic()
        while not self._closed.is_set():
            try:
                version = version or self._list(resource)
                for event in self._cluster.watch(resource, self._selector, version):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._change(resource, event["type"], event["object"])
                    delay, contact = 0.1, time.monotonic()
                    if self._closed.is_set():
                        return
                contact = time.monotonic()
            except GoneError:
                version = None
            except (
                client.ApiException,
                urllib3.exceptions.HTTPError,
                OSError,
                LostStepError,
                ValueError,
            ) as error:
                version = None
                if time.monotonic() - contact > _LOST_AFTER or self._is_refused(error):
                    self._fail(resource, error)
                    return
                self._closed.wait(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
            except Exception as error:
                self._fail(resource, error)
                return

    def _is_refused(self, error: Exception) -> bool:
        return isinstance(error, client.ApiException) and error.status in (401, 403)

    def _fail(self, resource: str, error: Exception) -> None:
        if isinstance(error, client.ApiException):
            error = self._cluster.explained(error, "watch", resource)
        self.error = error
        with contextlib.suppress(RuntimeError):  # the loop of the run has ended
            self._on_change(None)

    def _change(self, resource: str, kind: str, item: Manifest) -> None:
        if kind == "DELETED":
            self._remove(resource, item)
        elif kind in ("ADDED", "MODIFIED"):
            self._enter(resource, item)
        self._on_change(item["metadata"]["name"] if resource == "jobs" else _job_of(item))


def _job_of(pod: Manifest) -> str:
    labels: dict[str, Any] = pod["metadata"].get("labels", {})
    return str(labels.get("job-name") or labels.get("batch.kubernetes.io/job-name"))
