"""Types that checkers infer from the public API; `make check` runs mypy --strict and pyright on this file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator  # noqa: TC003
from datetime import datetime
from typing import Any, assert_type

from pydantic import BaseModel, SecretStr

import rivers as rs


class Settings(BaseModel):
    limit: int = 3


@rs.Asset
def orders() -> list[int]:
    return [1]


@rs.Asset(tags=["daily"], kinds="table")
def total(orders: list[int], scale: float = 1.0) -> float:
    return sum(orders) * scale


@rs.Asset
async def report(total: float) -> str:
    return f"{total}"


@rs.Asset.from_multi(output_defs=[rs.AssetDef("a"), rs.AssetDef("b", type_hint=int)])
def both(orders: list[int]) -> Iterator[rs.Output[int]]:
    yield rs.Output(1, output_name="a")


@rs.Asset(partitions_def=rs.PartitionsDefinition.monthly("2024-01"))
def monthly(context: rs.AssetExecutionContext[Settings], self: rs.SelfDependency[int]) -> int:
    assert_type(context.config, Settings)
    assert_type(context.partition_time_window, tuple[datetime, datetime])
    assert_type(context.partition_key, str)
    return self.get_inner() or context.config.limit


@rs.Asset.external(name="raw", io_handler=rs.PickleIOHandler(store="memory:"))
def look() -> rs.Observation:
    return rs.Observation(metadata={"rows": 1})


@rs.Task
def double(x: int) -> int:
    return 2 * x


@rs.Task(retry=rs.RetryPolicy(3, backoff=rs.Backoff.exponential(1, max_delay=60)))
def add(numbers: list[int]) -> int:
    return sum(numbers)


@rs.Task
def numbers() -> list[int]:
    return [1]


@rs.Task
def named() -> Iterator[rs.DynamicOutput[int]]:
    yield rs.DynamicOutput("q1", 1)


@rs.Task
def scaled(context: rs.TaskExecutionContext, x: int) -> float:
    return x / 2


@rs.Task
def two() -> list[rs.DynamicOutput[str]]:
    return [rs.DynamicOutput("a", "x"), rs.DynamicOutput("b", "yy")]


@rs.Task
def counted(context: rs.TaskExecutionContext, count: int) -> list[int]:
    return [*range(count)]


@rs.Task
def length(text: str) -> int:
    return len(text)


@rs.Task
def streamed(values: Iterator[float]) -> float:
    return sum(values)


@rs.Task
async def streamed_async(values: AsyncIterator[float]) -> float:
    return sum([value async for value in values])


@rs.Asset.from_graph(node_io_handler="memory")
def graph(orders: list[int]) -> int:
    assert_type(numbers().map(double).collect(), list[int])
    assert_type(named().map(double, max_concurrency=2).collect(), list[int])
    streamed(named().map(scaled).collect_stream(ordered=True))
    _ = streamed_async(named().map(scaled).collect_stream())
    assert_type(scaled(3), float)
    assert_type(two().map(length).collect(), list[int])
    assert_type(counted(3).map(double).collect(), list[int])
    return double(add(orders))


@rs.Hook.failure(name="page")
def page(context: rs.HookContext[Settings]) -> None:
    assert_type(context.config, Settings)
    assert_type(context.error, str | None)


@rs.Hook.success
def stored(context: rs.HookContext) -> None: ...


class Kept(rs.BaseIOHandler):
    locality = "process"

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None: ...

    def load_input(self, context: rs.InputContext) -> Any: ...


assert_type(orders(), list[int])
assert_type(total([1], scale=2.0), float)
assert_type(double(2), int)
assert_type(scaled(rs.TaskExecutionContext("scaled"), 3), float)
texts: list[rs.DynamicOutput[str]] = two()
plain: list[int] = numbers()
assert_type(page, rs.Hook.Failure)
assert_type(stored, rs.Hook.Success)

single: rs.SingleAsset = total
multi: rs.MultiAsset = both
graphed: rs.GraphAsset = graph
external: rs.ExternalAsset = look
command: rs.BashTask = rs.BashTask("list", ["ls"], env={"A": "b"})
task: rs.Task = double
everything: list[rs.Asset] = [orders, total, report, both, monthly, look, graph]

function: Callable[[int], int] = double
tables: rs.BaseIOHandler = rs.ParquetIOHandler("./tables", compression="zstd", fsync=True)
documents: rs.BaseIOHandler = rs.JsonIOHandler("./documents", indent=2, storage_options={"max_retries": 3})
pickled: rs.BaseIOHandler = rs.PickleIOHandler(
    "memory:", prefix="x", signing_key=SecretStr("0123456789abcdef"), fsync=True
)
signed: rs.BaseIOHandler = rs.PickleIOHandler(
    store="memory:", signing_key="0123456789abcdef", storage_options={"region": "eu"}
)
from_environment: rs.BaseIOHandler = rs.PickleIOHandler()
memory: rs.BaseIOHandler = rs.InMemoryIOHandler()
lake: rs.BaseIOHandler = rs.DeltaIOHandler("s3://b/lake", mode="append", schema_mode="merge")
kept: rs.BaseIOHandler = Kept()

mapping: rs.PartitionMapping = rs.PartitionMapping.multi({"a": ("b", rs.PartitionMapping.time_window(-1))})
isinstance(mapping, rs.PartitionMapping.Multi)

repo = rs.CodeRepository(everything, tasks=[command], jobs=[rs.Job("daily", [orders, "total"])])
assert_type(repo.load_node("total", type_hint=float), float)
assert_type(repo.load_node("total"), Any)
maybe: Any = repo.load_node(total, type_hint=int | None)
result = repo.materialize(["orders", total], partition_key="2024-01", tags=[("a", "b")])
assert_type(result.materialized_assets, list[str])
