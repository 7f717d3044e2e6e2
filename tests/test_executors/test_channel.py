"""Channels of other packages: hooks around a run, and interruption."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest

import rivers as rs
from rivers.definitions.retry import FailureReason
from rivers.exceptions import ConfigurationError, RiversError
from rivers.executors.remote import Channel, LostStepError
from rivers.executors.remote.worker import run_request
from rivers.worker import main


class Local(Channel):
    """Runs requests in this process, and notes what happens."""

    default_compute = rs.Compute(cpu=1, memory="1Gi")

    def __init__(self):
        self.calls = []
        self.computes = []
        self.lost = []

    def open_run(self, run):
        self.calls.append(f"open {run.run_id}")

    async def send(self, request):
        self.calls.append(f"send {request.step}")
        self.computes.append(request.compute)
        if self.lost:
            raise self.lost.pop()
        return run_request(request.bundle.digest, request.bundle.data, request.encoded)

    def close_run(self, run):
        self.calls.append(f"close {run.run_id} {run.storage.get_run(run.run_id).status}")

    def close(self):
        self.calls.append("close")


class Refusing(Local):
    def open_run(self, run):
        raise ConfigurationError("no permission")


class Slow(Local):
    finishes_running = False

    async def send(self, request):
        if request.step == "interrupting":
            raise KeyboardInterrupt
        self.running = asyncio.get_running_loop().create_future()
        await self.running

    def interrupt(self):
        loop = self.running.get_loop()
        loop.call_soon_threadsafe(self.running.set_exception, LostStepError("ended"))


class Queue(Local):
    """Notes where the call of each request is shown to run, before and after processes take it."""

    reports_start = True

    def open_run(self, run):
        self.run = run

    async def send(self, request):
        for place in ("worker 7", "worker 8"):
            self.calls += [call.place for call in self.run.running]
            request.started(place)
        self.calls += [call.place for call in self.run.running]
        return await super().send(request)


class Elsewhere(rs.Executor):
    reach = "host"

    def __init__(self, channel):
        self.channel = channel

    def __hash__(self):
        return id(self)

    def connect(self):
        return self.channel


def repository(channel, tmp_path, *assets):
    resources = {"store": rs.PickleIOHandler(str(tmp_path))}
    executor = Elsewhere(channel)
    return rs.CodeRepository(list(assets), default_executor=executor, resources=resources, config=False)


@rs.Asset(io_handler="store")
def one():
    return 1


@rs.Asset(io_handler="store", retry=rs.RetryPolicy(1, escalate=lambda _, compute: compute.scaled(memory=2)))
def growing():
    return 1


@rs.Asset(io_handler="store")
def waiting():
    return 1


@rs.Asset(io_handler="store")
def interrupting():
    return 1


def test_channel_is_opened_and_closed_with_the_run(tmp_path):
    channel = Local()
    with repository(channel, tmp_path, one) as repo:
        repo.materialize(run_id_override="r")
    assert channel.calls == ["open r", "send one", "close r Success", "close"]


@rs.Asset(io_handler="store")
def logging_asset():
    logging.getLogger("project").warning("late data")


def test_record_of_a_step_in_the_calling_process_is_handled_once(tmp_path, caplog):
    with repository(Local(), tmp_path, logging_asset) as repo:
        repo.materialize()
    assert [record.getMessage() for record in caplog.records if record.name == "project"] == ["late data"]


def test_running_steps_show_the_place_that_a_channel_reports(tmp_path):
    channel = Queue()
    with repository(channel, tmp_path, one) as repo:
        repo.materialize()
    assert channel.calls[:3] == ["worker 7", "worker 8", "send one"]
    assert not channel.run.running


def test_refusal_ends_the_run_before_its_first_step(tmp_path):
    channel = Refusing()
    with repository(channel, tmp_path, one) as repo, pytest.raises(ConfigurationError, match="no permission"):
        repo.materialize(run_id_override="r")
    assert channel.calls == ["close r Failure", "close"]


def test_retry_escalates_from_the_default_compute(tmp_path):
    channel = Local()
    channel.lost.append(LostStepError("no memory", FailureReason.OUT_OF_MEMORY))
    with repository(channel, tmp_path, growing) as repo:
        repo.materialize()
    assert channel.computes == [None, rs.Compute(cpu=1, memory="2Gi")]


def test_escalation_counts_failures_by_reason(tmp_path):
    channel = Local()
    channel.lost = [LostStepError("killed", FailureReason.OUT_OF_MEMORY), LostStepError("node lost")]
    policy = rs.RetryPolicy(2, escalate=rs.ComputeEscalation(max_memory="8Gi"))
    with repository(channel, tmp_path, one) as repo:
        repo.materialize(retry=policy)
    assert channel.computes == [None, rs.Compute(cpu=1, memory="1Gi"), rs.Compute(cpu=1, memory="2Gi")]


def test_canceled_run_interrupts_running_steps(tmp_path):
    channel = Slow()
    with repository(channel, tmp_path, waiting, interrupting) as repo:
        with pytest.raises(KeyboardInterrupt):
            repo.materialize(run_id_override="r")
        assert repo.storage.get_run("r").status == "Canceled"
        events = [event.event_type for event in repo.storage.get_events_for_run("r")]
    assert "StepRetry" not in events


class Canceling(Slow):
    """Requests the cancellation of the run while its steps run; a slow one never ends without an interrupt."""

    def __init__(self, *, finishes_running):
        super().__init__()
        self.finishes_running = finishes_running
        self.storage = None

    async def send(self, request):
        self.calls.append(f"send {request.step}")
        self.seen = self.storage.get_running_steps("r")
        self.running = asyncio.get_running_loop().create_future()
        self.storage.request_cancellation("r")
        if not self.finishes_running:
            await self.running
        return run_request(request.bundle.digest, request.bundle.data, request.encoded)


@rs.Asset(io_handler="store")
def after(waiting):
    return waiting


@pytest.mark.parametrize("finishes_running", [True, False])
def test_requested_cancellation_reaches_the_channel(tmp_path, finishes_running):
    channel = Canceling(finishes_running=finishes_running)
    with repository(channel, tmp_path, waiting, after).resolve(rs.Storage.memory()) as repo:
        channel.storage = repo.storage
        result = repo.materialize(run_id_override="r")
        assert repo.storage.get_run("r").status == "Canceled"
    assert not result.success
    assert result.materialized_assets == (["waiting"] if finishes_running else [])
    assert result.failed_assets == []
    assert channel.calls[:2] == ["open r", "send waiting"]
    assert "send after" not in channel.calls
    ((step, place),) = [(item.step, item.place) for item in channel.seen]
    assert (step, place) == ("waiting", "Executor.Elsewhere")


def test_worker_entry_reports_unknown_executors(capsys):
    assert main(["nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert main([]) == 2


def test_worker_entry_refuses_executors_without_processes(capsys):
    assert main(["in_process", "x"]) == 1
    assert "InProcess" in capsys.readouterr().err
    with pytest.raises(RiversError):
        Elsewhere.work([])


def test_worker_entry_is_a_module():
    process = subprocess.run([sys.executable, "-m", "rivers.worker"], capture_output=True, check=False)
    assert process.returncode == 2
