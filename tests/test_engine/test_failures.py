"""Failures of functions, handlers and programs: which error is raised and what is recorded."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import rivers as rs

if TYPE_CHECKING:
    from pathlib import Path


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Abort(BaseException):
    """As a library might have one: not an Exception."""


def raising(error: BaseException, *, is_async: bool = False) -> rs.SingleAsset:
    if is_async:

        async def late():
            raise error

        return rs.Asset(late, name="broken")

    def plain():
        raise error

    return rs.Asset(plain, name="broken")


def messages(repo: rs.CodeRepository, event_type: str) -> list[str | None]:
    (run,) = repo.storage.get_runs(limit=1)
    return [e.message for e in repo.storage.get_events_for_run(run.run_id) if e.event_type == event_type]


@pytest.mark.parametrize("is_async", [False, True])
def test_error_with_broken_str_is_recorded(repository, is_async):
    error = Unreadable()
    repo = repository(raising(error, is_async=is_async))
    with pytest.raises(
        rs.exceptions.ExecutionError, match="Unreadable: its __str__ raised RuntimeError"
    ) as raised:
        repo.materialize()
    assert raised.value.__cause__ is error
    assert messages(repo, "StepFailure") == messages(repo, "RunFailure")


def test_error_without_message_shows_type(repository):
    result = repository(raising(KeyError())).materialize(raise_on_error=False)
    assert result.failed_assets == [("broken", "KeyError")]


def test_long_error_message_is_shortened(repository):
    repo = repository(raising(ValueError("first " + "x" * 5_000_000 + " last")))
    with pytest.raises(
        rs.exceptions.ExecutionError, match="(?s)first .*4,990,011 characters.* last"
    ) as raised:
        repo.materialize()
    assert len(str(raised.value)) < 11_000
    assert len(str(raised.value.__cause__)) > 5_000_000


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [(Abort("stop"), "Failure"), (SystemExit(3), "Canceled"), (KeyboardInterrupt(), "Canceled")],
)
def test_base_exception_ends_run_and_is_recorded(repository, error, status, is_async):
    repo = repository(raising(error, is_async=is_async))
    with pytest.raises(type(error)):
        repo.materialize(raise_on_error=False)
    assert repo.storage.get_runs()[0].status == status
    (message,) = messages(repo, "StepFailure")
    assert message is not None
    assert message.startswith(type(error).__name__)


def test_raised_cancellation_fails_step(repository):
    repo = repository(raising(asyncio.CancelledError("me"), is_async=True))
    with pytest.raises(rs.exceptions.ExecutionError, match="CancelledError: me"):
        repo.materialize()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("beside_async", [False, True])
def test_own_cancellation_is_a_failure(repository, is_async, beside_async):
    reported = []

    @rs.Hook.failure
    def tell(context: rs.HookContext) -> None:
        reported.append(repr(context.exception))

    @rs.Asset
    async def beside() -> int:
        return 1

    definition = raising(asyncio.CancelledError("me"), is_async=is_async)
    broken = rs.Asset(definition.function, name="broken", hooks=[tell])
    neighbor = beside if beside_async else rs.Asset(lambda: 1, name="beside")
    repo = repository(broken, neighbor)
    result = repo.materialize(raise_on_error=False)
    assert result.failed_assets == [("broken", "CancelledError: me")]
    assert result.materialized_assets == ["beside"]
    assert reported == ["CancelledError('me')"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("retry_on", [rs.FailureReason.CANCELLED, asyncio.CancelledError])
def test_cancellation_is_retried_if_policy_names_it(repository, is_async, retry_on):
    calls = []

    def call():
        calls.append(1)
        if len(calls) < 3:
            raise asyncio.CancelledError
        return len(calls)

    async def late():
        return call()

    policy = rs.RetryPolicy(2, retry_on=retry_on)
    repo = repository(rs.Asset(late if is_async else call, name="a", retry=policy))
    repo.materialize()
    assert repo.load_node("a") == 3


def test_cancelled_write_is_retried_with_same_value(repository):
    made, stored = [], []

    class Hasty(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            if context.attempt == 1:
                raise asyncio.CancelledError
            stored.append(obj)

        def load_input(self, context):
            raise AssertionError

    policy = rs.RetryPolicy(1, retry_on=rs.FailureReason.CANCELLED)
    repo = repository(rs.Asset(lambda: made.append(1), name="a", io_handler=Hasty(), retry=policy))
    assert repo.materialize().success
    assert (made, stored) == ([1], [None])


def test_cancelled_hook_is_ignored(repository):
    @rs.Hook.success
    async def hook(context: rs.HookContext) -> None:
        raise asyncio.CancelledError

    assert repository(rs.Asset(lambda: 1, name="a", hooks=[hook])).materialize().success


@pytest.mark.parametrize("beside_async", [False, True])
def test_stop_iteration_is_reported(repository, beside_async):
    @rs.Asset(io_handler=SlowIOHandler() if beside_async else None)
    def first() -> int:
        return next(iter([]))

    with pytest.raises(
        rs.exceptions.ExecutionError, match=r"StopIteration left the function of 'first': next\(\)"
    ):
        repository(first).materialize()


class SlowIOHandler(rs.BaseIOHandler):
    async def handle_output(self, context, obj): ...

    async def load_input(self, context): ...


def test_skipped_asset_names_failed_upstream(repository):
    later = [
        rs.Asset(eval(f"lambda {up}: 1"), name=name) for up, name in [("broken", "b"), ("b", "c"), ("c", "d")]
    ]
    result = repository(raising(ValueError("x")), *later).materialize(raise_on_error=False)
    assert result.skipped_assets == [(name, "not run, since 'broken' failed") for name in "bcd"]


def test_long_cycle_is_shortened(repository):
    circle = [rs.Asset(eval(f"lambda n{(i + 1) % 100}: 1"), name=f"n{i}") for i in range(100)]
    with pytest.raises(rs.exceptions.GraphValidationError, match=r"n17 -> .*\(81 more\) -> n0|\(81 more\)"):
        repository(*circle).validate()


@rs.Hook.success
async def notify(context: rs.HookContext) -> None:
    await asyncio.sleep(0)
    context.output.append("reported")


@pytest.mark.parametrize("is_async", [False, True])
def test_async_hook_is_awaited(repository, is_async):
    async def late() -> list[str]:
        return []

    def plain() -> list[str]:
        return []

    asset = rs.Asset(late if is_async else plain, name="diary", hooks=[notify])
    repo = repository(asset)
    repo.materialize()
    assert repo.load_node("diary") == ["reported"]


# ------------------------------------------------------------------ programs that are interrupted

PROGRAM = """
import os, signal, sqlite3, sys, time
import rivers as rs

