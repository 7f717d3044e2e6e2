"""Types of each library come back as they were, or are refused with the name of the column."""

from __future__ import annotations

import datetime as dt
import gc
import subprocess
import sys
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConflictError,
    PartitionValidationError,
    RiversError,
)
from tests.test_delta.support import Lake

ARROW = {
    pa.list_(pa.int64()): [[1], None],
    pa.struct([("a", pa.int8())]): [{"a": 1}, None],
    pa.dictionary(pa.int32(), pa.string()): ["x", None],
    pa.decimal128(5, 1): [Decimal("1.1"), None],
    pa.string(): ["x", None],
    pa.large_string(): ["x", None],
    pa.int64(): [2**60 + 1, None],
    pa.uint64(): [2**64 - 1, None],
    pa.bool_(): [True, None],
    pa.date32(): [dt.date(2024, 1, 1), None],
    pa.timestamp("us", "Europe/Berlin"): [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None],
    pa.map_(pa.string(), pa.int64()): [[("a", 1)], None],
}


@pytest.mark.parametrize("kind", ARROW, ids=str)
def test_pandas_arrow_dtypes_round_trip(lake, kind):
    frame = pd.DataFrame({"c": pd.Series(ARROW[kind], dtype=pd.ArrowDtype(kind))})
    lake.store(frame)
    result = lake.load(pd.DataFrame)
    assert result["c"].dtype == frame["c"].dtype
    assert pa.array(result["c"]).equals(pa.array(frame["c"]))


OBJECTS = [
    [2**60 + 1, None],
    [1, 2],
    [1.5, None],
    [True, None, False],
    ["a", None, ""],
    [dt.datetime(2024, 1, 1), None],
    [dt.date(2024, 1, 1), None],
    [Decimal("1.5"), None],
    [b"a", None],
    [[1, None, 2**60 + 1], None, []],
    [{"a": 2**60 + 1}, None, {"a": None}],
]


@pytest.mark.parametrize("values", OBJECTS, ids=str)
def test_pandas_objects_round_trip(lake, values):
    lake.store(pd.DataFrame({"c": pd.Series(values, dtype=object)}))
    result = lake.load(pd.DataFrame)["c"]
    assert result.dtype == object
    assert list(result) == values
    assert [type(one) for one in result] == [type(one) for one in values]


def test_pandas_arrays_round_trip(lake):
    lake.store(pd.DataFrame({"c": [np.array([1.5, 2.5]), np.array([3.5])]}))
    assert [one.tolist() for one in lake.load(pd.DataFrame)["c"]] == [[1.5, 2.5], [3.5]]


@pytest.mark.parametrize("dtype", ["string[python]", "string[pyarrow]", "str", "Int8", "Float32", "boolean"])
def test_pandas_named_dtypes_round_trip(lake, dtype):
    values = ["a", None] if dtype.startswith("str") else [1, None]
    frame = pd.DataFrame({"c": pd.Series(values, dtype=dtype)})
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)


def test_pandas_refuses_duplicate_columns(lake):
    with pytest.raises(AssetOutputValidationError, match="'a'"):
        lake.store(pd.DataFrame([[1, 2]], columns=["a", "a"]))


NESTED = {
    pl.Array(pl.Int16, (2, 2)): [[[1, 2], [3, 4]], None, [[5, 6], [7, 8]]],
    pl.Array(pl.Array(pl.Int16, 2), 1): [[None], None, [[1, 2]]],
    pl.List(pl.Array(pl.Int16, (1, 2))): [[[[1, 2]], None], None, []],
    pl.Array(pl.List(pl.UInt8), 1): [[[1, 2]], None, [None]],
    pl.Array(pl.Struct({"a": pl.Array(pl.Int16, 2)}), 1): [[{"a": [1, 2]}], None, [None]],
    pl.Struct({"a": pl.Array(pl.Int16, (1, 1))}): [{"a": [[1]]}, None, {"a": None}],
    pl.Array(pl.Int16, 0): [[], None],
}


@pytest.mark.parametrize("dtype", NESTED, ids=str)
def test_polars_nested_arrays_round_trip(lake, dtype):
    frame = pl.DataFrame({"c": pl.Series(NESTED[dtype], dtype=dtype)})
    lake.store(frame)
    assert_frame_equal(lake.load(pl.DataFrame), frame)
    assert_frame_equal(lake.load(pl.LazyFrame).collect(), frame)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (pa.array([5, 2**64 - 1], pa.uint64()), pl.UInt64),
        (pa.array([5, 6], pa.uint8()), pl.UInt8),
        (pa.array([1.5, 2.5], pa.float16()), pl.Float16),
        (pa.array([1, 2], pa.timestamp("us", "Europe/Berlin")), pl.Datetime("us", "Europe/Berlin")),
        (pa.array(["a", "b"]), pl.Categorical),
    ],
)
def test_polars_reads_dictionary_as_values(lake, values, dtype):
    column = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), values)
    lake.store(pa.table({"c": column}))
    result = lake.load(pl.DataFrame)["c"]
    assert result.dtype == dtype
    assert result.to_list() == column.to_pylist()


UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16], pa.binary(16)))
EXTENDED = {
    "bare": UUIDS,
    "struct": pa.StructArray.from_arrays([UUIDS], ["u"]),
    "list": pa.ListArray.from_arrays([0, 1], UUIDS),
    "map": pa.MapArray.from_arrays([0, 1], pa.array(["k"]), UUIDS),
}


@pytest.mark.parametrize("where", EXTENDED)
def test_extension_type_is_refused_at_any_depth(lake, where):
    with pytest.raises(AssetOutputValidationError, match=r"column 'c' .*extension type 'arrow\.uuid'"):
        lake.store(pa.table({"c": EXTENDED[where]}))


@pytest.mark.parametrize("read", [pa.Table, pa.RecordBatchReader])
def test_map_keys_stay_sorted(lake, read):
    kind = pa.map_(pa.string(), pa.uint8(), keys_sorted=True)
    table = pa.table(
        {"c": pa.array([[("a", 1)]], kind), "s": pa.array([{"m": []}], pa.struct([("m", kind)]))}
    )
    lake.store(table)
    result = lake.load(read)
    assert result.schema.equals(table.schema)
    assert (result.read_all() if read is pa.RecordBatchReader else result).equals(table)
    with pytest.raises(AssetOutputValidationError, match="column 'c'"):
        lake.store(table.set_column(0, "c", pa.array([[]], pa.map_(pa.string(), pa.uint8()))), mode="append")


@pytest.mark.parametrize("read", [pa.Table, pa.RecordBatchReader])
def test_type_hints_are_removed_on_load(lake, read):
    value = pa.table({"k": [1], "v": ["a"]})
    lake.store(value, keys="1", partition_expr="k")
    assert any(field.metadata for field in lake.table().schema().fields)
    result = lake.load(read, keys="1", partition_expr="k")
    assert result.schema.equals(value.schema, check_metadata=True)


@pytest.mark.parametrize("name", ["a", "long name"])
def test_duplicate_column_is_refused(lake, name):
    with pytest.raises(AssetOutputValidationError, match=f"column '{name}' exists more than once"):
        lake.store(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=[name, name]))


@pytest.mark.parametrize("names", [["a", "a"], ["a", "A"]])
def test_duplicate_struct_fields_are_refused(lake, names):
    column = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names)
    inside = pa.ListArray.from_arrays([0, 1], column)
    for value in (column, inside):
        with pytest.raises(
            AssetOutputValidationError, match=f"column 'c' has nested fields 'a' and '{names[1]}'"
        ):
            lake.store(pa.table({"c": value}))


REFUSED = {
    "an unsupported type": ("SELECT INTERVAL 1 DAY AS r", {}, AssetOutputValidationError),
    "columns that do not fit": ("SELECT 'x' AS n", {"mode": "append"}, AssetOutputValidationError),
    "rows of another partition": (
        "SELECT 'x' AS r",
        {"keys": "y", "partition_expr": "r"},
        PartitionValidationError,
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused_relation_releases_its_connection(lake, why):
    query, options, error = REFUSED[why]
    lake.store(pl.DataFrame({"n": [1]}))
    with duckdb.connect() as connection:
        gc.disable()
        try:
            with pytest.raises(error) as refused:
                lake.store(connection.sql(query), "other" if "keys" in options else "asset", **options)
            assert connection.sql("SELECT 1").fetchall() == [(1,)]
            assert refused.tb is not None
        finally:
            gc.enable()


def test_refused_table_releases_connection(lake):
    lake.store(pl.DataFrame({"n": [1]}))
    inside = Lake(lake.handler.address("asset", None))
    with duckdb.connect() as connection:
        with pytest.raises(ConflictError) as refused:
            inside.store(connection.sql("SELECT 1 AS n"))
        assert connection.sql("SELECT 1").fetchall() == [(1,)]
        assert refused.tb is not None


@pytest.mark.parametrize("hint", [int, str, list[pl.DataFrame], int | None])
def test_load_refuses_hint_that_is_not_a_frame_type(lake, hint):
    lake.store(pl.DataFrame({"n": [1]}))
    with pytest.raises(RiversError, match=r"cannot be loaded as .*(int|str|list).*polars\.DataFrame"):
        lake.load(hint)


def test_load_uses_only_installed_library(lake):
    lake.store(pl.DataFrame({"n": [1]}))
    code = f"""
import sys
sys.modules['polars'] = None
from rivers_core import InputContext
from rivers_delta import DeltaIOHandler
print(type(DeltaIOHandler(table_uri={lake.handler.table_uri!r}).load_input(InputContext('asset', 'next'))).__module__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pandas"), done.stderr


@pytest.mark.parametrize("name", ["a\x85b", "a\u2028b", "a\x0bb", "a\x1cb"])
def test_column_names_with_line_separators(lake, name):
    for _ in range(2):
        lake.store(pl.DataFrame({name: [1]}), mode="append")
    assert lake.load(pl.DataFrame)[name].to_list() == [1, 1]


def test_pandas_object_columns_keep_their_order(lake):
    frame = pd.DataFrame({
        "text": pd.Series(["a", None], dtype=object), "n": [1, 2], "whole": pd.Series([2**60 + 1, None], dtype=object),
        "at": pd.to_datetime(["2024", None]), "arrow": pd.Series([1, None], dtype="int64[pyarrow]"),
    })  # fmt: skip
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)
    lake.store(frame[:0])
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame[:0])
