"""Steps in worker processes: values, events, errors, logs, retries, hooks."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
import traceback
from collections.abc import Iterator  # noqa: TC003 read at resolve
from pathlib import Path

import pytest

import rivers as rs
from rivers.exceptions import ExecutionError, RiversError
from rivers_core.hooks import hookimpl


class ChattyError(Exception):
    def __init__(self, code, *, unit):
        super().__init__(f"code {code} {unit}")
        self.code = code


def test_steps_run_in_workers_and_only_there(repository, store):
    @rs.Asset(io_handler=store)
    def here() -> int:
        return os.getpid()

    @rs.Asset(io_handler=store)
    def also(here: int) -> list[int]:
        return [here, os.getpid()]

    repo = repository(here, also)
    assert repo.materialize().success
    assert os.getpid() not in repo.load_node("also")


def test_lone_step_runs_in_a_worker(repository, store):
    repo = repository(rs.Asset(os.getpid, name="process", io_handler=store))
    repo.materialize()
    assert repo.load_node("process") != os.getpid()


def test_process_local_steps_stay(repository, store):
    stored = rs.Asset(os.getpid, name="stored", io_handler=store)
    kept = rs.Asset(lambda stored: (stored, os.getpid()), name="kept")
    consumer = rs.Asset(lambda kept: os.getpid(), name="consumer", io_handler=store)
    repo = repository(stored, kept, consumer)
    repo.materialize()
    assert repo.load_node("kept") == (repo.load_node("stored"), os.getpid())
    assert repo.load_node("consumer") == os.getpid()
    assert repo.load_node("stored") != os.getpid()


def test_workers_are_reused(repository, store):
    assets = [rs.Asset(os.getpid, name=f"a{number}", io_handler=store) for number in range(6)]
    repo = repository(*assets)
    repo.materialize()
    first = {repo.load_node(asset) for asset in assets}
    repo.materialize()
    second = {repo.load_node(asset) for asset in assets}
    assert len(first | second) <= 2


def test_independent_steps_overlap(repository, store, tmp_path):
    def meet(own, other):
        (tmp_path / own).touch()
        while not (tmp_path / other).exists():
            time.sleep(0.005)
        return own

    left = rs.Asset(functools.partial(meet, "left", "right"), name="left", io_handler=store)
    right = rs.Asset(functools.partial(meet, "right", "left"), name="right", io_handler=store)
    assert repository(left, right).materialize().success


def test_step_starts_when_its_own_inputs_are_stored(repository, store, tmp_path):
    """There are no levels: the second step of one branch does not wait for the first one of another."""
    gate = tmp_path / "gate"

    def wait():
        while not gate.exists():
            time.sleep(0.005)

    slow = rs.Asset(wait, name="slow", io_handler=store)
    first = rs.Asset(lambda: 1, name="first", io_handler=store)
    second = rs.Asset(lambda first: gate.touch(), name="second", io_handler=store)
    assert repository(slow, first, second).materialize().success


def test_synchronous_step_here_does_not_delay_others(repository, store, tmp_path):
    def wait():
        while not (tmp_path / "gate").exists():
            time.sleep(0.005)

    here = rs.Asset(wait, name="here")
    first = rs.Asset(lambda: 1, name="first", io_handler=store)
    second = rs.Asset(lambda first: (tmp_path / "gate").touch(), name="second", io_handler=store)
    assert repository(here, first, second).materialize().success


def test_async_steps_run_on_the_loop_with_a_limit(store, parallel):
    running, most = [], []

    async def work(name):
        running.append(name)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(name)
        return os.getpid(), threading.current_thread().name

    def asset(name):
        async def function():
            return await work(name)

        return rs.Asset(function, name=name)

    assets = [asset(f"a{number}") for number in range(5)]
    with rs.CodeRepository(assets, config=False) as repo:
        repo.materialize(executor=rs.Executor.parallel(max_async_concurrent=2))
        assert {repo.load_node(item) for item in assets} == {(os.getpid(), "rivers-loop")}
    assert max(most) <= 2


def test_async_handlers_are_awaited_in_workers(repository, tmp_path):
    class AsyncTextIOHandler(rs.BaseIOHandler):
        folder: str
        locality = "host"

        async def handle_output(self, context, obj):
            await asyncio.sleep(0)
            Path(self.folder, context.storage_key).write_text(obj)

        async def load_input(self, context):
            await asyncio.sleep(0)
            return Path(self.folder, context.storage_key).read_text()

    handler = AsyncTextIOHandler(folder=str(tmp_path))
    text = rs.Asset(lambda: str(os.getpid()), name="text", io_handler=handler)
    twice = rs.Asset(lambda text: text * 2, name="twice", io_handler=handler)
    repo = repository(text, twice)
    repo.materialize()
    assert repo.load_node("twice") == repo.load_node("text") * 2
    assert repo.load_node("text") != str(os.getpid())


def test_error_arrives_with_type_traceback_and_notes(repository, store):
    def fail():
        error = ChattyError(7, unit="m")
        error.add_note("seen in the worker")
        raise error

    repo = repository(rs.Asset(fail, name="bad", io_handler=store))
    with pytest.raises(ExecutionError) as caught:
        repo.materialize()
    error = caught.value.__cause__
    assert (type(error), error.code) == (ChattyError, 7)
    assert "in fail" in "".join(traceback.format_exception(error))
    assert error.__notes__ == ["seen in the worker"]
    (event,) = [item for item in repo.storage.get_events_for_asset("bad") if item.event_type == "StepFailure"]
    assert "code 7 m" in event.message


def test_failure_skips_steps_behind_it_only(repository, store):
    bad = rs.Asset(lambda: 1 / 0, name="bad", io_handler=store)
    behind = rs.Asset(lambda bad: 1, name="behind", io_handler=store)
    good = rs.Asset(lambda: 1, name="good", io_handler=store)
    result = repository(bad, behind, good).materialize(raise_on_error=False)
    assert result.materialized_assets == ["good"]
    assert [name for name, _ in result.failed_assets] == ["bad"]
    assert [name for name, _ in result.skipped_assets] == ["behind"]


def test_log_records_arrive_in_the_coordinator(repository, store, caplog):
    def log(context: rs.AssetExecutionContext) -> int:
        context.log.warning("rows: %d", 3)
        context.log.debug("hidden")
        logging.getLogger("elsewhere").info("not at this level")
        thread = threading.Thread(target=logging.getLogger("library").error, args=("from a thread",))
        thread.start()
        thread.join()
        return 1

    caplog.set_level(logging.WARNING)
    repository(rs.Asset(log, name="talks", io_handler=store)).materialize()
    records = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert ("rivers.assets.talks", "WARNING", "rows: 3") in records
    assert ("library", "ERROR", "from a thread") in records
    assert not any(name == "elsewhere" or level == "DEBUG" for name, level, _ in records)


def test_run_log_says_where_a_step_ran(repository, store, caplog):
    repo = repository(rs.Asset(os.getpid, name="process", io_handler=store))
    with caplog.at_level(logging.INFO, "rivers.run"):
        repo.materialize()
    assert any(
        "'process'" in text and str(repo.load_node("process")) in text
        for text in (record.getMessage() for record in caplog.records)
    )


def test_retries_count_attempts_across_workers(repository, store, counter):
    note, count = counter

    @rs.Asset(io_handler=store, retry=rs.RetryPolicy(3))
    def flaky() -> int:
        note("call")
        if count("call") < 3:
            raise ConnectionError("busy")
        return count("call")

    repo = repository(flaky)
    repo.materialize()
    assert repo.load_node("flaky") == 3
    events = repo.storage.get_events_for_asset("flaky", with_steps=False)
    assert [event.event_type for event in events] == ["Materialization", "StepRetry", "StepRetry"]
    assert events[0].attempt == 3


def test_hooks_run_once_where_the_step_runs(repository, store, counter):
    note, count = counter

    @rs.Hook.success
    def succeeded(context):
        note(f"success-{context.output}-{context.asset_name}")

    @rs.Hook.failure
    def failed(context):
        note(f"failure-{type(context.exception).__name__}")

    good = rs.Asset(lambda: 5, name="good", io_handler=store, hooks=[succeeded, failed])
    bad = rs.Asset(
        lambda: 1 / 0, name="bad", io_handler=store, hooks=[succeeded, failed], retry=rs.RetryPolicy(1)
    )
    repository(good, bad).materialize(raise_on_error=False)
    assert (count("success*"), count("success-5-good")) == (1, 1)
    assert (count("failure*"), count("failure-ZeroDivisionError")) == (1, 1)
    assert count(f"success-5-good.{os.getpid()}") == 0


@pytest.mark.parametrize("loses_worker", [False, True], ids=["fails", "lost"])
def test_hooks_know_outputs_of_earlier_attempts(repository, store, counter, loses_worker):
    note, count = counter

    @rs.Hook.success
    def succeeded(context):
        note(f"success-{context.asset_name}-{context.output}-{context.output_metadata['rows'].raw_value()}")

    @rs.Hook.failure
    def failed(context):
        note(f"failure-{context.asset_name}")

    def function():
        note("call")
        if count("call") == 1:
            yield rs.Output(5, output_name="a", metadata={"rows": 1})
        if count("call") == 2 and loses_worker:
            os._exit(9)
        raise ConnectionError("no b")

    repo = repository(
        rs.Asset.from_multi(
            function,
            output_defs=[rs.AssetDef(name, io_handler=store) for name in "ab"],
            hooks=[succeeded, failed],
            retry=rs.RetryPolicy(1),
        )
    )
    repo.materialize(raise_on_error=False)
    assert (count("call"), count("success-*"), count("success-a-5-1")) == (2, 1, 1)
    assert (count("failure-*"), count("failure-b")) == (1, 1)
    failures = {name: repo.storage.get_events_for_asset(name, with_steps=False) for name in "ab"}
    assert [event.event_type for event in failures["a"]] == ["Materialization"]
    assert [event.event_type for event in failures["b"]] == ["StepFailure", "StepRetry"]


def test_success_hook_gets_each_value_of_a_batch_of_an_earlier_attempt(repository, store, counter):
    note, count = counter

    @rs.Hook.success
    def succeeded(context):
        note("success-" + "-".join(f"{key}{value}" for key, value in context.output.values.items()))

    def function():
        note("call")
        if count("call") == 1:
            yield rs.Output(rs.PartitionedOutput({"x": 1, "y": 2}), output_name="a")
        raise ConnectionError("no b")

    repo = repository(
        rs.Asset.from_multi(
            function,
            output_defs=[rs.AssetDef(name, io_handler=store) for name in "ab"],
            partitions_def=rs.PartitionsDefinition.static_(["x", "y"]),
            partition_batches=True,
            hooks=[succeeded],
            retry=rs.RetryPolicy(1),
        )
    )
    repo.materialize(partition_key=rs.PartitionKey.single(["x", "y"]), raise_on_error=False)
    assert (count("success-*"), count("success-x1-y2")) == (1, 1)


def test_success_hook_gets_none_for_a_value_that_cannot_be_loaded_again(repository, store, counter):
    note, count = counter

    @rs.Hook.success
    def succeeded(context):
        note(f"success-{context.asset_name}-{context.output}")

    def function():
        note("call")
        if count("call") == 1:
            yield rs.Output(5, output_name="a")
        store.delete(rs.InputContext("a", "test"))
        raise ConnectionError("no b")

    repo = repository(
        rs.Asset.from_multi(
            function,
            output_defs=[rs.AssetDef(name, io_handler=store) for name in "ab"],
            hooks=[succeeded],
            retry=rs.RetryPolicy(1),
        )
    )
    repo.materialize(raise_on_error=False)
    assert (count("success-*"), count("success-a-None")) == (1, 1)


def test_observers_of_this_process_see_calls_in_workers(repository, store):
    seen = []

    class Watcher:
        @hookimpl
        def rivers_output_stored(self, context, handler, event):
            seen.append(("stored", context.asset_name, event.data_version, handler is store))

        @hookimpl
        def rivers_input_loaded(self, context, handler):
            seen.append(("loaded", context.asset_name, context.downstream_asset, handler is store))

        @hookimpl
        def rivers_io_failed(self, context, handler, error):
            seen.append(("failed", context.asset_name, type(error)))

    one = rs.Asset(lambda: 1, name="one", io_handler=store)
    two = rs.Asset(lambda one: (x for x in ()), name="two", io_handler=store)
    repo = repository(one, two)
    repo._runtime.registry.register(Watcher(), "watcher")
    try:
        repo.materialize(raise_on_error=False)
    finally:
        repo._runtime.registry.unregister("watcher")
    version = repo.storage.get_latest_materialization("one").data_version
    assert seen[:2] == [("stored", "one", version, True), ("loaded", "one", "two", True)]
    assert seen[2][:2] == ("failed", "two")


def test_mapped_instances_overlap_in_workers(repository, store, tmp_path):
    @rs.Task
    def sizes() -> list[rs.DynamicOutput[int]]:
        return [rs.DynamicOutput("small", 1), rs.DynamicOutput("large", 5)]

    @rs.Task
    def grown(size: int) -> tuple[int, int]:
        (tmp_path / f"size-{size}").touch()
        while len(list(tmp_path.glob("size-*"))) < 2:
            time.sleep(0.005)
        return 2 * size, os.getpid()

    @rs.Task
    def joined(pairs: list) -> list:
        return [*pairs]

    @rs.Asset.from_graph(io_handler=store, node_io_handler=store)
    def fanned():
        return joined(sizes().map(grown).collect())

    loaded = []

    class Watcher:
        @hookimpl
        def rivers_input_loaded(self, context, handler):
            loaded.append((context.asset_name, context.downstream_asset))

    repo = repository(fanned)
    repo._runtime.registry.register(Watcher(), "watcher")
    try:
        repo.materialize()
    finally:
        repo._runtime.registry.unregister("watcher")
    (small, first), (large, second) = repo.load_node("fanned")
    assert (small, large) == (2, 10)
    assert first != second
    assert os.getpid() not in (first, second)
    # The instances are loaded side by side, so that either may be first.
    assert sorted(loaded) == [
        ("fanned/grown__large", "fanned"), ("fanned/grown__small", "fanned"), ("fanned/sizes", "fanned/grown"),
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_collector_in_the_coordinator_gets_values_while_workers_run(repository, store, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    @rs.Task
    def sizes() -> list[int]:
        return [1, 2]

    @rs.Task
    def checked(size: int) -> int:
        if size == 2:
            pipe.read_text()  # returns when the collector has opened and closed it
        return os.getpid() if size == 2 else size

    @rs.Task
    def joined(values: Iterator[int]) -> list[int]:
        first = next(values)
        pipe.write_text("")
        return [first, *values, os.getpid()]

    @rs.Asset.from_graph(
        io_handler=store,
        node_io_handler=store,
        metadata={"rivers/executor": "in_process", "rivers/node/executor": "parallel"},
    )
    def fanned():
        return joined(sizes().map(checked).collect_stream())

    repo = repository(fanned)
    repo.materialize()
    first, worker, coordinator = repo.load_node("fanned")
    assert (first, coordinator) == (1, os.getpid())
    assert worker != coordinator


def test_failed_instance_fails_the_mapped_node(repository, store):
    @rs.Task
    def check(size: int) -> int:
        if size == 2:
            raise ValueError("size 2 is not valid")
        return size

    @rs.Task
    def sizes() -> list[int]:
        return [1, 2, 3]

    @rs.Task
    def joined(sizes: list) -> list:
        return [*sizes]

    @rs.Asset.from_graph(io_handler=store, node_io_handler=store)
    def fanned():
        return joined(sizes().map(check).collect())

    repo = repository(fanned)
    result = repo.materialize(raise_on_error=False)
    assert "fanned/check__1" in dict(result.failed_assets)
    assert [repo.load_node(f"fanned/check__{number}") for number in (0, 2)] == [1, 3]


def test_mapped_step_stays_with_a_process_local_source(repository, store):
    @rs.Task(io_handler=rs.InMemoryIOHandler())
    def locks() -> list:
        return [threading.Lock()]

    @rs.Task(io_handler=store)
    def held(lock) -> bool:
        return lock.locked()

    @rs.Task
    def joined(values: list) -> list:
        return [*values]

    @rs.Asset.from_graph(io_handler=store, node_io_handler=store)
    def fanned():
        return joined(locks().map(held).collect())

    assert (
        repository(fanned).materialize().success
    )  # the source keeps its value here, so the instance runs here


def test_partition_keys_of_a_step_overlap(repository, store, tmp_path):
    def meet(context: rs.AssetExecutionContext) -> str:
        (tmp_path / context.partition_key).touch()
        while len(list(tmp_path.glob("key-*"))) < 2:
            time.sleep(0.005)
        return context.partition_key

    days = rs.PartitionsDefinition.static_(["key-1", "key-2"])
    repo = repository(rs.Asset(meet, name="meet", io_handler=store, partitions_def=days))
    assert repo.materialize(partition_key=["key-1", "key-2"]).materialized_assets == ["meet"]
    assert repo.load_node("meet", partition_key="key-2") == "key-2"


def test_failed_partition_keys_do_not_stop_others(repository, store):
    def check(context: rs.AssetExecutionContext) -> str:
        if context.partition_key == "b":
            raise ValueError("bad key")
        return context.partition_key

    letters = rs.PartitionsDefinition.static_(["a", "b", "c"])
    upper = rs.Asset(lambda check: check.upper(), name="upper", io_handler=store, partitions_def=letters)
    repo = repository(rs.Asset(check, name="check", io_handler=store, partitions_def=letters), upper)
    result = repo.materialize(partition_key=["a", "b", "c"], raise_on_error=False)
    assert "1 of 3 partition keys (b)" in dict(result.failed_assets)["check"]
    assert sorted(repo.storage.get_materialized_partitions("upper")) == ["a", "c"]


def test_self_dependency_loads_the_value_of_the_run_before(repository, store):
    def total(self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1

    repo = repository(rs.Asset(total, name="total", io_handler=store))
    repo.materialize()
    repo.materialize()
    assert repo.load_node("total") == 2


def test_lineage_and_upstream_events_reach_workers(repository, store, tmp_path):
    class Inspecting(rs.PickleIOHandler):
        def load_input(self, context):
            return context.upstream.data_version

    inspecting = Inspecting(f"file:{tmp_path}/values")
    source = rs.Asset(lambda: rs.Output(1, data_version="v1"), name="source", io_handler=inspecting)
    consumer = rs.Asset(lambda source: source, name="consumer", io_handler=store)
    repo = repository(source, consumer)
    repo.materialize("source")
    repo.materialize("consumer")
    assert repo.load_node("consumer") == "v1"
    event = repo.storage.get_latest_materialization("consumer")
    assert event.input_data_versions == [("source", "v1")]


def test_resources_are_set_up_once_per_process_and_torn_down(store, counter):
    note, count = counter

    class Client(rs.Resource):
        url: str = "db"
        _open: bool = False

        def setup(self):
            note("setup")
            self._open = True

        def teardown(self):
            note("teardown")

    def ask(client: Client) -> bool:
        return client._open

    assets = [rs.Asset(lambda client: client._open, name=f"a{n}", io_handler=store) for n in range(4)]
    repo = rs.CodeRepository(
        assets, resources={"client": Client()}, default_executor=rs.Executor.parallel(1), config=False
    )
    with repo:
        repo.materialize()
        assert all(repo.load_node(item) for item in assets)
        assert count("setup") == 2
        assert count(f"setup.{os.getpid()}") == 1
    assert count("teardown") == 2
    assert count(f"teardown.{os.getpid()}") == 1


def test_secrets_are_redacted_in_what_comes_back(repository, tmp_path, caplog):
    from pydantic import SecretStr

    class Vault(rs.BaseIOHandler):
        token: SecretStr
        locality = "host"

        def handle_output(self, context, obj):
            logging.getLogger("vault").warning("token %s", self.token.get_secret_value())
            raise RuntimeError(f"refused {self.token.get_secret_value()}")

        def load_input(self, context): ...

    asset = rs.Asset(lambda: 1, name="a", io_handler=Vault(token=SecretStr("hunter-2-hunter")))
    repo = repository(asset)
    result = repo.materialize(raise_on_error=False)
    texts = [str(event.message) for event in repo.storage.get_events_for_run(result.run_id)]
    texts += [record.getMessage() for record in caplog.records] + [
        str(result.errors["a"]),
        result.failed_assets[0][1],
    ]
    texts += traceback.format_exception(result.errors["a"])
    assert not any("hunter-2-hunter" in text for text in texts)
    assert any("refused" in text for text in texts)


def test_step_that_cannot_be_pickled_is_refused_by_name(repository, store):
    stream = (x for x in ())
    repo = repository(rs.Asset(lambda: stream, name="bad", io_handler=store))
    with pytest.raises(RiversError, match="asset 'bad'.*generator"):
        repo.materialize()


def test_nested_run_inside_a_step(repository, store, tmp_path):
    def outer() -> int:
        inner = rs.Asset(lambda: 41, name="inner", io_handler=rs.PickleIOHandler(f"file:{tmp_path}/inner"))
        with rs.CodeRepository([inner], config=False) as nested:
            nested.materialize(executor=rs.Executor.parallel(max_workers=1))
            return nested.load_node("inner") + 1

    repo = repository(rs.Asset(outer, name="outer", io_handler=store))
    repo.materialize()
    assert repo.load_node("outer") == 42


def test_run_configuration_reaches_workers(repository, store):
    from pydantic import BaseModel

    class Limits(BaseModel):
        rows: int = 1

    def limited(context: rs.AssetExecutionContext[Limits]) -> int:
        return context.config.rows

    repo = repository(rs.Asset(limited, name="limited", io_handler=store))
    repo.materialize(config={"limited": {"rows": 9}})
    assert repo.load_node("limited") == 9


def test_execution_error_is_raised_when_the_run_stops(repository, store):
    repo = repository(rs.Asset(lambda: 1 / 0, name="bad", io_handler=store))
    with pytest.raises(ExecutionError, match="asset 'bad'"):
        repo.materialize()


def test_own_value_replaced_by_another_process_is_loaded_again(repository, store, counter):
    note, count = counter

    @rs.Asset(io_handler=store)
    def total(self: rs.SelfDependency[int]) -> int:
        note("call")
        loaded = self.get_inner() or 0
        if count("call") == 2:
            store.handle_output(rs.OutputContext("total"), 100)
        return loaded + 1

    repo = repository(total)
    repo.materialize()
    assert repo.materialize().success
    assert repo.load_node("total") == 101
    assert count("call") == 3
    kinds = [event.event_type for event in repo.storage.get_events_for_asset("total")]
    assert kinds.count("Materialization") == 2
