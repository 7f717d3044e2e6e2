"""Failing, slow and interrupted connections to the API server, through a proxy in front of the real one."""

import json
import threading

import pod_steps as steps
import pytest
import yaml

from tests.test_kubernetes.proxy import Proxy
from tests.test_kubernetes.support import eventually, repository

pytestmark = pytest.mark.server

GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode()


@pytest.fixture
def proxy(api, tmp_path, monkeypatch):
    proxy = Proxy(api.configuration)
    file = tmp_path / "kubeconfig"
    content = {
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": proxy.url}}],
        "users": [{"name": "proxy", "user": {"token": "unused"}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    }
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    monkeypatch.setenv("KUBECONFIG", str(file))
    yield proxy
    proxy.close()


@pytest.fixture
def run(executor, folder):
    def run():
        with repository([steps.numbers, steps.total], folder, executor()) as repo:
            assert repo.materialize().success
        assert (folder / "numbers.trace").read_text().count("\n") == 1
        assert (folder / "total.trace").read_text().count("\n") == 1

    return run


@pytest.mark.parametrize("line", [None, GONE], ids=["dropped", "expired"])
def test_interrupted_watch_is_resumed(proxy, run, line):
    fault = proxy.add("GET", "watch=", times=4, cut_after=1, replaces=line)
    run()
    assert fault.hits == 4


def test_expired_watch_request_is_listed_again(proxy, run):
    fault = proxy.add("GET", "watch=", times=3, status=410, message="Expired")
    run()
    assert fault.hits == 3


@pytest.mark.parametrize(
    ("method", "part"), [("POST", "/jobs"), ("POST", "/configmaps"), ("POST", "/secrets"), ("GET", "/jobs?")]
)
@pytest.mark.parametrize("status", [409, 500, 503, 429])
def test_failing_request_is_repeated(proxy, run, method, part, status):
    fault = proxy.add(method, part, times=2, status=status, message="Conflict")
    run()
    assert fault.hits == 2


def test_lost_answer_creates_no_second_job(proxy, run, batch, namespace):
    fault = proxy.add("POST", "/jobs", loses_answer=True)
    run()
    assert fault.hits == 1


def test_slow_answers_are_awaited(proxy, run):
    proxy.add("POST", "/jobs", times=2, delay=2)
    proxy.add("GET", "watch=", times=4, delay=2)
    run()


def test_dropped_connections_while_a_step_runs(proxy, executor, folder):
    with repository([steps.held, steps.behind], folder, executor()) as repo:
        results = []
        thread = threading.Thread(target=lambda: results.append(repo.materialize()))
        thread.start()
        for _ in range(3):
            eventually(lambda: (folder / "held.trace").exists())
            proxy.drop_connections()
        (folder / "go").touch()
        thread.join(60)
        assert results[0].materialized_assets == ["held", "behind"]


def test_log_is_complete_after_a_dropped_connection(proxy, executor, folder, caplog):
    proxy.add("GET", "/log", times=1, cut_after=1)
    with repository([steps.spoken], folder, executor()) as repo, caplog.at_level("INFO"):
        repo.materialize()
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("written to the output") == 1
    assert messages.count("wind of 40 knots") == 1
