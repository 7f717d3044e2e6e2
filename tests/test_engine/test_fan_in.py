"""One step that takes many partitions: all of them, at once where that saves time, and none forgotten."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from pydantic import PrivateAttr

import rivers as rs
from rivers.execution.fan_in import CONCURRENT_LOADS

YEAR = rs.PartitionsDefinition.daily("2024-01-01", end="2025-01-01")
WEEK = rs.PartitionsDefinition.daily("2024-02-26", end="2024-03-04")
DAYS_OF_WEEK = [str(key) for key in WEEK.get_partition_keys()]
ENOUGH = 100.0  # seconds after which a test that waits for other threads fails

Mapping, Range = rs.PartitionMapping, rs.PartitionKeyRange


def daily(handler, definition=YEAR):
    @rs.Asset(partitions_def=definition, io_handler=handler)
    def day(context: rs.AssetExecutionContext) -> str:
        return rs.PartitionedOutput({key: f"of {key}" for key in context.partition.keys})

    return day


def collecting(mapping=None, definition=None):
    """An asset that keeps what it received."""
    received: list[Any] = []

    @rs.Asset(name="all_days", partitions_def=definition, deps=[rs.AssetDef.input("day", mapping)])
    def all_days(day):
        received.append(day)

    return all_days, received


def every_key(definition):
    keys = definition.get_partition_keys()
    return Range.single(str(keys[0]), str(keys[-1]))


@pytest.mark.parametrize("kind", ["memory", "pickle on disk", "pickle in memory"])
def test_fan_in_of_leap_year_in_memory(repository, tmp_path, kind):
    handler = {
        "memory": rs.InMemoryIOHandler,
        "pickle on disk": lambda: rs.PickleIOHandler(tmp_path),
        "pickle in memory": lambda: rs.PickleIOHandler("memory:///"),
    }[kind]()
    all_days, received = collecting()
    repo = repository(daily(handler), all_days)
    repo.materialize(partition_key=every_key(YEAR))
    keys = [str(key) for key in YEAR.get_partition_keys()]
    assert len(keys) == 366
    assert list(map(str, received[0])) == keys
    assert list(received[0].values()) == [f"of {key}" for key in keys]
    assert list(repo.load_node("day", partition_key=every_key(YEAR)).values()) == list(received[0].values())
    assert repo.storage.get_materialized_partitions("day") == keys


def test_fan_in_of_leap_year_with_embedded_storage(repository, tmp_path):
    all_days, received = collecting()
    handler = rs.PickleIOHandler(tmp_path / "values")
    with rs.Storage.embedded(tmp_path) as storage:
        repository(daily(handler)).resolve(storage).materialize(partition_key=every_key(YEAR))
    with rs.Storage.embedded(tmp_path) as storage:
        repo = repository(daily(handler), all_days).resolve(storage)
        repo.materialize(["all_days"])
        versions = storage.get_latest_materialization("all_days").input_data_versions
    assert len(received[0]) == 366
    assert [name for name, _ in versions] == ["day"]
    assert versions[0][1].startswith("366 keys ")


@pytest.mark.server
def test_fan_in_of_leap_year_from_s3(repository, s3_server, s3_url):
    all_days, received = collecting()
    repo = repository(daily(rs.PickleIOHandler(s3_url, storage_options=s3_server.options())), all_days)
    repo.materialize(["day"], partition_key=Range.single("2024-01-01", "2024-03-31"))
    repo.materialize(["day"], partition_key=Range.single("2024-04-02", "2024-12-31"))
    with pytest.raises(rs.exceptions.ExecutionError, match="1 of the 366 .*: 2024-04-01;"):
        repo.materialize(["all_days"])
    repo.materialize(["day"], partition_key="2024-04-01")
    repo.materialize(["all_days"])
    assert list(map(str, received[0])) == [str(key) for key in YEAR.get_partition_keys()]


# ------------------------------------------------------------------ at once


class Meeting(rs.BaseIOHandler):
    """Loads of this handler wait for each other: none returns before so many are in."""

    waits_for: int
    _values: dict[str, Any] = PrivateAttr(default_factory=dict)
    _most: list[int] = PrivateAttr(default_factory=lambda: [0, 0])
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def most_at_once(self) -> int:
        return self._most[1]

    def enter(self) -> int:
        with self._lock:
            self._most[0] += 1
            self._most[1] = max(self._most)
            return self._most[0]

    def leave(self) -> None:
        with self._lock:
            self._most[0] -= 1

    def handle_output(self, context, obj):
        self._values[context.storage_key] = obj

    def load_input(self, context):
        raise AssertionError("each kind waits in its own way")


class InThreads(Meeting):
    _here: Any = PrivateAttr(default=None)

    def model_post_init(self, context, /):
        super().model_post_init(context)
        self._here = threading.Barrier(self.waits_for)

    def load_input(self, context):
        self.enter()
        self._here.wait(ENOUGH)
        self.leave()
        return self._values[context.storage_key]


class OnTheLoop(Meeting):
    _all_in: Any = PrivateAttr(default_factory=asyncio.Event)

    async def load_input(self, context):
        if self.enter() == self.waits_for:
            self._all_in.set()
        await asyncio.wait_for(self._all_in.wait(), ENOUGH)
        self.leave()
        return self._values[context.storage_key]


@pytest.mark.parametrize("kind", [InThreads, OnTheLoop])
def test_fan_in_loads_concurrently_from_shared_handler(repository, kind):
    handler = kind(waits_for=len(DAYS_OF_WEEK))
    all_days, received = collecting()
    repo = repository(daily(handler, WEEK), all_days)
    repo.materialize(partition_key=every_key(WEEK))
    assert list(map(str, received[0])) == DAYS_OF_WEEK
    assert handler.most_at_once == len(DAYS_OF_WEEK)


def test_load_node_loads_concurrently(repository):
    handler = InThreads(waits_for=len(DAYS_OF_WEEK))
    repo = repository(daily(handler, WEEK))
    repo.materialize(partition_key=every_key(WEEK))
    assert len(repo.load_node("day", partition_key=every_key(WEEK))) == len(DAYS_OF_WEEK)


@pytest.mark.parametrize("kind", [InThreads, OnTheLoop])
def test_fan_in_bounds_concurrent_loads(repository, kind):
    handler = kind(waits_for=CONCURRENT_LOADS)
    four_rounds = rs.PartitionsDefinition.static_([f"k{place}" for place in range(4 * CONCURRENT_LOADS)])
    all_days, received = collecting()
    repo = repository(daily(handler, four_rounds), all_days)
    repo.materialize(partition_key=every_key(four_rounds))
    assert len(received[0]) == 4 * CONCURRENT_LOADS
    assert handler.most_at_once == CONCURRENT_LOADS


def test_fan_in_calls_process_handler_in_thread_of_step(repository):
    class Here(Meeting):
        locality: ClassVar[str] = "process"
        _threads: set[int] = PrivateAttr(default_factory=set)

        def load_input(self, context):
            self._threads.add(threading.get_ident())
            return self._values[context.storage_key]

    handler = Here(waits_for=0)
    all_days, _ = collecting()
    repository(daily(handler, WEEK), all_days).materialize(partition_key=every_key(WEEK))
    assert handler._threads == {threading.get_ident()}


def test_fan_in_of_async_step_does_not_block_others(repository):
    released = threading.Event()

    class Waiting(Meeting):
        def load_input(self, context):
            assert released.wait(ENOUGH)
            return self._values[context.storage_key]

    @rs.Asset(deps=[rs.AssetDef.input("day")])
    async def all_days(day: dict[str, str]) -> int:
        return len(day)

    @rs.Asset(deps=[rs.AssetDef.dep("day")])  # so that it comes second
    async def other() -> None:
        released.set()

    repo = repository(daily(Waiting(waits_for=0), WEEK), all_days, other)
    repo.materialize(["day"], partition_key=every_key(WEEK))
    repo.materialize(["all_days", "other"])
    assert repo.load_node("all_days") == len(DAYS_OF_WEEK)


def test_fan_in_inside_running_loop(repository, tmp_path):
    all_days, received = collecting()
    repo = repository(daily(rs.PickleIOHandler(tmp_path), WEEK), all_days)

    async def notebook():
        repo.materialize(partition_key=every_key(WEEK))
        return repo.load_node("day", partition_key=every_key(WEEK))

    assert list(map(str, asyncio.run(notebook()))) == DAYS_OF_WEEK
    assert list(map(str, received[0])) == DAYS_OF_WEEK


def test_fan_in_stops_after_first_failed_load(repository):
    class Failing(Meeting):
        _ended: list[str] = PrivateAttr(default_factory=list)

        async def load_input(self, context):
            if self.enter() == len(DAYS_OF_WEEK):
                raise PermissionError(context.storage_key)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), ENOUGH)
            except asyncio.CancelledError:
                self._ended.append(context.storage_key)
                raise

    handler = Failing(waits_for=0)
    all_days, received = collecting()
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repository(daily(handler, WEEK), all_days).materialize(partition_key=every_key(WEEK))
    assert isinstance(caught.value.__cause__, PermissionError)
    assert len(handler._ended) == len(DAYS_OF_WEEK) - 1
    assert received == []


# ------------------------------------------------------------------ missing keys


@pytest.fixture(params=["memory", "pickle", "raises FileNotFoundError"])
def handler(request, tmp_path):
    class KnowsNoBetter(Meeting):
        def load_input(self, context):
            try:
                return self._values[context.storage_key]
            except KeyError:
                raise FileNotFoundError(context.storage_key) from None

    return {
        "memory": rs.InMemoryIOHandler,
        "pickle": lambda: rs.PickleIOHandler(tmp_path),
        "raises FileNotFoundError": lambda: KnowsNoBetter(waits_for=0),
    }[request.param]()


def test_fan_in_names_missing_keys(repository, handler):
    all_days, received = collecting()
    repo = repository(daily(handler), all_days)
    repo.materialize(["day"], partition_key=Range.single("2024-01-01", "2024-02-28"))
    repo.materialize(["day"], partition_key=Range.single("2024-03-02", "2024-12-30"))
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.materialize(["all_days"])
    missing = caught.value.__cause__
    assert isinstance(missing, rs.exceptions.NotMaterializedError)
    assert (missing.asset_name, missing.partition) == ("day", "2024-02-29, 2024-03-01, 2024-12-31")
    assert "3 of the 366 partition keys that are needed: 2024-02-29, 2024-03-01, 2024-12-31" in str(missing)
    assert received == []


def test_fan_in_subset_has_stored_keys(repository, handler):
    all_days, received = collecting(Mapping.subset())
    repo = repository(daily(handler, WEEK), all_days)
    repo.materialize(["day"], partition_key=["2024-02-29", "2024-03-02"])
    repo.materialize(["all_days"])
    assert received == [{"2024-02-29": "of 2024-02-29", "2024-03-02": "of 2024-03-02"}]


def test_fan_in_subset_of_nothing_is_empty(repository, handler):
    all_days, received = collecting(Mapping.subset())
    repository(daily(handler, WEEK), all_days).materialize(["all_days"])
    assert received == [{}]


def test_fan_in_subset_raises_other_errors(repository):
    class Forbidden(Meeting):
        def load_input(self, context):
            raise PermissionError("not yours")

    all_days, received = collecting(Mapping.subset())
    repo = repository(daily(Forbidden(waits_for=0), WEEK), all_days)
    with pytest.raises(rs.exceptions.ExecutionError, match="not yours"):
        repo.materialize(["all_days"])
    assert received == []


def test_fan_in_loads_only_listed_keys(repository, handler):
    all_days, received = collecting(Mapping.for_keys(["2024-03-02", "2024-02-29"]))
    repo = repository(daily(handler, WEEK), all_days)
    repo.materialize(["day"], partition_key=["2024-02-29", "2024-03-02"])
    repo.materialize(["all_days"])
    assert list(received[0].items()) == [("2024-02-29", "of 2024-02-29"), ("2024-03-02", "of 2024-03-02")]


def test_fan_in_of_missing_listed_key(repository, handler):
    for_keys = Mapping.for_keys(["2024-02-29", "2024-03-02"])
    strict, _ = collecting(for_keys)
    repo = repository(daily(handler, WEEK), strict)
    repo.materialize(["day"], partition_key="2024-02-29")
    with pytest.raises(rs.exceptions.ExecutionError, match="1 of the 2 .*: 2024-03-02;"):
        repo.materialize(["all_days"])
    lenient, received = collecting(Mapping.subset(for_keys))
    repository(daily(handler, WEEK), lenient).materialize(["all_days"])
    assert received == [{"2024-02-29": "of 2024-02-29"}]


def test_fan_in_provenance_changes_with_any_key(repository):
    version = {"2024-02-29": "1"}

    @rs.Asset(partitions_def=WEEK)
    def day(context: rs.AssetExecutionContext):
        keys = context.partition.keys
        return rs.PartitionedOutput(
            {key: rs.Output(0, data_version=version.get(str(key), "0")) for key in keys}
        )

    all_days, _ = collecting()
    repo = repository(day, all_days)

    def provenance():
        repo.materialize(partition_key=every_key(WEEK))
        return repo.storage.get_latest_materialization("all_days").input_data_versions

    before = provenance()
    assert provenance() == before
    version["2024-02-29"] = "2"
    assert provenance() != before


@pytest.mark.parametrize("hint", [int, list[int], int | None])
def test_fan_in_refuses_annotation_of_one_value(hint):
    source = rs.Asset(lambda: 1, name="source", partitions_def=rs.PartitionsDefinition.static_(["a", "b"]))

    def total(source):
        return source

    total.__annotations__ = {"source": hint}
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        rs.CodeRepository([source, rs.Asset(total)], config=False).validate()
    assert all(fact in str(caught.value) for fact in ("'total'", "'source'", "dict[str, "))
