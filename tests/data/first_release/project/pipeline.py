"""Pipeline of the recorded project: its assets, unchanged since their values were stored."""

from __future__ import annotations

from datetime import datetime

import polars as pl

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-04")
REGIONS = rs.PartitionsDefinition.static_(["eu", "us"])
CELLS = rs.PartitionsDefinition.multi({"day": DAYS, "region": REGIONS})


@rs.Asset(code_version="2")
def orders() -> rs.Output[list[int]]:
    return rs.Output(
        [30, 12],
        data_version="2024-06-01",
        tags={"source": "shop", "größe": "klein"},
        metadata={
            "text": "naïve ☃",
            "int": 2**40,
            "float": 0.1,
            "infinite": float("-inf"),
            "bool": True,
            "null": None,
            "url": rs.MetadataValue.url("https://example.com/orders?day=1"),
            "file": rs.MetadataValue.path("raw/orders.csv"),
            "json": rs.MetadataValue.json({"a": [1, None, {"b": "c"}]}),
            "md": rs.MetadataValue.md("# Orders"),
            "timestamp": rs.MetadataValue.timestamp(datetime(2024, 1, 31, 12, 30, 15, 123456)),
            "bytes": rs.MetadataValue.bytes(b"\x00\xff"),
            "duration": rs.MetadataValue.duration(1.000001),
            "sql": rs.MetadataValue.sql("SELECT 1", dialect="postgres"),
            "code": rs.MetadataValue.code_block("x = 1", language="python"),
            "image": rs.MetadataValue.image(b"\x89PNG\r\n"),
            "percentage": rs.MetadataValue.percentage(12.5),
            "list": rs.MetadataValue.list_([1, "two", rs.MetadataValue.null()]),
            "range": rs.MetadataValue.date_range("2024-01-01", "2024-01-31"),
            "schema": rs.MetadataValue.schema(pl.DataFrame({"id": [1]}).to_arrow().schema),
            "version": rs.MetadataValue.data_version("v1"),
        },
    )


@rs.Asset
def total(orders: list[int]) -> int:
    return sum(orders)


@rs.Asset(partitions_def=DAYS, io_handler="lake", metadata={"delta/partition_expr": "sold_at"})
def sales(context: rs.AssetExecutionContext) -> pl.DataFrame:
    start, end = context.partition_time_window
    times = pl.datetime_range(start, end, "8h", closed="left", eager=True)
    return pl.DataFrame({"sold_at": times}).with_columns(amount=pl.col("sold_at").dt.day().cast(pl.Float64))


@rs.Asset(partitions_def=DAYS)
def daily_revenue(sales: pl.DataFrame) -> float:
    return float(sales["amount"].sum())


@rs.Asset(
    partitions_def=DAYS,
    deps=[rs.AssetDef.input("running_total", partition_mapping=rs.PartitionMapping.time_window(-1))],
)
def running_total(daily_revenue: float, self: rs.SelfDependency[float]) -> float:
    return (self.get_inner() or 0.0) + daily_revenue


@rs.Asset(partitions_def=CELLS)
def cells(context: rs.AssetExecutionContext) -> str:
    return context.partition_key


@rs.Asset(partitions_def=rs.PartitionsDefinition.dynamic("customers"))
def profile(context: rs.AssetExecutionContext) -> str:
    return f"profile of {context.partition_key}"


@rs.Asset
def exported(total: int) -> rs.Materialization:
    return rs.Materialization(
        metadata={"sum": total}, data_version="export-1", tags=[("target", "mail"), ("target", "ftp")]
    )


@rs.Asset.external(name="bookings", io_handler="scratch")
def bookings() -> rs.Observation:
    return rs.Observation(metadata={"rows": 7}, data_version="b7")


@rs.Asset.from_multi(output_defs=[rs.AssetDef("low"), rs.AssetDef("high")])
def bounds(orders: list[int]) -> dict[str, int]:
    return {"low": min(orders), "high": max(orders)}


repo = rs.CodeRepository(
    [orders, total, sales, daily_revenue, running_total, cells, profile, exported, bookings, bounds],
    jobs=[rs.Job("nightly", [orders, total])],
)
