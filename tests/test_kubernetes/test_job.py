import pytest

import rivers as rs
from rivers.exceptions import ConfigurationError
from rivers.executors.remote import StepRequest
from rivers.executors.remote.bundle import Bundle
from rivers_kubernetes.job import JobTerms, job_manifest, parse_template
from rivers_kubernetes.names import label_value

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "rivers-run", "uid": "1"}


def request(asset="orders", *, keys=None, attempt=1, compute=None, timeout=None):
    bundle = Bundle("digest", b"", {})
    return StepRequest(bundle, b"order", "run-1", asset, asset, keys, attempt, compute, timeout)


def job(request, **terms):
    defaults = {
        "image": "project:1",
        "service_account": "worker",
        "compute": rs.Compute(cpu="500m", memory="512Mi"),
        "template": {},
        "run_store": "s3://bucket/runs",
        "step_timeout": None,
    }
    return job_manifest(
        request, JobTerms(**{**defaults, **terms}), name="job", path="runs/1", owner=OWNER, secrets=["key"]
    )


def container(manifest):
    return manifest["spec"]["template"]["spec"]["containers"][0]


def test_job_has_owner_ttl_and_no_retries():
    manifest = job(request())
    assert manifest["metadata"]["ownerReferences"] == [OWNER]
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["ttlSecondsAfterFinished"] > 0
    assert manifest["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_job_and_pod_have_the_same_labels():
    manifest = job(request("orders/of 2024", attempt=3))
    labels = manifest["metadata"]["labels"]
    assert labels["rivers/run"] == "run-1"
    assert labels["rivers/asset"] == labels["rivers/step"] == label_value("orders/of 2024")
    assert labels["rivers/attempt"] == "3"
    assert manifest["spec"]["template"]["metadata"]["labels"] == labels


def test_call_label_differs_by_partition_key():
    labels = [job(request(keys=(key,)))["metadata"]["labels"]["rivers/call"] for key in ("a", "b", "a")]
    assert labels[0] == labels[2] != labels[1]


@pytest.mark.parametrize(
    ("timeout", "step_timeout", "seconds"), [(2.2, 60.0, 3), (None, 60.0, 60), (None, None, 7 * 24 * 3600)]
)
def test_deadline_is_that_of_the_step_first(timeout, step_timeout, seconds):
    manifest = job(request(timeout=timeout), step_timeout=step_timeout)
    assert manifest["spec"]["activeDeadlineSeconds"] == seconds


def test_compute_of_the_asset_replaces_defaults():
    resources = container(job(request(compute=rs.Compute(memory="2Gi", gpu=1))))["resources"]
    assert resources["requests"] == {"cpu": "500m", "memory": "2Gi"}
    assert resources["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "1"}


def test_pod_template_is_merged():
    template = parse_template(
        """
        metadata: {annotations: {team: sales}, labels: {team: sales}}
        spec:
          nodeSelector: {pool: batch}
          serviceAccountName: special
          volumes: [{name: data, emptyDir: {}}]
          containers:
          - name: proxy
            image: proxy:1
          - name: rivers
            env: [{name: STAGE, value: prod}]
            volumeMounts: [{name: data, mountPath: /data}]
            resources: {limits: {ephemeral-storage: 1Gi}}
        """
    )
    pod = job(request(), template=template)["spec"]["template"]
    own, sidecar = pod["spec"]["containers"]
    assert pod["metadata"]["annotations"] == {"team": "sales"}
    assert pod["metadata"]["labels"]["team"] == "sales"
    assert pod["spec"]["nodeSelector"] == {"pool": "batch"}
    assert pod["spec"]["serviceAccountName"] == "special"
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["data", "rivers-run"]
    assert sidecar["name"] == "proxy"
    assert own["image"] == "project:1"
    assert {"name": "STAGE", "value": "prod"} in own["env"]
    assert [mount["name"] for mount in own["volumeMounts"]] == ["data", "rivers-run"]
    assert own["resources"]["limits"] == {"ephemeral-storage": "1Gi", "memory": "512Mi"}
    assert "name" not in template["metadata"]


def test_template_is_not_changed_by_a_job():
    template = parse_template({"spec": {"containers": [{"name": "rivers", "env": []}]}})
    job(request(), template=template)
    assert template == {"spec": {"containers": [{"name": "rivers", "env": []}]}}


def test_parse_template_reads_a_file(tmp_path):
    file = tmp_path / "pod.yaml"
    file.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {priorityClassName: low}\n")
    assert (
        parse_template(file)
        == parse_template(str(file))
        == {"metadata": {}, "spec": {"priorityClassName": "low"}}
    )


@pytest.mark.parametrize("value", ["no-such-file.yaml", "a: b: c", [1], {"spec": 3}, {"nodeSelector": {}}])
def test_parse_template_refuses(value):
    with pytest.raises(ConfigurationError):
        parse_template(value)
