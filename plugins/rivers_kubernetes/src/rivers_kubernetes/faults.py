"""Faults: how an attempt ended, from the state of its Job and Pods, with the message of the cluster and advice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rivers.definitions.retry import FailureReason
from rivers.executors.remote import LostStepError
from rivers_kubernetes.job import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_kubernetes.types import Manifest

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NOT_CREATED: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NODE_LOST: Final = frozenset({"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity"})
_KILLED: Final = 137


def container_state(pod: Manifest) -> dict[str, Any]:
    """Return the state of the worker's container: `waiting`, `running` or `terminated` with details, or nothing."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == CONTAINER:
            state: dict[str, Any] = status.get("state") or {}
            return state
    return {}


def is_started(pod: Manifest) -> bool:
    """Return whether the worker's container has started."""
    state = container_state(pod)
    return "running" in state or "terminated" in state


def is_ended(pod: Manifest) -> bool:
    """Return whether the worker's container has ended, though sidecars may still run."""
    return "terminated" in container_state(pod) or pod.get("status", {}).get("phase") in (
        "Succeeded",
        "Failed",
    )


def is_active(job: Manifest) -> bool:
    """Return whether a Job is neither finished nor being deleted."""
    return "deletionTimestamp" not in job["metadata"] and not any(
        _condition(job, kind) for kind in ("Complete", "Failed")
    )


def fault_of_pod(pod: Manifest, where: str) -> LostStepError | None:
    """Return why a Pod will not report, or None if it still may.

    Args:
        pod: The Pod.
        where: Description of the attempt for messages.
    """
    status = pod.get("status", {})
    reason, words = status.get("reason"), status.get("message")
    if reason == "DeadlineExceeded":
        return deadline_fault(where, words)
    if reason == "Evicted":
        return LostStepError(
            f"{where} was evicted: {words}. Give the step more of that resource with compute=, or retry it on "
            "another node with RetryPolicy(retry_on=RetryOn.TRANSIENT)."
        )
    if reason in _NODE_LOST or status.get("phase") == "Unknown":
        node = pod.get("spec", {}).get("nodeName")
        return LostStepError(
            f"{where} was lost with its node {node!r}: {reason or 'Unknown'}: {words}. Retry the step with "
            "RetryPolicy(retry_on=RetryOn.TRANSIENT)."
        )
    state = container_state(pod)
    if "waiting" in state:
        return _waiting_fault(state["waiting"], where)
    if not is_ended(pod):
        return None
    disruption = _condition(pod, "DisruptionTarget")
    if disruption is not None:
        return LostStepError(
            f"{where} was ended by the cluster: {disruption.get('reason')}: {disruption.get('message')}. Retry the "
            "step with RetryPolicy(retry_on=RetryOn.TRANSIENT)."
        )
    return _ended_fault(state.get("terminated") or {}, status, pod, where)


def _waiting_fault(waiting: Manifest, where: str) -> LostStepError | None:
    reason, words = waiting.get("reason"), waiting.get("message")
    if reason in _PULL:
        return LostStepError(
            f"{where} cannot pull its image: {reason}: {words}. Check the name in worker_image, and imagePullSecrets "
            "in pod_template if the registry is private."
        )
    if reason in _NOT_CREATED:
        return LostStepError(
            f"{where} cannot create its container: {reason}: {words}. Check what pod_template refers to."
        )
    return None


def _ended_fault(ended: Manifest, status: Manifest, pod: Manifest, where: str) -> LostStepError:
    if ended.get("reason") == "OOMKilled":
        limit = _limit(pod)
        return LostStepError(
            f"{where} ran out of memory: OOMKilled at its limit of {limit}. Give the step more with "
            "compute=Compute(memory=...), or let retries do so with RetryPolicy(escalate=ComputeEscalation(...)).",
            FailureReason.OUT_OF_MEMORY,
        )
    code = ended.get("exitCode")
    words = "; ".join(
        filter(None, (status.get("reason"), status.get("message"), ended.get("message")))
    ).strip()
    signal = " (killed)" if code == _KILLED else ""
    failed = [item for item in status.get("initContainerStatuses") or () if _exit_code(item)]
    if not ended and failed:
        return LostStepError(
            f"{where} failed in its init container {failed[0]['name']!r}: exit code {_exit_code(failed[0])}. Check "
            "that container in pod_template."
        )
    return LostStepError(
        f"{where} ended without a report: exit code {code}{signal}{': ' if words else ''}{words}. The image needs "
        "Python, the code of the project and rivers-io[kubernetes]; the log of the step may say more."
    )


