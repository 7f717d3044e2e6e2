"""Lost workers, interrupts, and a coordinator that is killed: real processes that really end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

import rivers as rs
from rivers.definitions.retry import FailureReason, classify
from rivers_parallel import pool
from rivers_parallel.processes import out_of_memory_kills

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

PROGRAM = """
import os, sys, time
from pathlib import Path
import rivers as rs

folder = Path(sys.argv[1])
store = rs.PickleIOHandler(f"file:{folder}/values")

def asset(number):
    def function() -> int:
        (folder / f"started-{number}.{os.getpid()}").touch()
        BODY
        (folder / f"called-{number}.{os.getpid()}.{time.time_ns()}").touch()
        return number
    return rs.Asset(function, name=f"a{number}", io_handler=store)

storage = rs.Storage.embedded(folder / "log")
repo = rs.CodeRepository([asset(n) for n in range(COUNT)], config=False)
repo.resolve(storage)
try:
    repo.materialize(executor=rs.Executor.parallel(2), run_id_override="run", resume="--resume" in sys.argv)
finally:
    repo.shutdown()
    storage.close()
"""


class Program:
    """A coordinator in another process; its workers and their processes are known by their parent."""

    def __init__(self, folder, body="time.sleep(0.02)", count=12):
        self.folder = folder
        self.source = folder / "program.py"
        self.source.write_text(
            textwrap.dedent(PROGRAM).replace("BODY", body).replace("COUNT", str(count)), encoding="utf-8"
        )
        self.workers = set()

    def start(self, *arguments):
        command = [sys.executable, str(self.source), str(self.folder), *arguments]
        with open(self.folder / "errors", "a") as errors:
            self.process = subprocess.Popen(command, stderr=errors, start_new_session=True)
        return self.process

    def wait_for(self, pattern, number=1):
        while len(list(self.folder.glob(pattern))) < number:
            assert self.process.poll() is None, (self.folder / "errors").read_text()
            time.sleep(0.005)
            self.note_workers()
        self.note_workers()

    def note_workers(self):
        try:
            self.workers.update(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def assert_no_process_is_left(self):
        _, alive = psutil.wait_procs(self.workers, timeout=30)
        assert [item for item in alive if item.status() != psutil.STATUS_ZOMBIE] == []

    @property
    def events(self):
        with rs.Storage.embedded(self.folder / "log") as storage:
            return storage.get_events_for_run("run"), storage.get_run("run")


def test_killed_worker_fails_its_step_only(repository, store):
    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 1

    assets = [rs.Asset(lambda: 1, name=f"good{number}", io_handler=store) for number in range(4)]
    repo = repository(rs.Asset(die, name="dies", io_handler=store), *assets)
    result = repo.materialize(raise_on_error=False)
    assert result.materialized_assets == [f"good{number}" for number in range(4)]
    assert [name for name, _ in result.failed_assets] == ["dies"]
    assert classify(result.errors["dies"]) is FailureReason.INFRASTRUCTURE
    assert "SIGKILL" in str(result.errors["dies"])
    failures = [
        event for event in repo.storage.get_events_for_asset("dies") if event.event_type == "StepFailure"
    ]
    assert len(failures) == 1


def test_killed_worker_is_retried_in_another(repository, store, counter):
    note, count = counter

    @rs.Asset(io_handler=store, retry=rs.RetryPolicy(2, retry_on=rs.RetryOn.TRANSIENT))
    def dies_once() -> int:
        note("call")
        if count("call") == 1:
            os._exit(3)
        return count("call")

    repo = repository(dies_once)
    repo.materialize()
    assert repo.load_node("dies_once") == 2


def test_memory_error_in_a_worker_is_out_of_memory(repository, store):
    repo = repository(rs.Asset(lambda: bytearray(1 << 60), name="huge", io_handler=store))
    result = repo.materialize(raise_on_error=False)
    assert classify(result.errors["huge"]) is FailureReason.OUT_OF_MEMORY


def test_step_that_takes_too_long_is_interrupted(repository, store):
    slow = rs.Asset(lambda: time.sleep(600), name="slow", io_handler=store, timeout=0.2)
    result = repository(slow).materialize(raise_on_error=False)
    assert classify(result.errors["slow"]) is FailureReason.TIMEOUT


def test_step_deaf_to_signals_ends_with_its_worker(repository, store, monkeypatch):
    def deaf():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(600)

    monkeypatch.setattr(pool, "_INTERRUPT_SECONDS", 0.2)
    repo = repository(rs.Asset(deaf, name="deaf", io_handler=store))
    result = repo.materialize(raise_on_error=False, timeout=0.2)
    assert classify(result.errors["deaf"]) is FailureReason.TIMEOUT
    assert repository(rs.Asset(lambda: 1, name="next", io_handler=store)).materialize().success


def test_kernel_counts_processes_killed_for_memory(tmp_path):
    machine = tmp_path / "vmstat"
    machine.write_text("nr_free_pages 1\noom_kill 7\n")
    assert out_of_memory_kills(tmp_path / "no-cgroup", machine) == 7
    assert out_of_memory_kills(tmp_path / "no-cgroup", tmp_path / "nothing") == 0
    assert out_of_memory_kills() >= 0


def test_first_interrupt_lets_running_steps_finish(tmp_path):
    gate = tmp_path / "gate"
    program = Program(tmp_path, body="while not (folder / 'gate').exists(): time.sleep(0.005)", count=6)
    program.start()
    program.wait_for("started-*", 2)
    program.process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # the signal has to arrive before the steps can end
    gate.touch()
    assert program.process.wait(60) != 0
    events, run = program.events
    assert sorted(event.asset_key for event in events if event.event_type == "Materialization") == [
        "a0",
        "a1",
    ]
    assert run.status.lower() == "canceled"
    program.assert_no_process_is_left()


def test_second_interrupt_ends_workers(tmp_path):
    program = Program(tmp_path, body="import subprocess; subprocess.run(['sleep', '600'])", count=3)
    program.start()
    program.wait_for("started-*", 2)
    program.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    program.note_workers()
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(60) != 0
    assert program.events[1].status.lower() == "canceled"
    program.assert_no_process_is_left()


@pytest.mark.parametrize("seed", range(int(os.environ.get("RIVERS_KILLS", "2"))))
def test_killed_coordinator_is_resumed(tmp_path, seed):
    """Killed at a random moment: recorded values are readable, finished steps are not repeated, no process is left."""
    program = Program(tmp_path)
    program.start()
    program.wait_for("called-*", random.Random(seed).randrange(1, 9))
    program.process.kill()
    program.process.wait()
    program.assert_no_process_is_left()
    events, run = program.events
    assert run.status.lower() == "interrupted"
    done = {event.asset_key: event.data_version for event in events if event.event_type == "Materialization"}
    for name, version in done.items():
        handler = rs.PickleIOHandler(f"file:{tmp_path}/values")
        context = rs.InputContext(name, "test")
        handler.load_input(context)
        assert context.loaded_version == version
    assert program.start("--resume").wait(60) == 0, (tmp_path / "errors").read_text()
    events, run = program.events
    assert run.status.lower() == "success"
    materialized = [event.asset_key for event in events if event.event_type == "Materialization"]
    assert sorted(materialized) == sorted(f"a{number}" for number in range(12))
    files = {path.name for path in Path(tmp_path, "values").iterdir()}
    assert files == {f"a{number}.pkl" for number in range(12)}
