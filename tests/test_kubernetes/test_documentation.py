"""The manifests of the guide: the coordinator runs in a Pod, with the documented Role and in-cluster credentials."""

import pytest
import yaml

from tests.test_docs.test_pages import blocks_of
from tests.test_kubernetes.support import eventually
from tests.test_repository.checkout import ROOT

pytestmark = pytest.mark.server

GUIDE = ROOT / "docs" / "executors" / "kubernetes.md"


@pytest.fixture(scope="module")
def files():
    return {block.title: block.source for block in blocks_of(GUIDE) if block.title}


@pytest.fixture
def project(files, tmp_path):
    """The project of the guide, with folders of this machine instead of buckets."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "weather.py").write_text(files["weather.py"])
    # stands for the ENV of the Dockerfile
    path = f"    env: [{{name: PYTHONPATH, value: {folder}}}]\n"
    (folder / "pod.yaml").write_text(files["pod.yaml"] + path)
    config = files["rivers.toml"].replace("s3://company-data", tmp_path.as_uri())
    lines = [line for line in config.splitlines() if not line.startswith(("worker_image", "namespace"))]
    # the image of the coordinator's own Pod is the default
    lines.insert(lines.index('use = "kubernetes"') + 1, "shared_filesystem = true")
    (folder / "rivers.toml").write_text("\n".join(lines))
    return folder


def test_guide_runs_in_a_cluster(files, project, core, batch, namespace, api):
    from kubernetes import client

    rbac = client.RbacAuthorizationV1Api(api)
    core.create_namespaced_secret(namespace, {"metadata": {"name": "bucket-credentials"}})
    for manifest in yaml.safe_load_all(
        files["rbac.yaml"].replace("namespace: pipelines", f"namespace: {namespace}")
    ):
        match manifest["kind"]:
            case "Role":
                rbac.create_namespaced_role(namespace, manifest)
            case "RoleBinding":
                rbac.create_namespaced_role_binding(namespace, manifest)
            case "ServiceAccount" if manifest["metadata"]["name"] != "rivers-executor":
                core.create_namespaced_service_account(namespace, manifest)
    job = yaml.safe_load(files["coordinator.yaml"])
    job["metadata"]["namespace"] = namespace
    container = job["spec"]["template"]["spec"]["containers"][0]
    container |= {"workingDir": str(project), "env": [{"name": "PYTHONPATH", "value": str(project)}]}
    images = set()
    batch.create_namespaced_job(namespace, job)

    def state():
        images.update(
            pod.spec.containers[0].image
            for pod in core.list_namespaced_pod(namespace, label_selector="rivers/asset").items
        )
        status = batch.read_namespaced_job("weather", namespace).status
        return "succeeded" if status.succeeded else "failed" if status.failed else None

    outcome = eventually(state)
    pod = core.list_namespaced_pod(namespace, label_selector="job-name=weather").items[0].metadata.name
    assert outcome == "succeeded", core.read_namespaced_pod_log(pod, namespace)
    assert images == {container["image"]}
