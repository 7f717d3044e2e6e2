"""Pipelines with a step of every kind, which all executors must treat alike. Workers import this module."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pyarrow as pa

import rivers as rs
from rivers.exceptions import NotMaterializedError

DAYS = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-04")


class ShelfIOHandler(rs.BaseIOHandler):
    """A third party's handler: declares nothing."""

    folder: str

    def handle_output(self, context, obj):
        Path(self.folder, context.storage_key.replace("/", "-")).write_bytes(pickle.dumps(obj))
        context.add_output_metadata({"shelf": "a"})

    def load_input(self, context):
        try:
            return pickle.loads(Path(self.folder, context.storage_key.replace("/", "-")).read_bytes())
        except FileNotFoundError as error:
            raise NotMaterializedError(context.asset_name) from error


def table(*values):
    return pa.table({"x": list(values)})


def rows(value):
    return value["x"].to_pylist()


def pipeline(handler, notes):
    """Return assets of every kind that the executors must treat alike."""

    @rs.Asset(io_handler=handler, code_version="1", tags=["raw"])
    def one(context: rs.AssetExecutionContext) -> pa.Table:
        context.add_output_metadata({"rows": 2})
        return table(1, 2)

    @rs.Asset(io_handler=handler)
    def left(one: pa.Table) -> pa.Table:
        return table(*rows(one), 3)

    @rs.Asset(io_handler=handler)
    async def right(one: pa.Table) -> pa.Table:
        await asyncio.sleep(0)
        return table(*rows(one), 4)

    @rs.Asset(io_handler=handler)
    def diamond(left: pa.Table, right: pa.Table) -> pa.Table:
        return table(*rows(left), *rows(right))

    @rs.Asset.from_multi(io_handler=handler, output_defs=[rs.AssetDef("low"), rs.AssetDef("high")])
    def split(diamond: pa.Table):
        yield rs.Output(table(min(rows(diamond))), output_name="low", data_version="low-1")
        yield rs.Output(table(max(rows(diamond))), output_name="high", metadata={"kind": "max"})

    @rs.Asset(io_handler=handler)
    def elsewhere(low: pa.Table) -> rs.Materialization:
        return rs.Materialization(metadata={"table": "db.low"}, data_version="v7")

    @rs.Asset(io_handler=handler)
    def total(high: pa.Table, self: rs.SelfDependency[pa.Table]) -> pa.Table:
        before = self.get_inner()
        return table((0 if before is None else rows(before)[0]) + rows(high)[0])

    @rs.Asset(io_handler=handler, retry=rs.RetryPolicy(2))
    def flaky(one: pa.Table) -> pa.Table:
        attempts = len(list(notes.iterdir()))
        (notes / f"{attempts}").touch()
        if attempts < 1:
            raise ConnectionError("busy")
        return table(attempts)

    @rs.Asset(io_handler=handler)
    def failing(one: pa.Table) -> pa.Table:
        raise ValueError("bad rows")

    @rs.Asset(io_handler=handler)
    def behind(failing: pa.Table) -> pa.Table:
        return failing

    return [one, left, right, diamond, split, elsewhere, total, flaky, failing, behind]


def partitioned(handler):
    metadata = {"delta/partition_expr": "day"} if type(handler).__name__ == "DeltaIOHandler" else {}

    @rs.Asset(io_handler=handler, partitions_def=DAYS, metadata=metadata)
    def daily(context: rs.AssetExecutionContext) -> pa.Table:
        day = context.partition_key
        return pa.table({"x": [int(day[-2:])], "day": [day]})

    @rs.Asset(io_handler=handler, partitions_def=DAYS, metadata=metadata)
    def doubled(daily: pa.Table) -> pa.Table:
        return daily.set_column(daily.column_names.index("x"), "x", [[2 * x for x in rows(daily)]])

    @rs.Asset(io_handler=handler)
    def merged(doubled: dict[str, pa.Table]) -> pa.Table:
        return table(*(x for value in doubled.values() for x in rows(value)))

    @rs.Asset(io_handler=handler, partitions_def=DAYS, metadata=metadata, partition_batches=True)
    def batched(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
        days = [str(key) for key in context.partition.keys]
        return rs.PartitionedOutput({day: pa.table({"x": [len(days)], "day": [day]}) for day in days})

    return [daily, doubled, merged, batched]


def fanned_out(handler, shelf):
    """Return a graph that maps a task over keyed elements, and a multi-asset that only observes an output."""

    @rs.Task(io_handler=shelf)
    def sizes() -> list[rs.DynamicOutput[int]]:
        return [rs.DynamicOutput("small", 1), rs.DynamicOutput("large", 5)]

    @rs.Task
    def grown(size: int) -> pa.Table:
        return table(size, size + 1)

    @rs.Task
    def joined(tables: list[pa.Table]) -> pa.Table:
        return table(*(x for value in tables for x in rows(value)))

    @rs.Asset.from_graph(io_handler=handler, node_io_handler=handler)
    def fanned():
        return joined(sizes().map(grown).collect())

    @rs.Asset.from_multi(io_handler=handler, output_defs=[rs.AssetDef("kept"), rs.AssetDef("watched")])
    def both(fanned: pa.Table):
        yield rs.Output(fanned, output_name="kept")
        yield rs.Observation(output_name="watched", metadata={"rows": 4}, data_version="v7")

    return [fanned, both]


def run(handler, executor, notes):
    """Return the values and the events of a run that collects failures, and of one over partitions."""
    notes.mkdir()
    values, events = {}, []
    shelf = ShelfIOHandler(folder=str(notes.with_suffix(".shelf")))
    Path(shelf.folder).mkdir()
    assets = [*pipeline(handler, notes), *partitioned(handler), *fanned_out(handler, shelf)]
    with rs.CodeRepository(assets, config=False) as repo:
        first = [
            "one",
            "left",
            "right",
            "diamond",
            "split",
            "elsewhere",
            "total",
            "flaky",
            "failing",
            "behind",
        ]
        results = [
            repo.materialize(first, executor=executor, raise_on_error=False),
            repo.materialize(
                ["daily", "doubled", "batched"], partition_key=["2024-01-01", "2024-01-03"], executor=executor
            ),
            repo.materialize("merged", executor=executor, raise_on_error=False),
            repo.materialize(["fanned", "both"], executor=executor),
        ]
        for name in ("one", "left", "right", "diamond", "low", "high", "total", "flaky", "fanned", "kept"):
            values[name] = rows(repo.load_node(name, type_hint=pa.Table))
        for key in ("2024-01-01", "2024-01-03"):
            for name in ("doubled", "batched"):
                values[name, key] = rows(repo.load_node(name, partition_key=key, type_hint=pa.Table))
        for result in results:
            events += [shown(event) for event in repo.storage.get_events_for_run(result.run_id)]
        outcomes = [
            (sorted(result.materialized_assets), sorted(result.failed_assets), sorted(result.skipped_assets))
            for result in results
        ]
    return values, sorted(events), outcomes


def shown(event):
    """Return what must be equal for two runs of one pipeline, as text."""
    fixed = event.data_version if event.data_version in ("low-1", "v7") else event.data_version is not None
    names = sorted(name for name, _ in event.metadata)
    inputs = sorted(name for name, _ in event.input_data_versions)
    message = None if event.message is None else event.message.split("\n")[0].replace(event.run_id, "RUN")
    return repr(
        (event.event_type, event.asset_key or "", event.partition_key or "", fixed, names, inputs, event.code_version,
         list(event.tags), event.handler, event.step, event.attempt, message)
    )  # fmt: skip
