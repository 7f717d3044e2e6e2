"""Partitions: one file each, several loaded as one value."""

from __future__ import annotations

from datetime import date, datetime

import arro3.core
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import rivers as rs
from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import (
    AssetOutputValidationError,
    IntegrityError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
)
from rivers_parquet import ParquetIOHandler
from rivers_parquet.files import open_local
from tests.test_parquet.support import facts

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


def as_kind(frame, kind):
    """Return a polars frame as another frame type."""
    if kind is pl.LazyFrame:
        return frame.lazy()
    if kind is pd.DataFrame:
        return frame.to_pandas()
    if kind is pa.RecordBatchReader:
        return frame.to_arrow().to_reader(max_chunksize=2)
    if kind is pa.Table:
        return frame.to_arrow()
    return frame if kind is pl.DataFrame else arro3.core.Table.from_arrow(frame)


def store_days(tables):
    for number, day in enumerate(DAYS):
        tables.store(pl.DataFrame({"day": [day] * 2, "n": [number, 10 + number]}), keys=day)


def test_partitions_are_separate_files(tables):
    store_days(tables)
    assert tables.file("asset/2024-01-02/data.parquet").exists()
    assert tables.load(pl.DataFrame, keys="2024-01-02")["n"].to_list() == [1, 11]
    tables.handler.delete(tables.asked(keys="2024-01-02"))
    assert not tables.handler.exists(tables.asked(keys="2024-01-02"))
    assert tables.handler.exists(tables.asked(keys=["2024-01-01", "2024-01-03"]))
    assert not tables.handler.exists(tables.asked(keys=DAYS))


@pytest.mark.parametrize(
    "hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pd.DataFrame, pa.RecordBatchReader, ds.Dataset]
)
def test_several_partitions_are_one_value(tables, hint):
    store_days(tables)
    loaded = tables.load(hint, keys=DAYS)
    if isinstance(loaded, pl.LazyFrame):
        loaded = loaded.collect()
    if isinstance(loaded, pa.RecordBatchReader):
        loaded = loaded.read_all()
    if isinstance(loaded, ds.Dataset):
        loaded = loaded.to_table()
    column = loaded["n"]
    assert (column.to_pylist() if isinstance(loaded, pa.Table) else list(column)) == [0, 10, 1, 11, 2, 12]


def test_several_partitions_push_predicates_down(tables):
    store_days(tables)
    frame = tables.load(pl.LazyFrame, keys=DAYS).filter(pl.col("n") == 11).select("day")
    plan = frame.explain()
    assert "PROJECT" in plan
    assert "SELECTION" in plan
    assert frame.collect()["day"].to_list() == ["2024-01-02"]


def test_missing_partition_is_named(tables):
    store_days(tables)
    with pytest.raises(NotMaterializedError, match="2024-01-09"):
        tables.load(pl.LazyFrame, keys=["2024-01-01", "2024-01-09"])


def test_damaged_partition_is_named(tables):
    store_days(tables)
    tables.file("asset/2024-01-02/data.parquet").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="2024-01-02"):
        tables.load(pa.Table, keys=DAYS)


@pytest.mark.parametrize("hint", [pl.DataFrame, pa.Table, pa.RecordBatchReader])
def test_columns_added_later_are_null_before(tables, hint):
    tables.store(pl.DataFrame({"n": [1]}), keys="a")
    tables.store(pl.DataFrame({"n": [2], "m": ["x"]}), keys="b")
    loaded = tables.load(hint, keys=["a", "b"])
    if isinstance(loaded, pa.RecordBatchReader):
        loaded = loaded.read_all()
    assert pa.table(loaded).to_pydict() == {"n": [1, 2], "m": [None, "x"]}


def test_partitions_of_other_types_are_refused(tables):
    tables.store(pl.DataFrame({"n": [1]}), keys="a")
    tables.store(pl.DataFrame({"n": ["x"]}), keys="b")
    with pytest.raises(RiversError, match=r"column 'n'.*partition 'b'.*partition 'a'"):
        tables.load(pl.LazyFrame, keys=["a", "b"])


def test_value_without_key_column_is_refused(tables):
    with pytest.raises(PartitionValidationError, match=r"parquet/partition_expr.*PartitionedOutput"):
        tables.store(pl.DataFrame({"n": [1]}), keys=["a", "b"])


