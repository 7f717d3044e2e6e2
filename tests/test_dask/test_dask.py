"""Steps on the workers of a real Dask cluster over TCP."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import distributed
import psutil
import pytest
from pydantic import SecretStr

import rivers as rs
from rivers.definitions.retry import FailureReason, classify
from rivers.exceptions import ConfigurationError, ExecutionError, GraphValidationError, RiversError
from rivers_dask import channel


def noting(folder, name, value=1):
    def function():
        (folder / f"{name}.{os.getpid()}.{uuid.uuid4()}").touch()
        return value

    return function


def count(folder, name):
    return len(list(folder.glob(f"{name}.*")))


def test_steps_run_on_workers(repository, store, client, caplog):
    one = rs.Asset(os.getpid, name="one", io_handler=store)
    two = rs.Asset(lambda one: (one, os.getpid()), name="two", io_handler=store)
    repo = repository(one, two)
    with caplog.at_level(logging.INFO, "rivers.run"):
        result = repo.materialize()
    assert result.materialized_assets == ["one", "two"]
    workers = client.run(os.getpid)
    assert set(repo.load_node("two")) <= set(workers.values())
    addresses = [record.getMessage() for record in caplog.records if record.name == "rivers.run"]
    assert any(worker in text for worker in workers for text in addresses)
    (event,) = repo.storage.get_events_for_asset("two", with_steps=False)
    assert event.input_data_versions == [("one", repo.storage.get_latest_materialization("one").data_version)]


def test_running_step_shows_its_worker(repository, store, client, tmp_path):
    def wait() -> None:
        while not (tmp_path / "go").exists():
            time.sleep(0.01)

    repo = repository(rs.Asset(wait, name="waits", io_handler=store))
    with ThreadPoolExecutor() as thread:
        run = thread.submit(repo.materialize)
        places = []
        while not run.done() and not any("worker" in place for place in places):
            places = [step.place for step in repo.storage.get_running_steps()]
        (tmp_path / "go").touch()
    assert any(f"{worker}, process {pid}" in places[0] for worker, pid in client.run(os.getpid).items())


def test_async_steps_run_on_workers(repository, store):
    async def pid() -> int:
        return os.getpid()

    repo = repository(rs.Asset(pid, name="pid", io_handler=store))
    repo.materialize()
    assert repo.load_node("pid") != os.getpid()


def test_lost_worker_fails_its_step_only(repository, store, tmp_path):
    def die() -> int:
        noting(tmp_path, "dies")()
        os.kill(os.getpid(), signal.SIGKILL)
        return 1

    first = rs.Asset(noting(tmp_path, "first"), name="first", io_handler=store)
    dies = rs.Asset(lambda first: die(), name="dies", io_handler=store)
    others = [
        rs.Asset(lambda first, n=n: noting(tmp_path, f"other{n}")(), name=f"other{n}", io_handler=store)
        for n in range(8)
    ]
    repo = repository(first, dies, *others)
    result = repo.materialize(raise_on_error=False)
    assert result.materialized_assets == ["first", *(f"other{n}" for n in range(8))]
    assert [name for name, _ in result.failed_assets] == ["dies"]
    assert classify(result.errors["dies"]) is FailureReason.INFRASTRUCTURE
    assert [count(tmp_path, name) for name in ("first", "dies", "other0", "other7")] == [1, 1, 1, 1]


def test_lost_worker_is_retried(repository, store, tmp_path):
    @rs.Asset(io_handler=store, retry=rs.RetryPolicy(1, retry_on=rs.RetryOn.TRANSIENT))
    def dies_once() -> int:
        noting(tmp_path, "call")()
        if count(tmp_path, "call") == 1:
            os._exit(3)
        return count(tmp_path, "call")

    repo = repository(dies_once)
    repo.materialize()
    assert repo.load_node("dies_once") == 2
    kinds = [event.event_type for event in repo.storage.get_events_for_asset("dies_once")]
    assert kinds == ["StepSuccess", "Materialization", "StepStart", "StepRetry", "StepStart"]


def test_run_that_lost_its_last_worker_ends(store, tmp_path):
    def die() -> int:
        import os
        import uuid

        (tmp_path / f"call.{uuid.uuid4()}").touch()
        os.kill(os.getpid(), 9)
        return 1

    assets = [rs.Asset(die, name=name, io_handler=store) for name in ("one", "two")]
    repo = rs.CodeRepository(assets, config=False)
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads=1"]
        with subprocess.Popen(
            [*command, "--no-dashboard"], cwd=tmp_path, stderr=subprocess.DEVNULL
        ) as worker:
            executor = rs.Executor.dask(address, shared_filesystem=True)
            with pytest.raises(ExecutionError) as raised:
                repo.materialize(executor=executor)
            assert worker.wait() == -signal.SIGKILL
        repo.shutdown()
    assert classify(raised.value) is FailureReason.INFRASTRUCTURE
    assert count(tmp_path, "call") == 1


def kept_repositories():
    from rivers.executors.remote.worker import repositories

    return len(repositories._open)


def left_on_scheduler(dask_scheduler):
    names = [name for name in dask_scheduler.plugins if name.startswith("rivers")]
    handlers = [name for name in dask_scheduler.handlers if name.startswith("rivers")]
    extensions = [name for name in dask_scheduler.extensions if name.startswith("rivers")]
    return list(dask_scheduler.tasks), names, handlers, extensions


class Connection(rs.Resource):
    url: str = "db"
    password: SecretStr = SecretStr("")


def test_cluster_is_left_clean(repository, store, client):
    repo = repository(rs.Asset(lambda c: 1, name="a", io_handler=store), resources={"c": Connection()})
    repo.materialize()
    repo.shutdown()
    assert client.run_on_scheduler(left_on_scheduler) == ([], [], [], [])
    assert set(client.run(kept_repositories).values()) == {0}


COORDINATOR = """
import sys
import rivers as rs

