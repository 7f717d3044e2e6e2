"""A namespace of a real cluster for each process that runs tests; `make test-kubernetes` starts the cluster."""

from __future__ import annotations

import os
import secrets
import sys

import pytest

import rivers as rs
from tests.test_kubernetes.support import PROJECT
from tests.test_repository.checkout import ROOT

sys.path.append(str(PROJECT))


@pytest.fixture(scope="session")
def api():
    """Client of the cluster of KUBECONFIG."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set; `make test-kubernetes` starts a control plane and sets it")
    from kubernetes import client, config

    configuration = client.Configuration()
    config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)
    with client.ApiClient(configuration) as api:
        yield api


@pytest.fixture(scope="session")
def core(api):
    from kubernetes import client

    return client.CoreV1Api(api)


@pytest.fixture(scope="session")
def batch(api):
    from kubernetes import client

    return client.BatchV1Api(api)


@pytest.fixture
def namespace(core):
    name = f"rivers-test-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": name}})
    core.create_namespaced_service_account(name, {"metadata": {"name": "rivers-executor"}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def executor(namespace, tmp_path):
    """Return executors whose pods import the modules of the folder `project`."""

    def build(image="project:1", **arguments):
        template = arguments.pop("pod_template", {"spec": {}})
        spec = template["spec"]
        containers = spec.setdefault("containers", [])
        own = next((item for item in containers if item["name"] == "rivers"), None)
        if own is None:
            own = {"name": "rivers"}
            containers.append(own)
        own.setdefault("env", []).append(
            {"name": "PYTHONPATH", "value": os.pathsep.join(map(str, (PROJECT, ROOT)))}
        )
        return rs.Executor.kubernetes(
            image,
            **{
                "namespace": namespace,
                "run_store": str(tmp_path / "runs"),
                "shared_filesystem": True,
                "worker_cpu": "10m",
                "worker_memory": "64Mi",
                "pod_template": template,
                **arguments,
            },
        )

    return build


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder in which the steps of the project store values and leave traces, also in pods."""
    path = tmp_path / "data"
    path.mkdir()
    return path


def pytest_collection_modifyitems(items):
    """Allow for a busy machine: each step is a process that imports the engine."""
    for item in items:
        if item.path.is_relative_to(PROJECT.parent) and "server" in item.keywords:
            item.add_marker(pytest.mark.timeout(300))