@pytest.mark.parametrize(
    "kind", [pl.DataFrame, pl.LazyFrame, pa.Table, pd.DataFrame, pa.RecordBatchReader, arro3.core.Table]
)
def test_value_is_split_by_column(tables, kind):
    context = tables.store(
        as_kind(pl.DataFrame({"k": ["b", "a", "b"], "n": [1, 2, 3]}), kind),
        keys=["a", "b"],
        partition_expr="k",
    )
    assert context.registered_partitions == {"a", "b"}
    assert facts(context)["parquet/num_rows"] == 3
    assert tables.load(pl.DataFrame, keys="a").rows() == [("a", 2)]
    assert tables.load(pl.DataFrame, keys="b").rows() == [("b", 1), ("b", 3)]
    assert type(tables.load(keys="a")) is kind


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["2024-01-02", "2024-01-01"]),
        pl.Series(["2024-01-02", "2024-01-01"], dtype=pl.Categorical),
        pl.Series(["2024-01-02", "2024-01-01"], dtype=pl.Enum(["2024-01-02", "2024-01-01"])),
        pl.Series([date(2024, 1, 2), date(2024, 1, 1)]),
        pl.Series([datetime(2024, 1, 2, 23, 59), datetime(2024, 1, 1)]),
        pl.Series([datetime(2024, 1, 2, 23, 59), datetime(2024, 1, 1)]).dt.replace_time_zone("Asia/Tokyo"),
    ],
    ids=lambda column: str(column.dtype),
)
@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table])
def test_value_is_split_by_windows(tables, column, kind):
    frame = pl.DataFrame({"at": column, "n": [2, 1]})
    days = rs.PartitionsDefinition.daily(datetime(2024, 1, 1), datetime(2024, 1, 4))
    partition = rs.PartitionContext(list(map(rs.PartitionKey, DAYS[:2])), days)
    context = OutputContext("asset", {"parquet/partition_expr": "at"}, partition)
    tables.handler.handle_output(context, as_kind(frame, kind))
    assert tables.load(pl.DataFrame, keys=DAYS[0]).equals(frame[1:])
    assert tables.load(pl.DataFrame, keys=DAYS[1]).equals(frame[:1])
    assert tables.load(pl.DataFrame, keys=DAYS[:2]).equals(frame[::-1])


def test_value_is_split_by_dimensions(tables):
    keys = [rs.PartitionKey.multi({"r": r, "day": day}) for r, day in [("eu", "1"), ("us", "1"), ("us", "2")]]
    frame = pl.DataFrame({"region": ["us", "eu", "us"], "day": [2, 1, 1], "n": [1, 2, 3]})
    options = {"parquet/partition_expr": '{"r": "region", "day": "day"}'}
    tables.handler.handle_output(OutputContext("asset", options, rs.PartitionContext(keys)), frame)
    for key, n in zip(keys, [2, 3, 1], strict=True):
        context = InputContext("asset", "next", options, rs.PartitionContext([key]), pl.DataFrame)
        assert tables.handler.load_input(context)["n"].to_list() == [n]
    missing = pl.DataFrame({"region": ["eu"], "day": [2], "n": [1]})
    with pytest.raises(AssetOutputValidationError, match="'eu'"):
        tables.handler.handle_output(OutputContext("asset", options, rs.PartitionContext(keys)), missing)


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table])
@pytest.mark.parametrize("foreign", ["c", None])
def test_row_of_other_partition_is_refused(tables, kind, foreign):
    tables.store(pl.DataFrame({"k": ["a"], "n": [1]}), keys="a")
    with pytest.raises(AssetOutputValidationError, match=f"{foreign!r} in column 'k'"):
        tables.store(
            as_kind(pl.DataFrame({"k": ["a", "b", foreign], "n": [2, 3, 4]}), kind),
            keys=["a", "b"],
            partition_expr="k",
        )
    assert tables.load(pl.DataFrame, keys="a")["n"].to_list() == [1]
    assert not tables.handler.exists(tables.asked(keys="b"))


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table])
def test_key_without_rows_is_refused_or_empty(tables, kind):
    frame = as_kind(pl.DataFrame({"k": ["a"], "n": [1]}), kind)
    options = {"parquet/partition_expr": "k"}
    context = OutputContext("asset", options, rs.PartitionContext(list(map(rs.PartitionKey, "ab"))))
    context.allows_empty_partitions = False
    with pytest.raises(AssetOutputValidationError, match="1 of the 2"):
        tables.handler.handle_output(context, frame)
    assert not tables.handler.exists(tables.asked(keys="a"))
    context.allows_empty_partitions = True
    tables.handler.handle_output(context, frame)
    assert tables.load(pl.DataFrame, keys="b").schema == {"k": pl.String, "n": pl.Int64}