store = rs.PickleIOHandler(f"file:{sys.argv[2]}/values")

@rs.Asset(io_handler=store)
def first() -> int:
    return 1

@rs.Asset(io_handler=store)
def second(first: int) -> int:
    import os
    os.kill(COORDINATOR, 9)
    return 2

if __name__ == "__main__":
    import os
    COORDINATOR = os.getpid()
    repo = rs.CodeRepository([first, second], config=False)
    repo.materialize(executor=rs.Executor.dask(sys.argv[1], shared_filesystem=True))
"""


def test_killed_coordinator_leaves_nothing_on_the_cluster(dask_cluster, client, tmp_path):
    # before it connects: the plugin takes the value of its own process along
    source = "import rivers_dask.tasks as t; t.RECONNECT_SECONDS = 0.1\n" + COORDINATOR
    (tmp_path / "program.py").write_text(source)
    command = [sys.executable, str(tmp_path / "program.py"), dask_cluster.scheduler_address, str(tmp_path)]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    end = time.monotonic() + 200
    while client.run_on_scheduler(left_on_scheduler) != ([], [], [], []):
        assert time.monotonic() < end, client.run_on_scheduler(left_on_scheduler)
        time.sleep(0.1)
    while set(client.run(kept_repositories).values()) != {0}:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_credentials_without_encryption_are_warned_about(repository, store, caplog, dask_cluster):
    asset = rs.Asset(lambda c: 1, name="a", io_handler=store)
    repository(asset, resources={"c": Connection()}).materialize()
    # libraries warn about a busy machine
    assert [record for record in caplog.records if record.name.startswith("rivers")] == []
    repository(asset, resources={"c": Connection(password=SecretStr("correct-horse"))}).materialize()
    (record,) = [
        record
        for record in caplog.records
        if record.name == "rivers.run" and record.levelno == logging.WARNING
    ]
    assert dask_cluster.scheduler_address in record.getMessage()
    assert "correct-horse" not in record.getMessage()


def test_process_local_handlers_are_refused_with_the_list(repository, store):
    repo = repository(rs.Asset(lambda: 1, name="a"), rs.Asset(lambda a: a, name="b"), default_executor=None)
    with pytest.raises(GraphValidationError) as caught:
        repo.materialize(executor=rs.Executor.dask("tcp://127.0.0.1:1"))
    assert len(caught.value.findings) == 2
    assert all("'memory'" in finding for finding in caught.value.findings)


def test_host_local_handlers_need_a_shared_filesystem(repository, store, dask_cluster):
    repo = repository(rs.Asset(lambda: 1, name="a", io_handler=store), default_executor=None)
    with pytest.raises(GraphValidationError, match="shared_filesystem"):
        repo.materialize(executor=rs.Executor.dask(dask_cluster.scheduler_address))


def test_unreachable_scheduler_is_named(monkeypatch, repository, store):
    monkeypatch.setattr(channel, "CONNECT_SECONDS", 0.5)
    repo = repository(rs.Asset(lambda: 1, name="a", io_handler=store), default_executor=None)
    with pytest.raises(RiversError, match="tcp://127.0.0.1:9"):
        repo.materialize(executor=rs.Executor.dask("tcp://127.0.0.1:9", shared_filesystem=True))


def test_other_version_on_a_worker_is_named(monkeypatch, repository, store):
    monkeypatch.setattr(channel, "_by_value", lambda _: lambda: {"python": "2.7"})
    with pytest.raises(RiversError, match="python has version 2.7"):
        repository(rs.Asset(lambda: 1, name="a", io_handler=store)).materialize()


def test_missing_module_on_workers_is_named(repository, store, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    repo = repository(rs.Asset(lambda: only_here.answer(), name="a", io_handler=store))
    try:
        with pytest.raises(ExecutionError, match="only_here") as caught:
            repo.materialize()
    finally:
        del sys.modules["only_here"]
    assert isinstance(caught.value.__cause__, RiversError)


def test_compute_is_asked_of_workers(repository, store, tmp_path):
    small = rs.Asset(lambda: 1, name="small", io_handler=store, compute=rs.Compute(cpu=1, gpu=1))
    assert repository(small).materialize().success
    huge = rs.Asset(lambda: 1, name="huge", io_handler=store, compute=rs.Compute(cpu=64))
    with pytest.raises(ExecutionError, match="'CPU': 64"):
        repository(huge).materialize()


def test_resources_are_asked_for_every_step(repository, store, dask_cluster):
    executor = rs.Executor.dask(
        dask_cluster.scheduler_address, shared_filesystem=True, resources={"LICENSE": 1}
    )
    assert repository(rs.Asset(lambda: 1, name="a", io_handler=store)).materialize(executor=executor).success


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_workers": 0}, "n_workers"),
        ({"threads_per_worker": 0}, "threads_per_worker"),
        ({"address": "tcp://x:1", "n_workers": 2}, "n_workers"),
        ({"address": ""}, "address"),
        ({"shared_filesystem": "yes"}, "shared_filesystem"),
    ],
)
def test_dask_refuses_arguments(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        rs.Executor.dask(**arguments)


def test_dask_is_a_value():
    assert repr(rs.Executor.dask(n_workers=2)) == "Executor.Dask(n_workers=2)"
    assert isinstance(rs.Executor.dask("tcp://x:1"), rs.Executor.Dask)
    assert rs.Executor.dask("tcp://x:1").reach == "shared"
    assert rs.Executor.dask("tcp://x:1", shared_filesystem=True).reach == "host"
    assert rs.Executor.dask().reach == "host"


def test_synchronous_step_over_its_time_ends_with_its_worker(tmp_path, store, monkeypatch):
    monkeypatch.setattr(channel, "OVERDUE_SECONDS", 0.1)
    notes = tmp_path / "notes"
    notes.mkdir()

    def slow() -> int:
        (notes / f"{os.getpid()}").touch()
        while not (notes / "late").exists():
            time.sleep(0.05)
        return 1

    def quick() -> int:
        return 2

    assets = [
        rs.Asset(slow, io_handler=store, timeout=0.5, retry=rs.RetryPolicy(1)),
        rs.Asset(quick, io_handler=store),
    ]
    executor = rs.Executor.dask(n_workers=1)
    with rs.CodeRepository(assets, config=False, default_executor=executor) as repo:
        result = repo.resolve(rs.Storage.memory()).materialize(raise_on_error=False)
        (notes / "late").touch()
        assert [name for name, _ in result.failed_assets] == ["slow"]
        assert classify(result.errors["slow"]) is FailureReason.TIMEOUT
        assert repo.load_node("quick") == 2
    pids = [int(path.name) for path in notes.iterdir() if path.name.isdigit()]
    assert len(pids) == 2
    assert not any(map(psutil.pid_exists, pids))
