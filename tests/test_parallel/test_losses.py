"""Lost workers, interrupts, and a coordinator that is killed: real processes that really end."""

from __future__ import annotations

import os
import signal
import time

import pytest

import rivers as rs
from rivers.definitions.retry import FailureReason, classify
from rivers_parallel import pool
from rivers_parallel.processes import out_of_memory_kills
from tests.test_executors.programs import PATIENCE_S, Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


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


@pytest.mark.timeout(900)
def test_first_interrupt_lets_running_steps_finish(tmp_path):
    body = "while not (folder / 'gate').exists(): time.sleep(0.02)"
    with Program(tmp_path, "rs.Executor.parallel(2)", body=body, count=6) as program:
        program.start()
        program.wait_for("started-*", 2)
        program.process.send_signal(signal.SIGINT)
        program.wait_for("withdrawn")  # the signal has to arrive before the steps can end
        (tmp_path / "gate").touch()
        assert program.process.wait(PATIENCE_S) != 0
        events, run = program.events
        stored = [event.asset_key for event in events if event.event_type == "Materialization"]
        assert sorted(stored) == ["a0", "a1"]
        assert run.status == "Canceled"
        program.assert_no_process_is_left()


@pytest.mark.timeout(900)
def test_second_interrupt_ends_workers(tmp_path):
    body = "import subprocess; subprocess.run(['sleep', '3600'])"
    with Program(tmp_path, "rs.Executor.parallel(2)", body=body, count=3) as program:
        program.start()
        program.wait_for("started-*", 2)
        program.process.send_signal(signal.SIGINT)
        program.wait_for("withdrawn")
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(PATIENCE_S) != 0
        assert program.events[1].status == "Canceled"
        program.assert_no_process_is_left()
