from datetime import timedelta

import pytest

import rivers as rs
from rivers.exceptions import ConfigurationError


def test_executor_is_found_by_name():
    executor = rs.Executor.kubernetes("project:1")
    assert isinstance(executor, rs.Executor.Kubernetes)
    assert executor.worker_image == "project:1"
    assert executor.service_account == "rivers-executor"
    assert (executor.worker_cpu, executor.worker_memory) == ("500m", "512Mi")


def test_repr_shows_what_was_set():
    assert repr(rs.Executor.kubernetes()) == "Executor.Kubernetes()"
    assert repr(rs.Executor.kubernetes("a:1", namespace="n")) == (
        "Executor.Kubernetes(worker_image='a:1', namespace='n')"
    )


def test_executors_are_equal_by_arguments():
    assert rs.Executor.kubernetes("a:1") == rs.Executor.kubernetes("a:1")
    assert rs.Executor.kubernetes("a:1") != rs.Executor.kubernetes("a:2")
    assert hash(rs.Executor.kubernetes("a:1")) == hash(rs.Executor.kubernetes("a:1"))


def test_timeouts_accept_timedelta():
    assert rs.Executor.kubernetes(step_timeout=timedelta(minutes=2)).step_timeout == 120


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_concurrent_steps": 0},
        {"max_concurrent_steps": 1.5},
        {"worker_cpu": "much"},
        {"worker_memory": -1},
        {"pending_timeout": 0},
        {"step_timeout": "soon"},
        {"run_store": "memory:///"},
        {"run_store": "file:///data"},
        {"pod_template": {"nodeSelector": {}}},
    ],
)
def test_invalid_argument_is_refused(arguments):
    with pytest.raises(ConfigurationError, match=next(iter(arguments)).removeprefix("worker_")):
        rs.Executor.kubernetes(**arguments)


def test_reach_depends_on_the_file_system():
    assert rs.Executor.kubernetes().reach == "shared"
    assert rs.Executor.kubernetes(shared_filesystem=True).reach == "host"


def write_kubeconfig(tmp_path, monkeypatch):
    file = tmp_path / "kubeconfig"
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: c, user: {token: t}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: c}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(file))


def test_missing_image_outside_a_cluster_is_refused(tmp_path, monkeypatch):
    write_kubeconfig(tmp_path, monkeypatch)
    with pytest.raises(ConfigurationError, match="worker_image"):
        rs.Executor.kubernetes(run_store="s3://bucket/runs").connect()


def test_missing_run_store_is_refused(tmp_path, monkeypatch):
    write_kubeconfig(tmp_path, monkeypatch)
    with pytest.raises(ConfigurationError, match="run_store"):
        rs.Executor.kubernetes("a:1").connect()


def test_missing_credentials_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="KUBECONFIG"):
        rs.Executor.kubernetes("a:1", run_store="s3://bucket/runs").connect()
