"""`collect_stream` passes each value on as soon as it is stored, while the other instances still run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator  # noqa: TC003 read at resolve

import pytest

import rivers as rs

SECONDS = 60  # ends a test that would hang


@rs.Task
def numbers() -> list[int]:
    return [1, 2, 3]


def graph(body, **options):
    return rs.Asset.from_graph(body, name="g", **options)


@pytest.fixture
def diary_of():
    """Order of what happened."""
    return []


@pytest.fixture
def noted(diary_of):
    @rs.Task
    def noted(x: int) -> int:
        diary_of.append(f"ran {x}")
        return x

    return noted


@pytest.fixture
def reader(diary_of):
    @rs.Task
    def reader(values: Iterator[int]) -> list[int]:
        result = []
        for value in values:
            diary_of.append(f"got {value}")
            result.append(value)
        return result

    return reader


EACH_AT_ONCE = ["ran 1", "got 1", "ran 2", "got 2", "ran 3", "got 3"]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("io_threads", [0, 2])
def test_collector_gets_a_value_before_the_next_instance_runs(
    repository, diary_of, noted, reader, ordered, io_threads, tmp_path
):
    handler = rs.PickleIOHandler(str(tmp_path))
    repo = repository(
        graph(
            lambda: reader(numbers().map(noted).collect_stream(ordered=ordered)),
            node_io_handler=handler,
            io_handler=handler,
        )
    )
    result = repo.materialize(executor=rs.Executor.in_process(io_threads=io_threads))
    assert diary_of == EACH_AT_ONCE
    assert (result.materialized_assets, repo.load_node("g")) == (["g"], [1, 2, 3])


def test_events_have_the_order_of_what_happened(repository, noted, reader):
    repo = repository(graph(lambda: reader(numbers().map(noted).collect_stream())))
    result = repo.materialize()
    stored = [
        event
        for event in repo.storage.get_events_for_run(result.run_id)
        if event.event_type == "Materialization"
    ]
    names = ["g/numbers", "g/noted__0", "g/noted__1", "g/noted__2", "g/noted", "g/reader", "g"]
    assert [event.asset_key for event in stored] == names
    mapped, collected = stored[4], stored[5]
    assert dict(collected.input_data_versions) == {"g/noted": mapped.data_version}


def test_collector_that_stops_early_gets_its_result_after_all_instances(repository, diary_of, noted):
    @rs.Task
    def first(values: Iterator[int]) -> int:
        value = next(values)
        diary_of.append("done")
        return value

    repo = repository(graph(lambda: first(numbers().map(noted).collect_stream())))
    repo.materialize()
    assert diary_of == ["ran 1", "done", "ran 2", "ran 3"]
    assert (repo.load_node("g"), repo.load_node("g/noted__2")) == (1, 3)


@pytest.mark.parametrize("handles", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_failed_instance_skips_the_collector(repository, diary_of, ordered, handles):
    @rs.Task
    def odd(x: int) -> int:
        if x == 2:
            raise ValueError("two")
        return x

    @rs.Task(retry=rs.RetryPolicy(3))
    def reader(values: Iterator[int]) -> list[int]:
        diary_of.append("began")
        try:
            return list(values)
        except BaseException:
            if handles:
                return []
            raise

    repo = repository(graph(lambda: reader(numbers().map(odd).collect_stream(ordered=ordered))))
    result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["g/odd__1", "g/odd"]
    assert [name for name, _ in result.skipped_assets] == ["g"]
    assert diary_of == ["began"]
    assert repo.load_node("g/odd__2") == 3
    with pytest.raises(ValueError, match="'g/odd__1'"):
        repo.materialize()


def test_collector_that_fails_does_not_keep_instances_from_running(repository, diary_of, noted):
    @rs.Task
    def broken(values: Iterator[int]) -> int:
        raise ValueError(next(values))

    repo = repository(graph(lambda: broken(numbers().map(noted).collect_stream())))
    result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["g/broken"]
    assert diary_of == ["ran 1", "ran 2", "ran 3"]
    assert repo.storage.get_latest_materialization("g/noted") is not None


def test_retried_collector_reads_the_stored_values_again(repository, diary_of, noted):
    @rs.Task(retry=rs.RetryPolicy(1))
    def second_try(values: Iterator[int]) -> list[int]:
        result = [next(values)]
        if "failed" not in diary_of:
            diary_of.append("failed")
            raise ValueError("once")
        return [*result, *values]

    repo = repository(graph(lambda: second_try(numbers().map(noted).collect_stream())))
    repo.materialize()
    assert diary_of == ["ran 1", "failed", "ran 2", "ran 3"]
    assert repo.load_node("g") == [1, 2, 3]


def test_source_that_fails_skips_the_collector(repository, reader, noted):
    source = rs.Task(lambda: 3, name="source")
    repo = repository(graph(lambda: reader(source().map(noted).collect_stream())))
    result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["g/noted"]
    assert [name for name, _ in result.skipped_assets] == ["g"]


def test_upstream_that_fails_skips_mapped_step_and_collector_once(repository, reader, noted, diary_of):
    @rs.Task
    def broken() -> list[int]:
        raise ValueError

    repo = repository(graph(lambda: reader(broken().map(noted).collect_stream())))
    result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["g/broken"]
    assert sorted(name for name, _ in result.skipped_assets) == ["g", "g/noted"]
    assert [
        e.asset_key for e in repo.storage.get_events_for_run(result.run_id) if e.event_type == "StepSkipped"
    ] == ["g/noted", "g"]
    assert diary_of == []


def test_partition_keys_stream_one_after_the_other(repository, diary_of):
    @rs.Task
    def letters(context: rs.TaskExecutionContext) -> list[str]:
        return [f"{context.partition_key}{number}" for number in range(2)]

    @rs.Task
    def noted(x: str) -> str:
        diary_of.append(f"ran {x}")
        if x == "b1":
            raise ValueError
        return x

    @rs.Task
    def reader(values: Iterator[str]) -> list[str]:
        return [diary_of.append(f"got {value}") or value for value in values]

    definition = rs.PartitionsDefinition.static_(["a", "b", "c"])
    repo = repository(graph(lambda: reader(letters().map(noted).collect_stream()), partitions_def=definition))
    result = repo.materialize(partition_key=["a", "b", "c"], raise_on_error=False)
    assert diary_of == [f"{what} {x}" for x in ("a0", "a1") for what in ("ran", "got")] + [
        "ran b0", "got b0", "ran b1", "ran c0", "got c0", "ran c1", "got c1",
    ]  # fmt: skip
    assert not result.success
    assert [repo.load_node("g", partition_key=key) for key in "ac"] == [["a0", "a1"], ["c0", "c1"]]
    assert repo.storage.get_latest_materialization("g", "b") is None


def test_resumed_run_passes_stored_values_first(repository, tmp_path, reader, diary_of):
    broken = [2]

    @rs.Task
    def odd(x: int) -> int:
        diary_of.append(f"ran {x}")
        if x in broken:
            raise ValueError
        return x

    handler = rs.PickleIOHandler(str(tmp_path))
    repo = repository(
        graph(
            lambda: reader(numbers().map(odd).collect_stream()), node_io_handler=handler, io_handler=handler
        )
    )
    repo.materialize(raise_on_error=False, run_id_override="r")
    broken.clear()
    diary_of.clear()
    repo.materialize(resume=True, run_id_override="r")
    assert diary_of == ["got 1", "got 3", "ran 2", "got 2"]


def test_two_collectors_and_a_list_read_one_mapped_step(repository, diary_of, noted):
    @rs.Task
    def largest(values: Iterator[int]) -> int:
        return max(values)

    @rs.Task
    def count(values: list[int]) -> int:
        return len(values)

    @rs.Task
    def smallest(values: Iterator[int], larger: int, number: int) -> tuple[int, int, int]:
        return min(values), larger, number

    def body():
        mapped = numbers().map(noted)
        return smallest(mapped.collect_stream(), largest(mapped.collect_stream()), count(mapped.collect()))

    repo = repository(graph(body))
    repo.materialize()
    assert repo.load_node("g") == (1, 3, 3)
    assert diary_of == ["ran 1", "ran 2", "ran 3"]


def test_two_mapped_steps_whose_collectors_need_each_other_run(repository, noted):
    @rs.Task
    def added(values: Iterator[int], other: list[int]) -> int:
        return sum(values) + sum(other)

    @rs.Task
    def both(x: int, y: int) -> int:
        return x + y

    def body():
        one, two = numbers().map(noted), numbers().map(noted)
        return both(added(one.collect_stream(), two.collect()), added(two.collect_stream(), one.collect()))

    repo = repository(graph(body))
    repo.materialize()
    assert repo.load_node("g") == 24


class Handshake:
    """Lets instance 2 go on when the collector has received the value of instance 1."""

    def __init__(self):
        self.received = threading.Event()

    def task(self, is_async):
        @rs.Task
        def instance(x: int) -> int:
            assert x == 1 or self.received.wait(SECONDS)
            return x

        @rs.Task
        async def instance_async(x: int) -> int:
            assert x == 1 or await asyncio.to_thread(self.received.wait, SECONDS)
            return x

        return instance_async if is_async else instance

    def collector(self, is_async):
        @rs.Task
        def collected(values: Iterator[int]) -> list[int]:
            result = []
            for value in values:
                self.received.set()
                result.append(value)
            return result

        @rs.Task
        async def collected_async(values: AsyncIterator[int]) -> list[int]:
            result = []
            async for value in values:
                self.received.set()
                result.append(value)
            return result

        return collected_async if is_async else collected


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(("async_instances", "async_collector"), [(True, False), (True, True), (False, True)])
def test_asynchronous_steps_exchange_values_while_both_run(
    repository, async_instances, async_collector, ordered
):
    handshake = Handshake()
    task, collector = handshake.task(async_instances), handshake.collector(async_collector)
    repo = repository(graph(lambda: collector(numbers().map(task).collect_stream(ordered=ordered))))
    repo.materialize()
    assert sorted(repo.load_node("g")) == [1, 2, 3]


def test_many_collectors_with_an_asynchronous_handler_do_not_block_the_loop(repository):
    class AsyncMemory(rs.BaseIOHandler):
        async def handle_output(self, context, value):
            values[context.asset_name] = value

        async def load_input(self, context):
            return values[context.asset_name]

    values = {}
    handler = AsyncMemory()
    graphs = []
    for number in range(40):  # more than the threads of an event loop
        handshake = Handshake()
        task, collector = handshake.task(is_async=False), handshake.collector(is_async=False)

        def body(task=task, collector=collector):
            return collector(numbers().map(task, max_concurrency=1).collect_stream())

        graphs.append(
            rs.Asset.from_graph(body, name=f"g{number}", node_io_handler=handler, io_handler=handler)
        )
    repo = repository(*graphs)
    assert repo.materialize().success
    assert values["g39"] == [1, 2, 3]


def test_failing_asynchronous_instance_skips_the_collector(repository):
    handshake = Handshake()

    @rs.Task
    async def odd(x: int) -> int:
        if x == 2:
            await asyncio.to_thread(handshake.received.wait, SECONDS)
            raise ValueError("two")
        return x

    collector = handshake.collector(is_async=False)
    repo = repository(graph(lambda: collector(numbers().map(odd).collect_stream())))
    result = repo.materialize(raise_on_error=False)
    assert handshake.received.is_set()
    assert [name for name, _ in result.failed_assets] == ["g/odd__1", "g/odd"]
    assert [name for name, _ in result.skipped_assets] == ["g"]
    with pytest.raises(ValueError, match="'g/odd__1'"):
        repo.materialize()


def test_exit_of_an_instance_ends_the_run_and_the_waiting_collector(repository):
    handshake = Handshake()

    @rs.Task
    async def interrupted(x: int) -> int:
        if x == 2:
            await asyncio.to_thread(handshake.received.wait, SECONDS)
            raise SystemExit
        return x

    collector = handshake.collector(is_async=True)
    repo = repository(graph(lambda: collector(numbers().map(interrupted).collect_stream())))
    with pytest.raises(SystemExit):
        repo.materialize()


def test_canceled_run_stops_instances_and_collector(repository, diary_of, reader):
    @rs.Task
    def cancels(context: rs.TaskExecutionContext, x: int) -> int:
        diary_of.append(f"ran {x}")
        repo.storage.request_cancellation(context.run_id)
        return x

    repo = repository(graph(lambda: reader(numbers().map(cancels).collect_stream())))
    result = repo.materialize(raise_on_error=False)
    assert not result.success
    assert "ran 3" not in diary_of
    assert not [
        event for event in repo.storage.get_events_for_run(result.run_id) if event.event_type == "StepFailure"
    ]
    assert repo.storage.get_run(result.run_id).status == "Canceled"


def test_collector_with_a_time_limit_starts_after_the_instances(repository, diary_of, noted):
    @rs.Task
    def reader(values: Iterator[int]) -> list[int]:
        diary_of.append("began")
        return list(values)

    repo = repository(graph(lambda: reader(numbers().map(noted).collect_stream())))
    repo.materialize(timeout=SECONDS)
    assert diary_of == ["ran 1", "ran 2", "ran 3", "began"]
    assert repo.load_node("g") == [1, 2, 3]


def test_only_stale_run_leaves_out_an_unchanged_collector(repository, tmp_path, diary_of, noted, reader):
    handler = rs.PickleIOHandler(str(tmp_path))
    repo = repository(
        graph(
            lambda: reader(numbers().map(noted).collect_stream()), node_io_handler=handler, io_handler=handler
        )
    )
    repo.materialize(only_stale=True)
    diary_of.clear()
    assert repo.materialize(only_stale=True).materialized_assets == []
    assert diary_of == []
