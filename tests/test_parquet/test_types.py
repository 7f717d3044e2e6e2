"""Frames of every library go in and come out, as the type that the consumer requests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import arro3.core as ac
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from polars.testing import assert_frame_equal

from rivers_core.exceptions import AssetOutputValidationError, OneShotValueError, RiversError

ROWS = {"id": [1, 2, 3], "name": ["a", None, "c"], "value": [0.5, 1.5, None]}
TABLE = pa.table(ROWS)

KINDS = {
    pl.DataFrame: lambda: pl.DataFrame(ROWS),
    pl.LazyFrame: lambda: pl.LazyFrame(ROWS),
    pa.Table: lambda: TABLE,
    pa.RecordBatchReader: lambda: TABLE.to_reader(max_chunksize=2),
    ds.Dataset: lambda: ds.dataset(TABLE),
    pd.DataFrame: TABLE.to_pandas,
    ac.Table: lambda: ac.Table.from_arrow(TABLE),
    ac.RecordBatchReader: lambda: ac.RecordBatchReader.from_arrow(TABLE),
    duckdb.DuckDBPyRelation: lambda: duckdb.from_arrow(TABLE),
}


class Stream:
    """Offers an Arrow C stream and nothing else."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


def rows(value: Any) -> dict[str, list[Any]]:
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if isinstance(value, pd.DataFrame):
        value = pa.Table.from_pandas(value, preserve_index=False)
    if isinstance(value, duckdb.DuckDBPyRelation):
        value = value.to_arrow_table()
    if isinstance(value, ds.Dataset):
        value = value.to_table()
    return pl.DataFrame(pa.table(value)).to_dict(as_series=False)


@pytest.mark.parametrize("kind", KINDS)
def test_types_round_trip(tables, kind):
    tables.store(KINDS[kind]())
    loaded = tables.load(kind)
    assert isinstance(loaded, kind)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_types_follow_consumer_hint(tables, kind):
    tables.store(pl.DataFrame(ROWS))
    loaded = tables.load(kind)
    assert isinstance(loaded, kind)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize("kind", [pl.DataFrame, pl.LazyFrame, pa.Table, pd.DataFrame])
def test_types_follow_stored_type(tables, kind):
    tables.store(KINDS[kind]())
    assert isinstance(tables.load(), kind)


def test_types_accept_arrow_stream(tables):
    tables.store(Stream())
    assert rows(tables.load(pa.Table)) == ROWS


def test_types_of_foreign_file_follow_default_type(tables):
    tables.file().parent.mkdir()
    pl.DataFrame(ROWS).write_parquet(tables.file())
    assert isinstance(tables.load(), pl.DataFrame)
    with_default = type(tables)(tables.store_address, default_type="pyarrow.Table")
    assert isinstance(with_default.load(), pa.Table)


def test_types_refuse_value_that_is_not_a_frame(tables):
    with pytest.raises(AssetOutputValidationError, match=r"polars\.DataFrame"):
        tables.store([1, 2])
    assert not tables.handler.exists(tables.asked())


def test_types_refuse_other_hint(tables):
    tables.store(TABLE)
    with pytest.raises(RiversError, match="int"):
        tables.load(int)
    assert not tables.handler.can_load_type(int)
    assert tables.handler.can_load_type(dict[str, pl.DataFrame])
    assert tables.handler.accepts_type(ds.Dataset)


def test_types_refuse_column_that_parquet_lacks(tables):
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(AssetOutputValidationError, match="column 'u'"):
        tables.store(pa.table({"n": [1], "u": union}))
    with pytest.raises(AssetOutputValidationError, match="'o'"):
        tables.store(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}))
    with pytest.raises(AssetOutputValidationError, match="'n' exists more than once"):
        tables.store(pa.table([[1], [2]], names=["n", "n"]))


def test_types_refuse_consumed_stream(tables):
    stream = TABLE.to_reader()
    tables.store(stream)
    with pytest.raises(OneShotValueError, match="3 rows"):
        tables.store(stream, "second")


def test_lazy_frame_stays_lazy_and_skips_row_groups(tables):
    tables.store(pl.DataFrame({"n": range(1000), "other": range(1000)}), row_group_size=100)
    frame = tables.load(pl.LazyFrame).filter(pl.col("n") == 950).select("n")
    plan = frame.explain()
    assert "PROJECT 1/2" in plan
    assert "SELECTION" in plan
    assert frame.collect()["n"].to_list() == [950]


def test_lazy_frame_replaces_its_own_source(tables):
    tables.store(pl.DataFrame({"n": [1, 2]}))
    tables.store(tables.load(pl.LazyFrame).with_columns(pl.col("n") + 1))
    assert tables.load(pl.DataFrame)["n"].to_list() == [2, 3]


def test_failing_query_keeps_old_value(tables):
    tables.store(pl.DataFrame({"n": [1]}))
    with pytest.raises(RiversError, match="asset 'asset'"):
        tables.store(pl.LazyFrame({"n": ["x"]}).select(pl.col("n").cast(pl.Int64)))
    assert tables.load(pl.DataFrame)["n"].to_list() == [1]
    assert [path.name for path in tables.store_address.iterdir()] == ["asset.parquet"]


