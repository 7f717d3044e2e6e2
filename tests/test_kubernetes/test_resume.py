"""Coordinators that end before their run does, and runs that are canceled."""

import os
import random
import subprocess
import sys
import threading
import time

import pod_steps as steps
import pytest

import rivers as rs
from rivers_kubernetes import run_objects
from tests.test_kubernetes.support import PROJECT, eventually, repository

pytestmark = pytest.mark.server


@pytest.fixture
def coordinator(folder, namespace):
    """Start a coordinator in a separate process; those that still run are ended."""
    processes = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, PROJECT / "coordinator.py", folder, namespace, "run-1", *options],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def resumed(coordinator):
    process = coordinator("resume")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output


def calls(folder, name):
    file = folder / f"{name}.trace"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_running_job_is_adopted(coordinator, folder, batch, namespace):
    first = coordinator()
    eventually(lambda: calls(folder, "held") and calls(folder, "total"))
    first.kill()
    first.wait()
    second = coordinator("resume")
    eventually(lambda: rs.Storage.embedded(str(folder / "log")).get_run("run-1"))
    (folder / "go").touch()
    output, _ = second.communicate(timeout=100)
    assert second.returncode == 0, output
    assert [calls(folder, name) for name in ("numbers", "total", "held", "behind")] == [1, 1, 1, 1]
    eventually(lambda: not batch.list_namespaced_job(namespace).items)


def test_report_of_a_lost_coordinator_is_used(coordinator, folder, batch, namespace):
    first = coordinator()
    eventually(lambda: calls(folder, "held"))
    first.kill()
    first.wait()
    (folder / "go").touch()
    eventually(
        lambda: any(
            job.status.succeeded
            for job in batch.list_namespaced_job(namespace, label_selector="rivers/asset=held").items
        )
    )
    resumed(coordinator)
    assert calls(folder, "held") == 1
    with rs.Storage.embedded(str(folder / "log")) as storage:
        assert storage.get_run("run-1").status == "Success"


@pytest.mark.parametrize("seed", range({"tenth": 10, "full": 100}.get(os.environ.get("TORTURE", ""), 3)))
def test_coordinator_killed_at_any_moment(coordinator, folder, batch, namespace, seed):
    (folder / "go").touch()
    first = coordinator()
    # the moment differs with every run of the tests; each one must be survived
    eventually((folder / "log").exists)
    time.sleep(random.uniform(0, 6))
    first.kill()
    first.wait()
    with rs.Storage.embedded(str(folder / "log")) as storage:
        run = storage.get_run("run-1")
        assert run is None or run.status in ("Interrupted", "Success")
        stored = {
            event.asset_key
            for event in storage.get_events_for_run("run-1")
            if event.event_type == "Materialization"
        }
    if run is None or run.status == "Success":
        return
    counts = {name: calls(folder, name) for name in stored}
    resumed(coordinator)
    assert counts == {name: calls(folder, name) for name in stored}
    eventually(lambda: not batch.list_namespaced_job(namespace).items)


def test_run_that_is_never_resumed_is_deleted(
    coordinator, folder, core, executor, namespace, tmp_path, monkeypatch
):
    first = coordinator()
    eventually(lambda: calls(folder, "held"))
    first.kill()
    first.wait()
    names = lambda: [item.metadata.name for item in core.list_namespaced_config_map(namespace).items]  # noqa: E731
    abandoned = [name for name in names() if name.startswith("rivers-run")]
    assert len(abandoned) == 1
    with rs.Storage.embedded(str(folder / "log")) as storage:
        run = {"executor": executor(run_store=str(folder / "runs")), "storage": storage}
        with repository([steps.numbers], folder, **run) as repo:
            repo.materialize()  # it may still be resumed
        assert set(abandoned) <= set(names())
        monkeypatch.setattr(run_objects, "_KEPT_SECONDS", 0)
        with repository([steps.numbers], folder, **run) as repo:
            repo.materialize()
    assert not set(abandoned) & set(names())
    assert not [path for path in (folder / "runs").rglob("*") if path.is_file()]


def test_interrupt_deletes_running_jobs(coordinator, folder, batch, namespace):
    import signal

    process = coordinator()
    eventually(lambda: calls(folder, "held") and calls(folder, "total"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    with rs.Storage.embedded(str(folder / "log")) as storage:
        assert storage.get_run("run-1").status == "Canceled"


def test_cancellation_by_another_process_deletes_running_jobs(coordinator, folder, batch, namespace):
    process = coordinator()
    eventually(lambda: calls(folder, "held") and calls(folder, "total"))
    with rs.Storage.embedded(str(folder / "log")) as storage:
        assert storage.request_cancellation("run-1")
        process.communicate(timeout=60)
        assert storage.get_run("run-1").status == "Canceled"
        assert any("Pod rivers-numbers-" in log.message for log in storage.get_run_logs("run-1"))
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    assert calls(folder, "behind") == 0


def test_failed_step_lets_running_steps_finish(executor, folder):
    repo = repository([steps.broken, steps.held], folder, executor())
    with repo:
        results = []

        def run():
            try:
                repo.materialize()
            except ValueError as error:
                results.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        eventually(lambda: calls(folder, "held"))
        (folder / "go").touch()
        thread.join(60)
        assert len(results) == 1
        assert repo.load_node("held") == "held"
