"""A program with every kind of definition, which mypy --strict and pyright accept in `make check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rivers as rs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Warehouse(rs.Resource):
    dsn: str = "local"

    def setup(self) -> None: ...


class Kept(rs.BaseIOHandler):
    def handle_output(self, context: rs.OutputContext, obj: object) -> None:
        context.add_output_metadata({"rows": 1, "at": rs.MetadataValue.url("https://example.org")})

    def load_input(self, context: rs.InputContext) -> object:
        return context.storage_key


@rs.Hook.failure
def page(context: rs.HookContext) -> None: ...


@rs.Asset
def orders() -> list[int]:
    return [1]


@rs.Asset(tags=["x"], kinds="k", io_handler=Kept(), hooks=[page], retry=rs.RetryPolicy(3))
def total(context: rs.AssetExecutionContext, orders: list[int], warehouse: Warehouse) -> rs.Output[int]:
    return rs.Output(sum(orders), metadata={"dsn": warehouse.dsn})


@rs.Asset(partitions_def=rs.PartitionsDefinition.daily("2024-01-01"))
def grown(context: rs.AssetExecutionContext[Warehouse], self: rs.SelfDependency[int]) -> int:
    return (self.get_inner() or 0) + len(context.config.dsn)


@rs.Asset.from_multi(output_defs=[rs.AssetDef("a"), rs.AssetDef("b")])
def both() -> Iterator[rs.Output]:
    yield rs.Output(1, output_name="a")


@rs.Asset
async def report(total: int) -> rs.Materialization:
    return rs.Materialization(metadata={"rows": total})


@rs.Task
def double(number: int) -> int:
    return 2 * number


@rs.Asset.from_graph(io_handler="memory")
def four(total: int) -> int:
    result: int = double(double(total))
    return result


@rs.Asset.external(name="raw", io_handler=rs.PickleIOHandler(store="memory:"))
def look() -> rs.Observation:
    return rs.Observation(metadata={"rows": 1})


repo = rs.CodeRepository(
    [orders, total, grown, both, report, four, look],
    tasks=[double],
    resources={"warehouse": Warehouse()},
    jobs=[rs.Job("daily", [orders])],
)
with repo:
    result = repo.materialize(["orders", total], partition_key="2024-01-01", tags=[("a", "b")])
    first: str = result.materialized_assets[0]
    names: dict[str, rs.Asset] = repo.assets
    state: str = repo.status()[0].state
    first_key: str | None = repo.status().ranges()[0].first
    one: rs.SingleAsset = orders
    many: rs.MultiAsset = both
    graph: rs.GraphAsset = four
    outside: rs.ExternalAsset = look
    try:
        repo.load_node("orders")
    except rs.exceptions.NotMaterializedError as error:
        print(error)
