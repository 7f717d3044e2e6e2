import pytest

from rivers.definitions.retry import FailureReason
from rivers_kubernetes import faults


def pod(phase="Running", state=None, **status):
    containers = [
        {"name": "proxy", "state": {"running": {}}},
        {"name": "rivers", "state": state or {"running": {}}},
    ]
    limits = {"limits": {"memory": "64Mi"}}
    return {
        "metadata": {"name": "pod-1"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "rivers", "resources": limits}]},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def ended(code, **details):
    return {"terminated": {"exitCode": code, **details}}


def waiting(reason):
    return {"waiting": {"reason": reason, "message": "the words of the cluster"}}


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (pod("Pending", waiting("ErrImagePull")), "INFRASTRUCTURE", ["image", "the words of the cluster"]),
        (
            pod("Pending", waiting("InvalidImageName")),
            "INFRASTRUCTURE",
            ["image", "the words of the cluster"],
        ),
        (
            pod("Pending", waiting("CreateContainerConfigError")),
            "INFRASTRUCTURE",
            ["the words of the cluster"],
        ),
        (pod("Failed", ended(137, reason="OOMKilled")), "OUT_OF_MEMORY", ["memory", "64Mi"]),
        (pod("Running", ended(137, reason="OOMKilled")), "OUT_OF_MEMORY", ["memory", "64Mi"]),
        (
            pod("Failed", reason="Evicted", message="low on disk"),
            "INFRASTRUCTURE",
            ["evicted", "low on disk"],
        ),
        (pod("Failed", reason="DeadlineExceeded", message="30 s"), "TIMEOUT", ["30 s"]),
        (
            pod("Running", reason="NodeLost", message="unresponsive"),
            "INFRASTRUCTURE",
            ["node-1", "unresponsive"],
        ),
        (pod("Unknown"), "INFRASTRUCTURE", ["node-1"]),
        (pod("Failed", ended(1, message="no module")), "INFRASTRUCTURE", ["exit code 1", "no module"]),
        (pod("Failed", ended(137)), "INFRASTRUCTURE", ["137", "killed"]),
    ],
)
def test_fault_of_pod_has_reason_and_words(state, reason, words):
    fault = faults.fault_of_pod(state, "asset 'orders'")
    assert fault.failure_reason is FailureReason[reason]
    for word in ["asset 'orders'", *words]:
        assert word in str(fault)


@pytest.mark.parametrize(
    "state", [pod(), pod("Pending", waiting("ContainerCreating")), pod("Pending", waiting("PodInitializing"))]
)
def test_fault_of_pod_is_none_while_it_may_report(state):
    assert faults.fault_of_pod(state, "x") is None


def test_fault_of_pod_reports_disruption():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "m",
    }
    fault = faults.fault_of_pod(pod("Failed", ended(143), conditions=[condition]), "x")
    assert "PreemptionByScheduler" in str(fault)


def test_fault_of_pod_names_a_failed_init_container():
    state = pod("Failed", {"waiting": {"reason": "PodInitializing"}})
    state["status"]["containerStatuses"][1]["state"] = {}
    state["status"]["initContainerStatuses"] = [{"name": "copy", "state": ended(7)}]
    fault = faults.fault_of_pod(state, "x")
    assert "'copy'" in str(fault)
    assert "7" in str(fault)


def test_fault_of_job_is_a_deadline():
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}
    fault = faults.fault_of_job({"status": {"conditions": [condition]}}, "x")
    assert fault.failure_reason is FailureReason.TIMEOUT
    condition["reason"] = "BackoffLimitExceeded"
    assert faults.fault_of_job({"status": {"conditions": [condition]}}, "x") is None


def test_pending_words_are_those_of_the_scheduler():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert faults.pending_words(pod("Pending", conditions=[condition]), []) == "Unschedulable: 0/3 nodes"


def test_quota_is_awaited_and_other_refusals_are_not():
    quota = {"reason": "FailedCreate", "type": "Warning", "message": "pods forbidden: exceeded quota: small"}
    account = {"reason": "FailedCreate", "type": "Warning", "message": "serviceaccount x not found"}
    assert faults.refusal([quota]) is None
    assert faults.refusal([account]) == "serviceaccount x not found"
    fault = faults.pending_fault("x", 5, faults.pending_words(None, [quota]))
    assert "exceeded quota: small" in str(fault)
    assert "quota" in str(fault).rpartition("small")[2]


@pytest.mark.parametrize(
    ("deleted", "grace", "expected"),
    [
        ("2024-01-01T00:00:40Z", 30, True),
        ("2024-01-01T00:00:39Z", 30, False),
        ("2024-01-01T00:00:10Z", None, True),
        (None, None, False),
    ],
)
def test_pod_deleted_at_the_deadline_is_recognized(deleted, grace, expected):
    job = {"spec": {"activeDeadlineSeconds": 10}, "status": {"startTime": "2024-01-01T00:00:00Z"}}
    state = pod("Failed", ended(143))
    state["metadata"] |= {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": grace}
    assert faults.is_past_deadline(job, state) is expected
    assert not faults.is_past_deadline({"spec": {}}, state)
