"""Through a whole pipeline: types from annotations, partitions, refusals before anything runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import rivers as rs
from rivers.exceptions import ExecutionError, GraphValidationError, NotMaterializedError

DAYS = rs.PartitionsDefinition.daily(datetime(2024, 1, 1), datetime(2024, 1, 4))
BY_DAY = {"delta/partition_expr": "t"}


@pytest.fixture
def lake(tmp_path):
    return rs.DeltaIOHandler(table_uri=str(tmp_path / "lake"))


def test_pipeline_loads_what_each_asset_asks_for(lake):
    seen = {}

    @rs.Asset(io_handler=lake)
    def orders() -> pl.DataFrame:
        return pl.DataFrame({"id": [1, 2], "amount": [10.0, 20.0]})

    @rs.Asset(io_handler=lake)
    def total(orders: pl.LazyFrame) -> pa.Table:
        seen["total"] = type(orders)
        return orders.select(pl.col("amount").sum()).collect().to_arrow()

    @rs.Asset(io_handler=lake)
    def report(total) -> pl.DataFrame:
        seen["report"] = type(total)
        return pl.DataFrame(total)

    with rs.CodeRepository([orders, total, report], config=False) as repo:
        assert repo.materialize().success
        assert seen == {"total": pl.LazyFrame, "report": pa.Table}
        event = repo.storage.get_latest_materialization("orders")
        assert dict(event.metadata)["delta/num_rows"] == "2"
        table = DeltaTable(lake.address("orders", None))
        assert event.data_version == f"{table.metadata().id}@0"
        assert repo.load_node("report", type_hint=pl.DataFrame)["amount"].to_list() == [30.0]


def test_pipeline_partitions_single_and_batched(lake):
    @rs.Asset(io_handler=lake, partitions_def=DAYS, metadata=BY_DAY)
    def events(context: rs.AssetExecutionContext) -> pl.DataFrame:
        start, end = context.partition_time_window
        days = [start + timedelta(days=n) for n in range((end - start).days)]
        return pl.DataFrame({"t": days, "n": [1] * len(days)})

    @rs.Asset(io_handler=lake)
    def counted(events: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"rows": [events.height]})

    with rs.CodeRepository([events, counted], config=False) as repo:
        repo.materialize(["events"], partition_key=rs.PartitionKey.single("2024-01-01"))
        with pytest.raises(ExecutionError) as failure:
            repo.materialize(["counted"])
        assert isinstance(failure.value.__cause__, NotMaterializedError)
        repo.materialize(["events"], partition_key=rs.PartitionKey.single(["2024-01-02", "2024-01-03"]))
        assert repo.materialize(["counted"]).success
        assert repo.load_node("counted", type_hint=pl.DataFrame)["rows"].to_list() == [3]
        loaded = repo.load_node(
            "events", partition_key=rs.PartitionKey.single("2024-01-03"), type_hint=pl.DataFrame
        )
        assert loaded["t"].to_list() == [datetime(2024, 1, 3)]


def test_pipeline_reads_version_and_columns(lake):
    turn = iter([1, 2])

    @rs.Asset(io_handler=lake)
    def numbers() -> pl.DataFrame:
        return pl.DataFrame({"n": [next(turn)], "more": ["x"]})

    @rs.Asset(
        io_handler=lake,
        deps=[rs.AssetDef.input("numbers", metadata={"delta/version": 0, "delta/columns": ["n"]})],
    )
    def first(numbers: pl.DataFrame) -> pl.DataFrame:
        return numbers

    with rs.CodeRepository([numbers, first], config=False) as repo:
        repo.materialize(["numbers"])
        repo.materialize()
        assert repo.load_node("first", type_hint=pl.DataFrame).to_dict(as_series=False) == {"n": [1]}
        assert repo.load_node("numbers", type_hint=pl.DataFrame)["n"].to_list() == [2]


def test_pipeline_self_dependency(lake):
    @rs.Asset(io_handler=lake)
    def counter(self: rs.SelfDependency[pl.DataFrame]) -> pl.DataFrame:
        before = self.get_inner()
        return pl.DataFrame({"n": [1 if before is None else before["n"][0] + 1]})

    with rs.CodeRepository([counter], config=False) as repo:
        for _ in range(3):
            repo.materialize()
        assert repo.load_node("counter", type_hint=pl.DataFrame)["n"].to_list() == [3]


def test_pipeline_reports_problems_at_resolve(lake):
    @rs.Asset(io_handler=lake, metadata={"delta/mdoe": "append"})
    def misspelt() -> pl.DataFrame:
        raise AssertionError("never run")

    @rs.Asset(io_handler=lake)
    def no_table() -> int:
        raise AssertionError("never run")

    @rs.Asset(io_handler=lake, metadata={"delta/root_name": "no_table"})
    def same_table() -> pl.DataFrame:
        raise AssertionError("never run")

    with pytest.raises(GraphValidationError) as failure:
        rs.CodeRepository([misspelt, no_table, same_table], config=False).validate()
    message = str(failure.value)
    assert "Did you mean 'delta/mode'?" in message
    assert "'no_table': returns int" in message
    assert "'no_table' and 'same_table'" in message


def test_pipeline_retry_duplicates_no_row(lake, monkeypatch):
    real, failures = rs.DeltaIOHandler.handle_output, [1]

    def acknowledged_too_late(self, context, obj):
        real(self, context, obj)
        if failures:
            failures.pop()
            raise ConnectionError("the answer got lost")

    monkeypatch.setattr(rs.DeltaIOHandler, "handle_output", acknowledged_too_late)

    @rs.Asset(io_handler=lake, metadata={"delta/mode": "append"}, retry=rs.RetryPolicy(max_retries=2))
    def log() -> pl.DataFrame:
        return pl.DataFrame({"n": [1]})

    with rs.CodeRepository([log], config=False) as repo:
        assert repo.materialize().success
        assert repo.load_node("log", type_hint=pl.DataFrame).height == 1
        repo.materialize()
        assert repo.load_node("log", type_hint=pl.DataFrame).height == 2


THREE_DAYS = rs.PartitionKeyRange.single("2024-01-01", "2024-01-03")


def rows_of_first_day(context: rs.AssetExecutionContext) -> pl.DataFrame:
    start = context.partition.time_window()[0]
    return pl.DataFrame({"t": [start, start + timedelta(hours=1)], "n": [start.day] * 2})


def test_pipeline_range_stores_rows_of_each_key(lake):
    @rs.Asset(io_handler=lake, partitions_def=DAYS, metadata=BY_DAY)
    def hits(context: rs.AssetExecutionContext) -> pl.DataFrame:
        start = context.partition_time_window[0]
        return pl.DataFrame({"t": [start, start + timedelta(hours=1)], "n": [start.day] * 2})

    with rs.CodeRepository([hits], config=False) as repo:
        assert repo.materialize(partition_key=THREE_DAYS).success
        for day in (1, 2, 3):
            frame = repo.load_node("hits", partition_key=f"2024-01-0{day}", type_hint=pl.DataFrame)
            assert frame["n"].to_list() == [day, day]


@pytest.mark.parametrize("mode", ["overwrite", "append", "error", "merge"])
def test_pipeline_batch_without_rows_of_a_key_is_refused(lake, mode, tmp_path):
    metadata = {**BY_DAY, "delta/mode": mode, "delta/merge_predicate": "s.t = t.t"}
    if mode != "merge":
        del metadata["delta/merge_predicate"]
    hits = rs.Asset(
        name="hits", io_handler=lake, partitions_def=DAYS, metadata=metadata, partition_batches=True
    )(rows_of_first_day)
    with rs.CodeRepository([hits], config=False) as repo:
        with pytest.raises(ExecutionError, match=r"2 of the 3 partition keys .*2024-01-02, 2024-01-03"):
            repo.materialize(partition_key=THREE_DAYS)
        assert repo.storage.get_materialized_partitions("hits") == []
        with pytest.raises(NotMaterializedError):
            repo.load_node("hits", partition_key="2024-01-01", type_hint=pl.DataFrame)


def test_pipeline_batch_allows_empty_keys_if_declared(lake):
    hits = rs.Asset(
        name="hits", io_handler=lake, partitions_def=DAYS, metadata=BY_DAY, partition_batches="allow_empty"
    )(rows_of_first_day)
    with rs.CodeRepository([hits], config=False) as repo:
        assert repo.materialize(partition_key=THREE_DAYS).success
        assert repo.load_node("hits", partition_key="2024-01-02", type_hint=pl.DataFrame).height == 0


def test_pipeline_batch_states_empty_keys(lake):
    @rs.Asset(io_handler=lake, partitions_def=DAYS, metadata=BY_DAY, partition_batches=True)
    def hits(context: rs.AssetExecutionContext):
        rows = rows_of_first_day(context)
        return rs.PartitionedOutput(
            {key: rows if str(key) == "2024-01-01" else rows.clear() for key in context.partition.keys}
        )

    with rs.CodeRepository([hits], config=False) as repo:
        assert repo.materialize(partition_key=THREE_DAYS).success
        assert len(repo.storage.get_materialized_partitions("hits")) == 3