@pytest.mark.parametrize(
    ("frame", "expr", "word"),
    [
        (pl.DataFrame({"n": [1.5]}), "n", "'n' has type double"),
        (pl.DataFrame({"n": [1]}), "n", "'n'"),
        (pl.DataFrame({"n": [1]}), "m", "'m'"),
        (pl.DataFrame({"n": ["a"], "m": ["a"]}), {"x": "n", "y": "m"}, "one dimension"),
    ],
)
def test_column_that_cannot_hold_key_is_refused(tables, frame, expr, word):
    with pytest.raises(PartitionValidationError, match=word):
        tables.store(frame, keys=["a", "b"], partition_expr=expr)


def test_failed_part_keeps_all_partitions(tables):
    tables.store(pl.DataFrame({"k": ["a", "b"], "n": [1, 1]}), keys=["a", "b"], partition_expr="k")
    objects = tables.handler.objects
    staged = []

    def target(path, condition=None):
        staged.append(path)
        if len(staged) == 2:
            raise OSError("disk full")
        return type(objects).target(objects, path, condition)

    object.__setattr__(objects, "target", target)
    with pytest.raises(RiversError, match="disk full"):
        tables.store(pl.DataFrame({"k": ["a", "b"], "n": [2, 2]}), keys=["a", "b"], partition_expr="k")
    assert tables.load(pl.DataFrame, keys=["a", "b"])["n"].to_list() == [1, 1]


def test_batch_versions_are_those_of_files(tmp_path):
    letters = rs.PartitionsDefinition.static_(["a", "b"])
    options = {"parquet/partition_expr": "k"}
    handler = ParquetIOHandler(tmp_path)

    @rs.Asset(io_handler=handler, partitions_def=letters, partition_batches=True, metadata=options)
    def parts() -> pl.DataFrame:
        return pl.DataFrame({"k": ["a", "b", "b"], "n": [1, 2, 3]})

    @rs.Asset(io_handler=handler)
    def total(parts: pl.DataFrame) -> pl.DataFrame:
        return parts.select(pl.col("n").sum())

    with rs.CodeRepository([parts, total], config=False) as repo:
        repo.materialize("parts", partition_key=["a", "b"])
        events = [repo.storage.get_latest_materialization("parts", key) for key in "ab"]
        files = [
            file.verify()
            for file in (open_local(str(tmp_path / f"parts/{key}/data.parquet"), "") for key in "ab")
        ]
        assert [event.data_version for event in events] == files
        repo.materialize("total")
        assert {status.state for status in repo.status(verify=True)} == {"fresh"}
        repo.materialize("parts", partition_key=["a", "b"])
        assert {status.state for status in repo.status(verify=True)} == {"fresh"}


def test_fan_in_is_one_lazy_frame(tmp_path):
    handler = ParquetIOHandler(tmp_path)
    keys = rs.PartitionsDefinition.static_(["a", "b"])

    @rs.Asset(io_handler=handler, partitions_def=keys)
    def parts(context: rs.AssetExecutionContext) -> pl.DataFrame:
        return pl.DataFrame({"key": [context.partition_key]})

    @rs.Asset(io_handler=handler)
    def joined(parts: pl.LazyFrame) -> pl.LazyFrame:
        return parts.filter(pl.col("key") == "b")

    @rs.Asset(io_handler=handler)
    def counts(parts: dict[str, pl.DataFrame]) -> pl.DataFrame:
        return pl.DataFrame({"key": list(parts), "rows": [frame.height for frame in parts.values()]})

    with rs.CodeRepository([parts, joined, counts], config=False) as repo:
        repo.materialize("parts", partition_key=rs.PartitionKey.single(["a", "b"]))
        repo.materialize(["joined", "counts"])
        assert repo.load_node("joined", type_hint=pl.DataFrame)["key"].to_list() == ["b"]
        assert repo.load_node("counts")["rows"].to_list() == [1, 1]


def test_self_dependency_continues_its_frame(tmp_path):
    @rs.Asset(io_handler=ParquetIOHandler(tmp_path))
    def log(self: rs.SelfDependency[pl.DataFrame]) -> pl.DataFrame:
        old = self.get_inner()
        new = pl.DataFrame({"n": [0 if old is None else old.height]})
        return new if old is None else pl.concat([old, new])

    with rs.CodeRepository([log], config=False) as repo:
        for _ in range(3):
            repo.materialize()
        assert repo.load_node("log")["n"].to_list() == [0, 1, 2]