def recorded():
    with sqlite3.connect("events/rivers.db") as file:
        return file.execute("SELECT COUNT(*) FROM events WHERE event_type = 'Materialization'").fetchone()[0]

@rs.Asset(io_handler=rs.PickleIOHandler(store="file:./data"))
def first() -> int:
    print("first ran", flush=True)
    return 1

@rs.Asset(io_handler=rs.PickleIOHandler(store="file:./data"))
{prefix}def second(first: int) -> int:
    if "die" in sys.argv:
        while not recorded():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.{signal})
        {wait}
    return first + 1

with rs.CodeRepository([first, second], config=False).resolve(storage=rs.Storage.embedded("events")) as repo:
    result = repo.materialize(run_id_override="nightly", resume="resume" in sys.argv)
    print(result.materialized_assets, result.skipped_assets, repo.load_node("second"))
"""


@pytest.fixture
def program(tmp_path: Path):
    def run(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "pipeline.py").write_text(source)
        return subprocess.run(
            [sys.executable, "-W", "error", "pipeline.py", *arguments],
            cwd=tmp_path,
            text=True,
            capture_output=True,
        )

    run.folder = tmp_path
    return run


WAYS = {
    "killed": ("SIGKILL", "", "pass", "Interrupted"),
    "ctrl-c": ("SIGINT", "", "time.sleep(600)", "Canceled"),
    "ctrl-c, async": ("SIGINT", "async ", "await __import__('asyncio').sleep(600)", "Canceled"),
}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("way", WAYS)
def test_stopped_program_can_be_resumed(program, way, monkeypatch, capsys):
    name, prefix, wait, status = WAYS[way]
    source = PROGRAM.format(signal=name, prefix=prefix, wait=wait)
    stopped = program(source, "die")
    assert stopped.returncode in (-getattr(signal, name), 130), stopped.stderr

    with rs.Storage.embedded(program.folder / "events") as storage:
        assert storage.get_run("nightly").status == status
        assert [
            e.asset_key for e in storage.get_events_for_run("nightly") if e.event_type == "Materialization"
        ] == ["first"]

    monkeypatch.chdir(program.folder)
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "resume"])
    runpy.run_path("pipeline.py", run_name="__main__")
    assert capsys.readouterr().out == "['second'] [('first', 'already finished in this run')] 2\n"
    with rs.Storage.embedded(program.folder / "events") as storage:
        assert storage.get_run("nightly").status == "Success"
