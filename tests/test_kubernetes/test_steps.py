"""Steps in pods: values, events, logs, secrets, and what a run leaves behind."""

import base64
import logging
import threading

import pod_steps as steps
import pytest
from pydantic import SecretStr

import rivers as rs
from rivers.definitions.retry import FailureReason
from rivers.exceptions import RiversError
from tests.test_kubernetes.support import eventually, repository

pytestmark = pytest.mark.server


class Running:
    """Run a repository in a thread while the step `held` is running."""

    def __init__(self, repo, config, folder):
        self.repo, self.config, self.folder = repo, config, folder

    def __enter__(self):
        self.outcome = []
        run_id = "run-while-held"
        self.thread = threading.Thread(
            target=lambda: self.outcome.append(
                self.repo.materialize(config=self.config, run_id_override=run_id)
            )
        )
        self.thread.start()
        eventually(lambda: (self.folder / "held.trace").exists())
        return run_id

    def __exit__(self, *_):
        (self.folder / "go").touch()
        self.thread.join()
        assert self.outcome[0].success


@pytest.fixture
def jobs(batch, namespace):
    return lambda: batch.list_namespaced_job(namespace).items


def test_chain_stores_values_and_events(executor, folder):
    repo = repository([steps.numbers, steps.total], folder, executor())
    with repo:
        result = repo.materialize()
        assert result.materialized_assets == ["numbers", "total"]
        assert repo.load_node("total") == 6
        event = repo.storage.get_latest_materialization("total")
    here = repository([steps.numbers, steps.total], folder)
    here.materialize()
    same = here.storage.get_latest_materialization("total")
    assert [key for key, _ in event.metadata] == [key for key, _ in same.metadata]


def test_run_deletes_everything_that_it_created(executor, folder, core, jobs, namespace, tmp_path):
    repo = repository([steps.numbers], folder, executor())
    with repo:
        repo.materialize()
    eventually(lambda: not jobs())
    maps = [item.metadata.name for item in core.list_namespaced_config_map(namespace).items]
    assert [name for name in maps if name.startswith("rivers")] == []
    secrets = lambda: [item.metadata.name for item in core.list_namespaced_secret(namespace).items]  # noqa: E731
    eventually(lambda: not [name for name in secrets() if name.startswith("rivers-run")])
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_job_carries_labels_limits_and_no_secret(executor, folder, core, jobs, namespace):
    repo = repository(
        [steps.held, steps.secretive],
        folder,
        executor(worker_memory="96Mi"),
        credentials=steps.Credentials(password=SecretStr("correct-horse-battery")),
    )
    with repo, Running(repo, {"secretive": {"token": "staple-of-many-words"}}, folder) as run_id:
        items = eventually(lambda: len(found := jobs()) == 2 and found)
        job = next(item for item in items if item.metadata.labels["rivers/asset"] == "held")
        assert job.metadata.labels["rivers/run"] == run_id
        assert job.metadata.labels["rivers/attempt"] == "1"
        assert job.spec.template.spec.containers[0].resources.limits == {"memory": "96Mi"}
        assert job.metadata.owner_references[0].kind == "ConfigMap"
        texts = [str(item) for item in items] + [str(core.list_namespaced_config_map(namespace).items)]
        assert not [text for text in texts if "correct-horse" in text or "staple" in text]
        stored = core.list_namespaced_secret(namespace).items
        requests = [
            base64.b64decode(item.data["request"]) for item in stored if "request" in (item.data or {})
        ]
        assert len(requests) == 1
        assert b"staple-of-many-words" in requests[0]


def test_secrets_stay_out_of_logs_and_run_store(executor, folder, caplog, tmp_path):
    repo = repository(
        [steps.secretive, steps.broken],
        folder,
        executor(),
        credentials=steps.Credentials(password=SecretStr("correct-horse-battery")),
    )
    with repo, caplog.at_level(logging.INFO):
        result = repo.materialize(
            config={"secretive": {"token": "staple-of-many-words"}}, raise_on_error=False
        )
        assert result.materialized_assets == ["secretive"]
        assert repo.load_node("secretive") == len("correct-horse-battery" + "staple-of-many-words")
    assert "correct-horse" not in caplog.text
    assert "staple" not in caplog.text
    assert "password" in caplog.text


def test_output_and_records_arrive_once(executor, folder, caplog):
    repo = repository([steps.spoken], folder, executor())
    with repo, caplog.at_level(logging.INFO):
        repo.materialize()
    records = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert records.count(("rivers.assets.spoken", "INFO", "written to the output")) == 1
    assert records.count(("rivers.assets.spoken", "WARNING", "wind of 40 knots")) == 1
    assert records.count(("other.library", "ERROR", "a\nmessage of two lines")) == 1


def test_run_log_names_the_pod(executor, folder, caplog):
    repo = repository([steps.numbers], folder, executor())
    with repo, caplog.at_level(logging.INFO, "rivers.run"):
        repo.materialize()
    assert any("Pod rivers-numbers-" in record.getMessage() for record in caplog.records)


def test_failed_step_raises_the_error_of_the_pod(executor, folder):
    repo = repository([steps.broken], folder, executor())
    with repo, pytest.raises(ValueError, match="station 17 reports no wind"):
        repo.materialize()


def test_retries_create_a_job_per_attempt(executor, folder):
    repo = repository([steps.flaky], folder, executor())
    with repo:
        run_id = repo.materialize().run_id
        events = repo.storage.get_events_for_run(run_id)
        assert repo.load_node("flaky") == 3
    assert [event.event_type for event in events].count("StepRetry") == 2


def test_partition_keys_with_any_character_run(executor, folder):
    repo = repository([steps.parts], folder, executor(max_concurrent_steps=1))
    with repo:
        repo.materialize(partition_key=rs.PartitionKey.single(["a/b", "c"]))
        assert repo.load_node("parts", partition_key="a/b") == "a/b"


def test_sidecar_does_not_keep_the_job(executor, folder, jobs):
    sidecar = {"name": "proxy", "image": "proxy:1", "command": ["sleep", "600"]}
    resources = {"requests": {"cpu": "1m", "memory": "1Mi"}}
    repo = repository(
        [steps.numbers],
        folder,
        executor(pod_template={"spec": {"containers": [{**sidecar, "resources": resources}]}}),
    )
    with repo:
        assert repo.materialize().success
    eventually(lambda: not jobs())


def test_missing_module_is_named(executor, folder, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text(
        "import rivers as rs\n\n@rs.Asset(io_handler='store')\ndef local():\n    return 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    repo = repository([only_here.local], folder, executor())
    with repo, pytest.raises(RiversError, match="only_here"):
        repo.materialize()


def test_process_local_handler_is_refused(executor, folder):
    @rs.Asset
    def kept():
        raise AssertionError("must not run")

    with pytest.raises(RiversError, match="kept"):
        repository([kept], folder, executor()).materialize()


def test_failure_reason_is_recorded(executor, folder):
    repo = repository([steps.numbers], folder, executor("missing:1"))
    with repo:
        result = repo.materialize(raise_on_error=False)
        error = result.errors["numbers"]
    assert error.failure_reason is FailureReason.INFRASTRUCTURE
    assert "missing:1" in str(error)