def deadline_fault(where: str, words: str | None) -> LostStepError:
    """Return the error of an attempt that took longer than its deadline."""
    return LostStepError(
        f"{where} exceeded its deadline: {words or 'DeadlineExceeded'}. Raise timeout= of the asset, or step_timeout= "
        "of the executor.",
        FailureReason.TIMEOUT,
    )


def fault_of_job(job: Manifest, where: str) -> LostStepError | None:
    """Return why a Job failed as a whole, or None if its Pod knows better."""
    failed = _condition(job, "Failed")
    if failed is not None and failed.get("reason") == "DeadlineExceeded":
        return deadline_fault(where, failed.get("message"))
    return None


def is_past_deadline(job: Manifest, pod: Manifest) -> bool:
    """Return whether the Job controller deleted a Pod because of the deadline of its Job.

    The controller deletes the Pod first and marks the Job as failed later.
    """
    started, seconds = job.get("status", {}).get("startTime"), job["spec"].get("activeDeadlineSeconds")
    deleted = pod["metadata"].get("deletionTimestamp")
    if not (started and seconds and deleted):
        return False
    # the time of the request plus the time that the Pod has to end
    grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
    limit = datetime.fromisoformat(started) + timedelta(seconds=seconds)
    return datetime.fromisoformat(deleted) - timedelta(seconds=grace) >= limit


def is_failed(job: Manifest) -> bool:
    """Return whether a Job has failed."""
    return _condition(job, "Failed") is not None


def pending_words(pod: Manifest | None, events: Sequence[Manifest]) -> str:
    """Return why an attempt has not started, with the message of the scheduler or the Job controller."""
    scheduled = None if pod is None else _condition(pod, "PodScheduled", "False")
    if scheduled is not None:
        return f"{scheduled.get('reason')}: {scheduled.get('message')}"
    waiting = {} if pod is None else container_state(pod).get("waiting", {})
    texts = [
        f"{event.get('reason')}: {event.get('message')}" for event in events if event.get("type") == "Warning"
    ]
    if texts:
        return texts[-1]
    return f"{waiting.get('reason', 'Pending')}: {waiting.get('message', 'no further message')}"


def pending_fault(where: str, seconds: float, words: str) -> LostStepError:
    """Return the error of an attempt that did not start in time."""
    advice = "Lower compute=, add nodes, or raise pending_timeout="
    if "exceeded quota" in words:
        advice = "Raise the quota, lower compute= or max_concurrent_steps=, or raise pending_timeout="
    return LostStepError(f"{where} did not start within {seconds:g} s: {words}. {advice}.")


def refusal(events: Sequence[Manifest]) -> str | None:
    """Return the words with which the cluster refuses to create the Pod of a Job for good; None if it may still."""
    for event in reversed(events):
        words = str(event.get("message"))
        if event.get("reason") == "FailedCreate" and "exceeded quota" not in words:
            return words
    return None


def refused_fault(where: str, words: str) -> LostStepError:
    """Return the error of an attempt whose Pod the cluster refuses to create."""
    advice = "Check pod_template and the arguments of the executor"
    if "serviceaccount" in words:
        advice = "Create the service account, or set service_account="
    return LostStepError(f"{where} cannot be created: {words}. {advice}.")


def _limit(pod: Manifest) -> str:
    for container in pod.get("spec", {}).get("containers", ()):
        if container["name"] == CONTAINER:
            return str(container.get("resources", {}).get("limits", {}).get("memory"))
    return "unknown"


def _exit_code(status: Manifest) -> int:
    code: int = ((status.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
    return code


def _condition(item: Manifest, kind: str, status: str = "True") -> Manifest | None:
    conditions = item.get("status", {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == status), None)
