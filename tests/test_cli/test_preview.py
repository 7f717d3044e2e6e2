"""Previews of values of any type."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rivers.inspection.preview import preview_value, type_name

ROWS = {"a": list(range(30)), "b": ["x"] * 30}
FIRST_TWO = [{"a": 0, "b": "x"}, {"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("value", "kind", "extent", "head"),
    [
        (pl.DataFrame(ROWS), "polars.DataFrame", "30 rows, 2 columns", FIRST_TWO),
        (pl.LazyFrame(ROWS), "polars.LazyFrame", "not computed beyond what is shown", FIRST_TWO),
        (pl.Series([1, 2, 3]), "polars.Series", "3 rows", [1, 2]),
        (pd.DataFrame(ROWS), "pandas.DataFrame", "30 rows, 2 columns", FIRST_TWO),
        (pd.Series([1, 2, 3]), "pandas.Series", "3 rows", [1, 2]),
        (pa.table(ROWS), "pyarrow.Table", "30 rows, 2 columns", FIRST_TWO),
        (np.arange(6).reshape(3, 2), "numpy.ndarray", "int64, shape (3, 2)", [[0, 1], [2, 3]]),
        ([1, 2, 3], "list", "3 items", [1, 2]),
        ((1, 2, 3), "tuple", "3 items", [1, 2]),
        ({"a": [1], "b": 2, "c": 3}, "dict", "3 entries", {"a": [1], "b": 2}),
        ({"a": pl.DataFrame({"x": [1]})}, "dict", "1 entry", {"a": [{"x": 1}]}),
        (iter([1, 2, 3]), "list_iterator", "not read beyond what is shown", [1, 2]),
        ("one\ntwo\nthree", "str", "13 characters, 3 lines", "one\ntwo"),
        (b"\x00ab" * 20, "bytes", "60 bytes", (b"\x00ab" * 20)[:32].hex()),
        (3.5, "float", None, 3.5),
        (None, "NoneType", None, None),
        (float("nan"), "float", None, "nan"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_preview_has_type_extent_and_head(value, kind, extent, head):
    preview = preview_value(value, 2)
    assert (type_name(value), preview.extent, preview.head) == (kind, extent, head)
    assert preview.text
    assert json.dumps(preview.head)


PANDAS_COLUMNS = {
    "float64": pd.Series([1.0, float("nan")]),
    "object": pd.Series(["a", None], dtype="object"),
    "object with NaN": pd.Series(["a", float("nan")], dtype="object"),
    "datetime64": pd.to_datetime(pd.Series(["2024-01-01", None])),
    "timedelta64": pd.to_timedelta(pd.Series(["1 day", None])),
    "category": pd.Series(pd.Categorical(["a", None])),
    "Int64": pd.Series([1, None], dtype="Int64"),
    "string": pd.Series(["a", None], dtype="string"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "period": pd.Series(pd.PeriodIndex(["2024-01", None], freq="M")),
}


@pytest.mark.parametrize("dtype", PANDAS_COLUMNS)
def test_preview_shows_missing_values_of_pandas_as_null(dtype):
    column = PANDAS_COLUMNS[dtype]
    stored, missing = preview_value(column, 2).head
    assert stored is not None
    assert missing is None
    assert preview_value(pd.DataFrame({"x": column}), 2).head == [{"x": stored}, {"x": None}]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"x": [1.0, float("nan"), None]}),
        pl.LazyFrame({"x": [1.0, float("nan"), None]}),
        pa.table({"x": pa.array([1.0, float("nan"), None])}),
        pa.table({"x": pa.array([1.0, float("nan"), None])}).to_reader(),
    ],
    ids=type_name,
)
def test_preview_tells_nan_from_null_where_the_library_does(frame):
    assert preview_value(frame, 3).head == [{"x": 1.0}, {"x": "nan"}, {"x": None}]


def test_preview_shows_missing_scalars_of_pandas_as_null():
    assert preview_value([pd.NA, pd.NaT, [pd.NaT], 1], 4).head == [None, None, [None], 1]


def test_preview_shows_all_requested_rows_and_columns():
    wide = {f"column_{number}": list(range(30)) for number in range(20)}
    for frame in (pl.DataFrame(wide), pd.DataFrame(wide)):
        text = preview_value(frame, 25).text
        assert "column_19" in text
        assert all(str(number) in text for number in range(25))


def test_preview_of_bytes_is_hexadecimal_with_characters():
    digits = b"\x00rivers".hex(" ")
    assert preview_value(b"\x00rivers", 1).text == f"00000000  {digits:<48} .rivers"


def test_preview_of_object_is_its_repr():
    class Model:
        def __repr__(self):
            return "Model(depth=3)"

    assert preview_value(Model(), 5).text == "Model(depth=3)"
