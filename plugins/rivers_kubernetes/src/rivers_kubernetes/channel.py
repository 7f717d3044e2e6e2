"""Channel that runs each request as a Job: create or adopt it, await its end, fetch its report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from rivers.definitions.retry import FailureReason
from rivers.exceptions import RiversError
from rivers.executors.remote import Channel, LostStepError
from rivers_core.authoring import secrets_of
from rivers_kubernetes import faults
from rivers_kubernetes.job import CONTAINER, PATH_ANNOTATION, RECORD_KEY, job_manifest, job_name
from rivers_kubernetes.log_stream import LogStream
from rivers_kubernetes.names import CALL_LABEL, call_id
from rivers_kubernetes.run_objects import RunObjects
from rivers_kubernetes.watch import RunWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from rivers.definitions.retry import Compute
    from rivers.execution.run import Run
    from rivers.executors.remote import StepRequest
    from rivers.executors.remote.messages import StepReport
    from rivers_kubernetes.cluster import Cluster
    from rivers_kubernetes.job import JobTerms
    from rivers_kubernetes.types import Manifest

    T = TypeVar("T")

_LOG = logging.getLogger("rivers.run")

_TICK: Final = 1.0
_EVENTS_AFTER: Final = 2.0
_LOG_SECONDS: Final = 10.0
_THREADS: Final = 16


class KubernetesChannel(Channel):
    """Runs the steps of one repository as Jobs of one namespace.

    Args:
        cluster: The cluster.
        terms: What all Jobs have in common.
        max_concurrent: Number of Jobs at once; None for no limit.
        pending_timeout: Seconds within which a Job has to start.
    """

    finishes_running = False
    reports_start = True
    limits_time = True

    def __init__(
        self, cluster: Cluster, terms: JobTerms, max_concurrent: int | None, pending_timeout: float
    ) -> None:
        self.max_concurrent = max_concurrent
        self.default_compute: Compute = terms.compute
        self._cluster = cluster
        self._terms = terms
        self._pending_timeout = pending_timeout
        self._runs: dict[str, _OpenRun] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "rivers-kubernetes")

    def open_run(self, run: Run) -> None:
        """Create the objects of a run and watch its Jobs; a refusal is raised before the first step."""
        self._runs[run.run_id] = _OpenRun(self._cluster, self._terms, run)

    def close_run(self, run: Run) -> None:
        """Delete all objects of a run; what cannot be deleted now is left to the user, named in a warning."""
        open_run = self._runs.pop(run.run_id, None)
        if open_run is not None:
            open_run.close()

    async def send(self, request: StepRequest) -> bytes:
        """Run one attempt as a Job and return its report. See `Channel.send`."""
        run = self._runs[request.run_id]
        job = _Attempt(run, request, self._pending_timeout, self._in_thread)
        try:
            return await job.run()
        except BaseException:
            await job.discard()
            raise

    def interrupt(self) -> None:
        """Delete all running Jobs."""
        for run in list(self._runs.values()):
            run.interrupt()

    def close(self) -> None:
        """Delete the objects of runs that are still open."""
        while self._runs:
            self._runs.popitem()[1].close()
        self._threads.shutdown(wait=False)

    def _in_thread(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


class _OpenRun:
    """State of an open run: its objects, what is known about its Jobs, and the attempts that wait for news."""

    def __init__(self, cluster: Cluster, terms: JobTerms, run: Run) -> None:
        self.cluster = cluster
        self.terms = terms
        self.run = run
        self.objects = RunObjects(cluster, terms.run_store, run.run_id)
        self.store = self.objects.open()
        self.objects.delete_abandoned(self.store, run.storage)
        self.waiting: dict[str, _Attempt] = {}
        self.is_interrupted = False
        self.watch = RunWatch(cluster, run.run_id, self._changed)
        self.watch.open()

    def close(self) -> None:
        self.watch.close()
        try:
            self.objects.close(self.store)
        except Exception as error:  # the run has ended: neither cluster nor store may change its outcome
            _LOG.warning(
                "Could not delete what run %s has in the cluster: %s. Delete ConfigMap %r in namespace %r, and %r in "
                "the run store.",
                self.run.run_id, error, self.objects.name, self.cluster.namespace, self.objects.folder,
            )  # fmt: skip

    def interrupt(self) -> None:
        self.is_interrupted = True
        self._changed(None)
        for name in list(self.waiting):
            with contextlib.suppress(RiversError):
                self.cluster.delete("jobs", name)

    def _changed(self, name: str | None) -> None:
        for attempt in list(self.waiting.values()) if name is None else [self.waiting.get(name)]:
            if attempt is not None:
                attempt.wake()

    # ------------------------------------------------------------------ start

    def start(self, request: StepRequest) -> tuple[str, str, bytes | None]:
        """Return the Job of a request, the path of its report, and the report if there is one already.

        After a coordinator was killed, a Job of the same call that still runs is adopted, and so is the report of one
        that succeeded. What failed is run again.
        """
        call = call_id(request)
        if self.objects.is_resumed:
            adopted = self._adopted(call)
            if adopted is not None:
                return adopted
        token = secrets.token_hex(3)
        path = f"{self.objects.folder}/{call}/{token}"
        name = job_name(request, call, token)
        names = self.objects.secrets_with(request.bundle, self.store)
        if holds_secret_config(request):
            self.objects.create_secret(name, {"request": request.encoded})
            names.append(name)
        else:
            self.store.put(f"{path}/request", request.encoded)
        manifest = job_manifest(
            request, self.terms, name=name, path=path, owner=self.objects.owner, secrets=names
        )
        # the first of several repeated requests may have succeeded: the token identifies the Job as ours
        job = self.cluster.create("jobs", manifest) or self.cluster.get("jobs", name)
        if job is not None:
            self.watch.add(job)
        return name, path, None

    def _adopted(self, call: str) -> tuple[str, str, bytes | None] | None:
        jobs = [job for job in self.watch.jobs.values() if job["metadata"]["labels"].get(CALL_LABEL) == call]
        for job in jobs:
            name, path = job["metadata"]["name"], job["metadata"]["annotations"][PATH_ANNOTATION]
            report = self.store.get(f"{path}/report")
            if report is None and faults.is_active(job) and name not in self.waiting:
                return name, path, None
        for path in reversed(self.store.paths(f"{self.objects.folder}/{call}")):
            if path.endswith("/report"):
                report = self.store.get(path)
                if report is not None and is_success(report):
                    return "", path.removesuffix("/report"), report
        return None


class _Attempt:
    """One Job that `send` awaits."""

    def __init__(
        self,
        run: _OpenRun,
        request: StepRequest,
        pending_timeout: float,
        in_thread: Callable[..., asyncio.Future[Any]],
    ) -> None:
        self._run = run
        self._request = request
        self._pending_timeout = pending_timeout
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._name = ""
        self._path = ""
        self._log: LogStream | None = None
        self._created = time.monotonic()
        self._has_started = False

    def wake(self) -> None:
        """Look at the state of the Job again; called by other threads."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> bytes:
        """Start the Job and return its report.

        Raises:
            LostStepError: It ended without one.
        """
        report: bytes | None
        self._name, self._path, report = await self._in_thread(self._run.start, self._request)
        if report is not None:
            return report
        self._run.waiting[self._name] = self
        try:
            report = await self._report()
        finally:
            self._run.waiting.pop(self._name, None)
            if self._log is not None:
                await self._in_thread(self._log.join, _LOG_SECONDS)
        pod = self._run.watch.pod_of(self._name)
        if pod is not None and len(pod["spec"]["containers"]) > 1:
            await self.discard()  # sidecars would run until the deadline
        return self._without_streamed_logs(report)

    async def discard(self) -> None:
        """Delete the Job if it is still active."""
        job = self._run.watch.jobs.get(self._name)
        if self._name and (job is None or faults.is_active(job)):
            with contextlib.suppress(RiversError):
                await asyncio.shield(self._in_thread(self._run.cluster.delete, "jobs", self._name))

    async def _report(self) -> bytes:
        while True:
            self._news.clear()
            if self._run.is_interrupted:
                raise LostStepError(
                    f"{self._where} was deleted because the run was canceled.", FailureReason.CANCELLED
                )
            if self._run.watch.error is not None:
                raise self._run.watch.error
            fault = await self._fault()
            if fault is not None or self._is_over():
                report: bytes | None = await self._in_thread(self._run.store.get, f"{self._path}/report")
                if report is not None:
                    return report
            if fault is not None:
                raise fault
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _TICK)

    @property
    def _where(self) -> str:
        return f"{self._request.subject}, attempt {self._request.attempt}: Job {self._name!r}"

    def _is_over(self) -> bool:
        pod = self._run.watch.pod_of(self._name)
        return pod is not None and faults.is_ended(pod)

    async def _fault(self) -> LostStepError | None:
        """Return why the attempt will not report, or None if it still may."""
        watch, where = self._run.watch, self._where
        job, pod = watch.jobs.get(self._name), watch.pod_of(self._name)
        deleted = watch.deleted_pods.get(self._name, {})
        if job is None:
            job = await self._in_thread(self._run.cluster.get, "jobs", self._name)
            if job is None:
                return LostStepError(
                    f"{where} was deleted. Retry the step, and check who deletes Jobs there."
                )
            watch.add(job)
        fault = faults.fault_of_job(job, where)
        if fault is not None:
            return fault
        if any(faults.is_past_deadline(job, item) for item in (*deleted.values(), pod) if item is not None):
            return faults.deadline_fault(where, None)
        if any(map(faults.is_started, deleted.values())):
            # its replacement must not run the step again
            return self._fault_of_deleted(list(deleted.values())[-1])
        if pod is not None:
            self._follow(pod)
            fault = faults.fault_of_pod(pod, where)
            if fault is not None:
                return fault
        if faults.is_failed(job) and pod is None:
            return LostStepError(f"{where} failed, and its Pod is gone. Retry the step.")
        return None if self._has_started else await self._pending(job, pod)

    def _fault_of_deleted(self, pod: Manifest) -> LostStepError:
        fault = faults.fault_of_pod(pod, self._where)
        return fault or LostStepError(
            f"{self._where} lost its Pod {pod['metadata']['name']!r} on node {pod['spec'].get('nodeName')!r}, which "
            "was deleted while it ran: the node was drained or lost, or the Pod was preempted. Retry the step with "
            "RetryPolicy(retry_on=RetryOn.TRANSIENT)."
        )

    async def _pending(self, job: Manifest, pod: Manifest | None) -> LostStepError | None:
        """Return why an attempt that has not started never will."""
        seconds = time.monotonic() - self._created
        if pod is not None and faults.is_started(pod):
            self._has_started = True
            node = pod["spec"].get("nodeName")
            self._request.started(f"Pod {pod['metadata']['name']} on node {node}")
            return None
        if seconds < _EVENTS_AFTER or (pod is not None and seconds < self._pending_timeout):
            return None
        uid = job["metadata"]["uid"] if pod is None else pod["metadata"]["uid"]
        events = await self._in_thread(self._run.cluster.events_of, uid)
        words = faults.refusal(events) if pod is None else None
        if words is not None:
            return faults.refused_fault(self._where, words)
        if seconds < self._pending_timeout:
            return None
        return faults.pending_fault(self._where, self._pending_timeout, faults.pending_words(pod, events))

    def _follow(self, pod: Manifest) -> None:
        if self._log is None and faults.is_started(pod):
            run, name = self._run, pod["metadata"]["name"]
            self._log = LogStream(run.cluster, name, CONTAINER, self._request, run.run.without_secrets)
            self._log.start()

    def _without_streamed_logs(self, encoded: bytes) -> bytes:
        if self._log is None or not self._log.handled:
            return encoded
        report: StepReport = pickle.loads(encoded)
        report.logs = [plain for plain in report.logs if plain.get(RECORD_KEY) not in self._log.handled]
        return pickle.dumps(report, pickle.HIGHEST_PROTOCOL)


def is_success(encoded: bytes) -> bool:
    """Return whether the step of a report succeeded."""
    report: StepReport = pickle.loads(encoded)
    return report.error is None and report.retry_after is None


def holds_secret_config(request: StepRequest) -> bool:
    """Return whether the configuration of a step holds secrets."""
    config = pickle.loads(request.encoded).config
    return config is not None and bool(secrets_of(pickle.loads(config)))
