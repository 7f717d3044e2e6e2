"""Roles: what the documented Role allows suffices, and a refusal names what is missing."""

import base64

import pod_steps as steps
import pytest
import yaml

from rivers.exceptions import ConfigurationError
from tests.test_docs.test_pages import blocks_of
from tests.test_kubernetes.support import eventually, repository
from tests.test_repository.checkout import ROOT

pytestmark = pytest.mark.server

GUIDE = ROOT / "docs" / "executors" / "kubernetes.md"
(MANIFESTS,) = (block.source for block in blocks_of(GUIDE) if block.title == "rbac.yaml")
ROLE = next(item["rules"] for item in yaml.safe_load_all(MANIFESTS) if item["kind"] == "Role")


@pytest.fixture
def account(api, core, namespace, tmp_path, monkeypatch):
    """Use the credentials of a service account with some rules in the rest of the test."""
    from kubernetes import client

    def use(rules):
        rbac = client.RbacAuthorizationV1Api(api)
        core.create_namespaced_service_account(namespace, {"metadata": {"name": "coordinator"}})
        rbac.create_namespaced_role(namespace, {"metadata": {"name": "coordinator"}, "rules": rules})
        rbac.create_namespaced_role_binding(
            namespace,
            {
                "metadata": {"name": "coordinator"},
                "subjects": [{"kind": "ServiceAccount", "name": "coordinator", "namespace": namespace}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "coordinator"},
            },
        )
        names = eventually(lambda: core.read_namespaced_service_account("coordinator", namespace).secrets)
        token = core.read_namespaced_secret(names[0].name, namespace).data["token"]
        configuration = api.configuration
        cluster = {"server": configuration.host, "certificate-authority": configuration.ssl_ca_cert}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "c", "user": {"token": base64.b64decode(token).decode()}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": namespace}}],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        monkeypatch.setenv("KUBECONFIG", str(file))

    return use


def test_documented_role_suffices(account, executor, folder):
    account(ROLE)
    with repository([steps.numbers, steps.total], folder, executor(namespace=None)) as repo:
        assert repo.materialize().success


@pytest.mark.parametrize(
    ("resource", "verb"),
    [
        ("jobs", "create"),
        ("pods", "watch"),
        ("configmaps", "create"),
        ("secrets", "create"),
        ("jobs", "list"),
    ],
)
def test_refusal_names_verb_and_resource(account, executor, folder, resource, verb):
    rules = [
        {
            **rule,
            "verbs": [item for item in rule["verbs"] if resource not in rule["resources"] or item != verb],
        }
        for rule in ROLE
    ]
    account(rules)
    with repository([steps.numbers], folder, executor()) as repo, pytest.raises(ConfigurationError) as caught:
        repo.materialize()
    assert f"'{verb}'" in str(caught.value)
    assert f"'{resource}'" in str(caught.value)
