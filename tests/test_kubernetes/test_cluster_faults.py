"""Faults of the cluster, each with its own words: the real API server refuses, or a status is written through it."""

import threading

import pod_steps as steps
import pytest

import rivers as rs
from rivers.definitions.retry import FailureReason
from rivers.exceptions import ConfigurationError
from tests.test_kubernetes.support import eventually, repository

pytestmark = pytest.mark.server


@pytest.fixture
def error_of(folder):
    """Run an asset and return its error."""

    def run(executor, asset=steps.numbers):
        with repository([asset], folder, executor) as repo:
            return repo.materialize(raise_on_error=False).errors[asset.name]

    return run


def test_image_that_cannot_be_pulled(error_of, executor):
    error = error_of(executor("missing:7", pending_timeout=300))
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "missing:7" in str(error)
    assert "worker_image" in str(error)


def test_pod_that_cannot_be_scheduled(error_of, executor):
    error = error_of(executor(pending_timeout=3, pod_template={"spec": {"nodeSelector": {"pool": "none"}}}))
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "Unschedulable" in str(error)
    assert "nodes are available" in str(error)


def test_deadline_of_the_executor(error_of, executor):
    error = error_of(executor(step_timeout=2), steps.held)
    assert error.failure_reason is FailureReason.TIMEOUT
    assert "step_timeout" in str(error)


def test_quota(error_of, executor, core, namespace):
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}}
    core.create_namespaced_resource_quota(namespace, quota)
    eventually(lambda: core.read_namespaced_resource_quota("small", namespace).status.hard)
    error = error_of(executor(pending_timeout=4))
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "exceeded quota: small" in str(error)


def test_quota_of_jobs(error_of, executor, core, namespace):
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    core.create_namespaced_resource_quota(namespace, quota)
    eventually(lambda: core.read_namespaced_resource_quota("small", namespace).status.hard)
    error = error_of(executor())
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "exceeded quota: small" in str(error)


def test_missing_service_account(error_of, executor):
    error = error_of(executor(service_account="nobody"))
    assert "nobody" in str(error)
    assert "service_account" in str(error)


def test_missing_namespace(executor, folder):
    repo = repository([steps.numbers], folder, executor(namespace="nowhere"))
    with repo, pytest.raises(ConfigurationError, match="nowhere"):
        repo.materialize()


@pytest.fixture
def fault_while_running(executor, folder, core, namespace):
    """Run a step, do something to its Pod, and return the error of the step."""

    def run(change):
        results = []
        with repository([steps.held], folder, executor()) as repo:
            thread = threading.Thread(target=lambda: results.append(repo.materialize(raise_on_error=False)))
            thread.start()
            eventually(lambda: (folder / "held.trace").exists())
            pod = core.list_namespaced_pod(namespace).items[0]
            change(pod)
            thread.join(60)
        assert len((folder / "held.trace").read_text().splitlines()) == 1
        return results[0].errors["held"]

    return run


@pytest.fixture
def write_status(core, namespace):
    return lambda pod, **status: core.patch_namespaced_pod_status(
        pod.metadata.name, namespace, {"status": status}
    )


def ended(pod, **details):
    image = pod.status.container_statuses[0].image
    status = {"name": "rivers", "image": image, "imageID": "", "ready": False, "restartCount": 0}
    return [{**status, "state": details}]


def test_out_of_memory(fault_while_running, write_status):
    state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    error = fault_while_running(
        lambda pod: write_status(pod, phase="Failed", containerStatuses=ended(pod, **state))
    )
    assert error.failure_reason is FailureReason.OUT_OF_MEMORY
    assert "64Mi" in str(error)


def test_eviction(fault_while_running, write_status):
    words = "The node was low on resource: ephemeral-storage"
    error = fault_while_running(
        lambda pod: write_status(pod, phase="Failed", reason="Evicted", message=words)
    )
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert words in str(error)


def test_lost_node(fault_while_running, write_status):
    words = "Node which was running pod is unresponsive"
    error = fault_while_running(
        lambda pod: write_status(pod, phase="Unknown", reason="NodeLost", message=words)
    )
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert words in str(error)


def test_deleted_pod_is_not_replaced(fault_while_running, core, namespace):
    error = fault_while_running(
        lambda pod: core.delete_namespaced_pod(pod.metadata.name, namespace, grace_period_seconds=0)
    )
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "drained" in str(error)


def test_deleted_job(fault_while_running, batch, namespace):
    error = fault_while_running(
        lambda pod: batch.delete_namespaced_job(
            pod.metadata.labels["job-name"], namespace, propagation_policy="Background"
        )
    )
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "deleted" in str(error)


def test_out_of_memory_escalates(executor, folder, core, batch, namespace, write_status):
    held = rs.Asset(
        steps.held.function,
        name="held",
        io_handler="store",
        compute=rs.Compute(memory="64Mi"),
        retry=rs.RetryPolicy(1, escalate=rs.ComputeEscalation(max_memory="1Gi")),
    )
    limits = []

    def ended_once(pod):
        state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        write_status(pod, phase="Failed", containerStatuses=ended(pod, **state))

    with repository([held], folder, executor()) as repo:
        thread = threading.Thread(target=repo.materialize)
        thread.start()
        eventually(lambda: (folder / "held.trace").exists())
        ended_once(core.list_namespaced_pod(namespace).items[0])
        jobs = eventually(lambda: len(items := batch.list_namespaced_job(namespace).items) == 2 and items)
        limits = {
            job.metadata.labels["rivers/attempt"]: job.spec.template.spec.containers[0].resources.limits[
                "memory"
            ]
            for job in jobs
        }
        (folder / "go").touch()
        thread.join()
        assert repo.load_node("held") == "held"
    assert limits == {"1": "64Mi", "2": "128Mi"}
