"""Asynchronous assets, tasks and handlers; overlap is shown by events, never by a clock."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

import rivers as rs

BOUND = 100  # seconds after which a test that would hang fails instead


def meeting(parties: int):
    """An async function that returns only once `parties` callers are inside it together."""
    inside: list[asyncio.Event] = []

    async def meet() -> None:
        arrived = asyncio.Event()
        inside.append(arrived)
        if len(inside) == parties:
            for event in inside:
                event.set()
        await asyncio.wait_for(arrived.wait(), BOUND)

    return meet


def test_async_assets_overlap(repository):
    meet = meeting(2)

    @rs.Asset
    async def left() -> int:
        await meet()
        return 1

    @rs.Asset
    async def right() -> int:
        await meet()
        return 2

    @rs.Asset
    def total(left: int, right: int) -> int:
        return left + right

    repo = repository(left, right, total)
    repo.materialize()
    assert repo.load_node("total") == 3


def test_async_asset_runs_beside_sync_asset(repository):
    started, release = threading.Event(), threading.Event()

    @rs.Asset
    async def waits() -> str:
        started.set()
        await asyncio.to_thread(release.wait, BOUND)
        return "released" if release.is_set() else "alone"

    @rs.Asset
    def releases() -> bool:
        assert started.wait(BOUND)
        release.set()
        return True

    repo = repository(waits, releases)
    repo.materialize()
    assert repo.load_node("waits") == "released"


def test_async_handlers_overlap(repository):
    meet = meeting(2)
    values = {}

    class Remote(rs.BaseIOHandler):
        async def handle_output(self, context, obj):
            await meet()
            values[context.storage_key] = obj

        async def load_input(self, context):
            await asyncio.sleep(0)
            return values[context.storage_key]

    remote = Remote()

    @rs.Asset(io_handler=remote)
    def left() -> int:
        return 1

    @rs.Asset(io_handler=remote)
    async def right() -> int:
        return 2

    @rs.Asset
    def total(left: int, right: int) -> int:
        return left + right

    repo = repository(left, right, total)
    repo.materialize()
    assert values == {"left": 1, "right": 2}
    assert repo.load_node("total") == 3
    assert repo.load_node("left") == 1


def test_async_tasks_and_multi_assets(repository):
    @rs.Task
    async def double(x: int) -> int:
        return 2 * x

    @rs.Asset.from_multi(output_defs=[rs.AssetDef("a"), rs.AssetDef("b")])
    async def both():
        yield rs.Output(1, output_name="a")
        await asyncio.sleep(0)
        yield rs.Output(2, output_name="b")

    @rs.Asset.from_graph
    def answer(a):
        return double(a)

    repo = repository(both, answer)
    repo.materialize()
    assert (repo.load_node("b"), repo.load_node("answer")) == (2, 2)


async def _inside_a_running_loop(repo):
    repo.materialize()
    return repo.load_node("a")


def test_run_inside_running_loop(repository):
    @rs.Asset
    async def a() -> int:
        await asyncio.sleep(0)
        return 4

    assert asyncio.run(_inside_a_running_loop(repository(a))) == 4


def test_sync_asset_may_start_its_own_loop(repository):
    @rs.Asset
    async def a() -> int:
        return 1

    @rs.Asset
    def b(a: int) -> int:
        return asyncio.run(asyncio.sleep(0, a + 1))

    repo = repository(a, b)
    repo.materialize()
    assert repo.load_node("b") == 2


def test_error_cancels_running_steps(repository):
    ended = []

    @rs.Asset
    async def slow() -> None:
        try:
            await asyncio.sleep(BOUND * 10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    @rs.Asset
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(rs.exceptions.ExecutionError, match="no"):
        repository(slow, fails).materialize()
    assert ended == ["cancelled"]
    assert not [thread for thread in threading.enumerate() if thread.name == "rivers-loop"]


def test_waiting_step_is_not_garbage_collected(repository):
    started = []

    @rs.Asset
    async def waits() -> int:
        started.append(True)
        await asyncio.Event().wait()

    @rs.Asset
    async def collects() -> int:
        while not started:
            await asyncio.sleep(0)
        gc.collect()
        raise ConnectionError("no route to host")

    repo = repository(waits, collects)
    with pytest.raises(rs.exceptions.ExecutionError, match="no route to host"):
        repo.materialize()
    events = repo.storage.get_events_for_run(repo.storage.get_runs()[0].run_id)
    ended = [(event.asset_key, event.message) for event in events if event.event_type == "StepFailure"]
    assert ended == [("collects", "ConnectionError: no route to host"), ("waits", "CancelledError")]


def test_interrupt_cancels_running_steps(repository):
    ended = []

    @rs.Asset
    async def slow() -> None:
        try:
            await asyncio.sleep(BOUND * 10)
        finally:
            ended.append("over")

    @rs.Asset
    def interrupts() -> None:
        raise KeyboardInterrupt

    repo = repository(slow, interrupts)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(run_id_override="r")
    assert repo.storage.get_run("r").status == "Canceled"
    assert ended in ([], ["over"])
    assert not [thread for thread in threading.enumerate() if thread.name == "rivers-loop"]


def test_async_run_without_raising_continues(repository):
    @rs.Asset
    async def fails() -> int:
        raise ValueError("no")

    @rs.Asset
    async def after(fails: int) -> int:
        return fails

    @rs.Asset
    async def apart() -> int:
        return 1

    result = repository(fails, after, apart).materialize(raise_on_error=False)
    assert result.materialized_assets == ["apart"]
    assert [name for name, _ in result.skipped_assets] == ["after"]


def test_interrupt_in_async_asset_ends_run(repository):
    @rs.Asset
    async def interrupts() -> None:
        raise KeyboardInterrupt

    repo = repository(interrupts)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(run_id_override="r")
    assert repo.storage.get_run("r").status == "Canceled"
