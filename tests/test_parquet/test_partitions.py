"""Partitions: one file each, several loaded as one value."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import rivers as rs
from rivers_core.exceptions import (
    IntegrityError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
)
from rivers_parquet import ParquetIOHandler

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


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


def test_one_value_for_several_partitions_is_refused(tables):
    with pytest.raises(PartitionValidationError, match="PartitionedOutput"):
        tables.store(pl.DataFrame({"n": [1]}), keys=["a", "b"])


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
