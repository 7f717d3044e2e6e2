"""Compatibility of a value with an existing table, which must be able to represent each value."""

from __future__ import annotations

import math
from datetime import date

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import AssetOutputValidationError

MATCH = {"mode": "merge", "merge_predicate": "s.k = t.k"}
STRUCT = pa.struct([("a", pa.int64()), ("b", pa.string())])
FITTING = [
    (pa.int32(), pa.array([7, None], pa.int64())),
    (pa.uint8(), pa.array([7, None], pa.int64())),
    (pa.int64(), pa.array([1.0, None], pa.float64())),
    (pa.float32(), pa.array([0.5, math.inf], pa.float64())),
    (pa.float64(), pa.array([2**53, None], pa.int64())),
    (pa.timestamp("us"), pa.array([date(2024, 1, 1), None])),
    (pa.timestamp("us"), pa.array([1000, None], pa.timestamp("ns"))),
    (pa.timestamp("ns", "UTC"), pa.array([1, None], pa.timestamp("us", "Europe/Berlin"))),
    (pa.timestamp("s"), pa.array([1000, None], pa.timestamp("ms"))),
    (pa.list_(pa.int16()), pa.array([[1, None], None], pa.list_(pa.int64()))),
    (
        pa.struct([("a", pa.int8()), ("b", pa.string())]),
        pa.array([{"b": "x", "a": 1}], pa.struct([("b", pa.string()), ("a", pa.int64())])),
    ),
]


@pytest.mark.parametrize("mode", [{"mode": "append"}, MATCH], ids=["append", "merge"])
@pytest.mark.parametrize(("wanted", "new"), FITTING, ids=str)
def test_compatibility_casts_values_that_fit(lake, mode, wanted, new):
    lake.store(pa.table({"k": [0], "v": pa.nulls(1, wanted)}))
    lake.store(pa.table({"k": range(1, len(new) + 1), "v": new}), **mode)
    result = lake.load(pa.Table).sort_by("k")["v"]
    assert result.type == wanted
    assert result.to_pylist() == [None, *new.cast(wanted).to_pylist()]


@pytest.mark.parametrize("mode", [{"mode": "append"}, MATCH], ids=["append", "merge"])
@pytest.mark.parametrize(
    ("wanted", "new"),
    [
        (pa.int32(), [1, 2**40]),
        (pa.int64(), [1.0, float("nan")]),
        (pa.float32(), [0.1]),
        (pa.timestamp("us"), pa.array([1], pa.timestamp("ns"))),
        (pa.timestamp("ns"), pa.array([2**62], pa.timestamp("us"))),
        (pa.timestamp("us", "UTC"), pa.array([1], pa.timestamp("us"))),
        (pa.timestamp("us"), pa.array([1], pa.timestamp("us", "UTC"))),
    ],
    ids=str,
)
def test_compatibility_refuses_values_that_do_not_fit(lake, mode, wanted, new):
    lake.store(pa.table({"k": [0], "v": pa.nulls(1, wanted)}))
    with pytest.raises(AssetOutputValidationError, match="column 'v' has type "):
        lake.store(pa.table({"k": range(len(new)), "v": new}), **mode)
    assert lake.table().version() == 0


def test_overwrite_keeps_types_of_table(lake):
    lake.store(pa.table({"v": [1]}))
    with pytest.raises(AssetOutputValidationError, match="'v' has type int32, and int64"):
        lake.store(pa.table({"v": pa.array([1], pa.int32())}))


TYPED = [
    pa.string(), pa.int16(), pa.uint8(), pa.timestamp("ns", "Europe/Berlin"), pa.date32(), pa.decimal128(5, 2),
    pa.bool_(), pa.list_(pa.string()), STRUCT, pa.map_(pa.string(), pa.int64()), pa.dictionary(pa.int8(), pa.string()),
]  # fmt: skip
WITHOUT_TYPE = [pa.nulls(2), pa.nulls(0), pa.chunked_array([], pa.null())]
WAYS = [{"mode": "append"}, {"mode": "overwrite"}, {"keys": "x", "partition_expr": "k"}, MATCH]


@pytest.mark.parametrize("way", WAYS, ids=["append", "overwrite", "partition", "merge"])
@pytest.mark.parametrize("new", WITHOUT_TYPE, ids=["nulls", "empty", "no chunks"])
@pytest.mark.parametrize("kind", TYPED, ids=str)
def test_null_column_gets_type_of_table(lake, kind, new, way):
    known = pa.table({"k": ["x"], "v": pa.nulls(1, kind)})
    lake.store(known, **({} if way.get("mode") else way))
    names = [str(i) if way is MATCH else "x" for i in range(len(new))]
    lake.store(pa.table({"k": pa.array(names, pa.string()), "v": new}), **way)
    result = lake.load(pa.Table, **({} if way.get("mode") else way))
    assert result.schema.equals(known.schema)
    assert set(result["v"].to_pylist()) <= {None}


@pytest.mark.parametrize(
    "new",
    [
        pl.DataFrame({"k": [1], "v": [None], "w": [None], "x": [None], "c": [None]}),
        pl.DataFrame({"k": [1], "v": [None], "w": [[]], "x": [{"a": None}]}),
        pl.LazyFrame({"k": [None], "v": [None], "w": [None], "x": [None], "c": [None]}),
        pd.DataFrame({"k": [1], "v": pd.Series([None], dtype=object), "w": [[]], "x": [{"a": None}]}),
        pd.DataFrame(columns=["k", "v", "w", "x", "c"]),
        pd.DataFrame(columns=["k", "v", "w", "x", "c"]).astype("category").astype({"k": "int64"}),
    ],
    ids=["polars", "polars inside", "lazy", "pandas", "empty", "empty categories"],
)  # fmt: skip
@pytest.mark.parametrize("mode", [{"mode": "append"}, MATCH], ids=["append", "merge"])
def test_null_partition_gets_type_of_table(lake, new, mode):
    lake.store(pl.DataFrame({
        "k": [0], "v": ["a"], "w": [["b"]], "x": [{"a": 1.5}], "c": pl.Series(["z"], dtype=pl.Enum(["y", "z"])),
    }))  # fmt: skip
    schema = lake.load(pl.DataFrame).schema
    lake.store(new, **mode, **({} if isinstance(new, pl.LazyFrame) else {"schema_mode": "merge"}))
    result = lake.load(pl.DataFrame)
    assert result.schema == schema
    assert result.height == 1 + (1 if isinstance(new, pl.LazyFrame) else len(new))


def test_null_column_without_known_type_is_refused(lake):
    new = pa.table({"k": [1], "v": pa.nulls(1)})
    lake.store(pa.table({"k": [1], "v": ["x"]}))
    for way in ({"mode": "create_or_replace"}, {"schema_mode": "overwrite"}, {"name": "new"}):
        with pytest.raises(AssetOutputValidationError, match="column 'v' has type null"):
            lake.store(new, **way)


def test_null_column_is_refused_if_not_nullable(lake):
    lake.store(pa.table({"k": [1]}).cast(pa.schema([pa.field("k", pa.int64(), nullable=False)])))
    with pytest.raises(AssetOutputValidationError, match="column 'k' must not be null.*2 rows"):
        lake.store(pa.table({"k": pa.nulls(2)}), mode="append")