def test_failing_stream_keeps_old_value(tables):
    def batches():
        yield from TABLE.to_batches()
        raise ValueError("the source is gone")

    tables.store(pl.DataFrame({"n": [1]}))
    with pytest.raises(RiversError, match="the source is gone"):
        tables.store(pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    assert tables.load(pl.DataFrame)["n"].to_list() == [1]
    assert [path.name for path in tables.store_address.iterdir()] == ["asset.parquet"]


def test_reader_keeps_file_that_is_replaced(tables):
    tables.store(pa.table({"n": range(200_000)}))
    reader = tables.load(pa.RecordBatchReader)
    tables.store(pa.table({"n": [1]}))
    assert reader.read_all().num_rows == 200_000


def test_small_batches_become_large_row_groups(tables):
    batches = pa.table({"n": range(1000)}).to_batches(max_chunksize=7)
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    context = tables.store(reader, row_group_size=400)
    assert context.output_metadata["parquet/row_groups"].raw_value() == 3
    assert tables.load(pa.Table)["n"].to_pylist() == list(range(1000))


def test_pandas_types_round_trip(tables):
    frame = pd.DataFrame({
        "int": pd.array([1, None, 3], dtype="Int64"),
        "bool": pd.array([True, None, False], dtype="boolean"),
        "category": pd.Categorical(["a", "b", "a"], ["b", "a", "c"], ordered=True),
        "codes": pd.Categorical([3, 1, 3]),
        "plain": [1, 2, 3],
        "text": ["x", "y", None],
        "zone": pd.date_range("2024", periods=3, tz="Europe/Berlin"),
    })  # fmt: skip
    tables.store(frame)
    pd.testing.assert_frame_equal(tables.load(pd.DataFrame), frame)
    assert tables.load(pl.DataFrame)["category"].dtype == pl.Enum(["b", "a", "c"])


def test_polars_types_round_trip(tables):
    frame = pl.DataFrame({
        "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b", "c"])),
        "category": pl.Series(["x", None], dtype=pl.Categorical),
        "unsigned": pl.Series([0, 2**64 - 1], dtype=pl.UInt64),
        "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        "list": pl.Series([["a"], []], dtype=pl.List(pl.String)),
        "moment": pl.Series([0, 1], dtype=pl.Datetime("ms", "Europe/Berlin")),
        "time": pl.Series([0, 1000]).cast(pl.Time),
        "duration": pl.Series([0, 1], dtype=pl.Duration("us")),
        "decimal": pl.Series(["1.50", None]).cast(pl.Decimal(10, 2)),
        "nothing": [None, None],
        "struct": [{"a": 1, "b": "x"}, None],
    })  # fmt: skip
    tables.store(frame)
    assert_frame_equal(tables.load(pl.DataFrame), frame)
    assert_frame_equal(tables.load(pl.LazyFrame).collect(), frame)
    assert tables.load(pd.DataFrame)["enum"].cat.categories.to_list() == ["a", "b", "c"]


ARROW_ARRAYS = {
    "seconds": pa.array([0, None], pa.timestamp("s")),
    "nanoseconds": pa.array([0, 1], pa.timestamp("ns", "Europe/Berlin")),
    "offset": pa.array([0, 1], pa.timestamp("us", "+02:00")),
    "date64": pa.array([0, 86_400_000], pa.date64()),
    "dictionary": pa.array([1, 2]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["x", "y"]), ordered=True),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "view": pa.array(["a", "b"], pa.string_view()),
    "half": pa.array([1.5, 2.5], pa.float16()),
    "bytes": pa.array([b"ab", b"cd"], pa.binary(2)),
    "decimal256": pa.array([1, 2], pa.decimal256(50, 2)),
    "time": pa.array([1, 2], pa.time32("s")),
    "duration": pa.array([1, 2], pa.duration("s")),
    "null": pa.nulls(2),
    "large_list": pa.array([[1], [2]], pa.large_list(pa.int32())),
    "fixed": pa.array([[1, 2], None], pa.list_(pa.int64(), 2)),
    "struct": pa.array([{"a": [1]}, None], pa.struct([("a", pa.list_(pa.int8()))])),
}  # fmt: skip


@pytest.mark.parametrize("name", ARROW_ARRAYS)
@pytest.mark.parametrize("kind", [pa.Table, pa.RecordBatchReader, ac.Table])
def test_arrow_types_round_trip(tables, name, kind):
    table = pa.table({"c": ARROW_ARRAYS[name]})
    tables.store(table)
    loaded = pa.table(tables.load(kind))
    assert loaded.schema.field("c").type.equals(table.schema.field("c").type) or kind is not pa.Table
    assert loaded["c"].to_pylist() == table["c"].to_pylist()
    assert b"rivers" not in (loaded.schema.metadata or {})


@pytest.mark.parametrize("name", [name for name in ARROW_ARRAYS if name != "decimal256"])
def test_polars_reads_arrow_types(tables, name):
    table = pa.table({"c": ARROW_ARRAYS[name]})
    tables.store(table)
    assert tables.load(pl.DataFrame)["c"].to_list() == pl.from_arrow(table)["c"].to_list()


def test_schema_metadata_of_arrow_table_round_trips(tables):
    table = TABLE.replace_schema_metadata({"owner": "sales"})
    tables.store(table)
    assert tables.load(pa.Table).schema.metadata == {b"owner": b"sales"}


def test_forked_child_refuses_polars(tmp_path):
    code = f"""
import os, sys
import polars as pl
from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import RiversError
from rivers_parquet import ParquetIOHandler
handler = ParquetIOHandler({str(tmp_path)!r})
pl.DataFrame({{"n": range(10_000)}}).lazy().group_by("n").len().collect()
child = os.fork()
if not child:
    try:
        handler.handle_output(OutputContext("a"), pl.DataFrame({{"n": [1]}}))
    except RiversError as error:
        os._exit(3 if "spawn" in str(error) else 4)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "3", done.stderr


def test_package_import_is_light():
    heavy = ["polars", "pyarrow", "pandas", "arro3", "obstore"]
    code = f"""
import sys
from rivers_parquet import ParquetIOHandler
ParquetIOHandler("x")
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
