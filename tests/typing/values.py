"""Types of value classes, executors, plans, storages and test helpers; checked as `public_api.py` is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import rivers as rs
from rivers.storage import Event, EventStorage

key = rs.PartitionKey.single("a")
assert_type(key, rs.PartitionKey.Single)
assert_type(key.key, list[str])
assert_type(rs.PartitionKey.multi({"day": "d", "shop": ["a", "b"]}).keys, dict[str, list[str]])
assert_type(rs.PartitionKey.from_json(key.to_json()), rs.PartitionKey)
span: rs.PartitionKeyRange = rs.PartitionKeyRange.single(from_key="a", to_key="c")
assert_type(rs.PartitionKeyRange.multi({"shop": ["a"]}), rs.PartitionKeyRange.Multi)

days: rs.PartitionsDefinition = rs.PartitionsDefinition.daily("2024-01-01", "2024-02-01")
assert_type(days.get_partition_keys(), list[rs.PartitionKey])
assert_type(days.validate_partition_key(key), bool)
partition = rs.PartitionContext([key], days)
assert_type(partition.key, rs.PartitionKey)
assert_type(partition.time_window(), tuple[datetime, datetime] | None)
rs.PartitionedOutput({"a": 1})
rs.PartitionedOutput({key: 2})

loaded = rs.AssetDef.input("orders", metadata={"delta/version": 3})
assert_type(loaded, rs.DepDef)
assert_type(loaded.is_input, bool)

compute = rs.Compute(cpu="500m", memory="1Gi", gpu=1)
escalation = rs.ComputeEscalation(max_memory="8Gi", factor=2.0, on=[rs.FailureReason.OUT_OF_MEMORY])
policy = rs.RetryPolicy(2, retry_on=rs.RetryOn.TRANSIENT, escalate=escalation)
rs.RetryPolicy(2, retry_on=[ValueError, rs.FailureReason.TIMEOUT])
reason: str = rs.FailureReason.ERROR.value

in_process: rs.Executor = rs.Executor.in_process(io_threads=2)
parallel: rs.Executor = rs.Executor.parallel(max_workers=2)
print(isinstance(parallel, rs.Executor.Parallel), isinstance(in_process, rs.Executor.InProcess))


class Frame:
    def __arrow_c_schema__(self) -> object: ...


schema = rs.Schema.from_ipc(rs.Schema(Frame()).to_ipc())
assert_type(schema, rs.Schema)
assert_type(schema.names, list[str])
rs.MetadataValue.schema(schema)


class Database(rs.Resource):
    url: str = "sqlite://"

    def setup(self) -> None: ...


@rs.Task
def numbers() -> list[int]:
    return [1]


@rs.Task
def double(x: int) -> int:
    return 2 * x


@rs.Asset.from_graph
def doubled() -> int:
    node: Any = numbers()
    if isinstance(node, rs.InvokedNodeOutput):
        print(node.node_name, node.output_name)
    return double(3)


@rs.Asset(compute=compute, retry=policy, timeout=60)
def orders(context: rs.AssetExecutionContext) -> rs.Output[int]:
    context.add_output_metadata({"rows": 1})
    return rs.Output(1, tags=["raw"])


@rs.Asset
def elsewhere() -> rs.Materialization:
    return rs.Materialization(metadata={"rows": 1}, data_version="2")


storage = rs.Storage.memory()
assert_type(storage, EventStorage)
assert_type(storage.get_events_for_asset("orders"), list[Event])
repo = rs.CodeRepository(
    [orders, elsewhere, doubled], resources={"db": Database()}, default_executor=parallel
)
repo.resolve(storage)
result = repo.materialize()
assert_type(result, rs.RunResult)
assert_type(result.failed_assets, list[tuple[str, str]])
plan = repo.materialize(dry_run=True)
assert_type(plan, rs.RunPlan)
assert_type(plan.steps[0].why, str)
status = repo.status()
assert_type(status, rs.StatusList)
assert_type(status[0], rs.AssetStatus)
assert_type(status.ranges(), list[rs.StatusRange])
layered: rs.BaseIOHandler = rs.OverlayIOHandler(
    top=rs.InMemoryIOHandler(), base=rs.DeltaIOHandler("s3://b/lake")
)

context = rs.testing.build_asset_context("orders", partition_key="2024-01-01", partitions_def=days)
assert_type(context, rs.AssetExecutionContext[Any])
assert_type(rs.testing.memory_storage(), EventStorage)
assert_type(rs.testing.embedded_storage(Path("log")), EventStorage)
assert_type(rs.testing.materialize_to_memory([orders]).success, bool)
try:
    repo.get_job("nightly").execute(timeout=60)
except rs.exceptions.NodeNotFoundError:
    raise rs.exceptions.RiversError("no such job") from None
