"""Object columns of pandas: equal on the way back, or refused with column, row and both values."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers_frames import get_frame_types


class Column:
    def __init__(self, field, extras, categories):
        self.given = self.stored = field
        self.name, self.extras, self.categories = field.name, extras, categories


class Scan:
    """A prepared frame as a stored table."""

    def __init__(self, adapter, prepared):
        self._table = prepared.table
        extras, categories = adapter.extras(prepared, None), adapter.categories(prepared, None)
        self.columns = [
            Column(field, extras.get(field.name, {}), categories.get(field.name))
            for field in prepared.table.schema
        ]

    def schema(self):
        return pa.schema([column.given for column in self.columns])

    def arrow_table(self):
        return self._table.replace_schema_metadata(None)


def round_trip(frame: pd.DataFrame) -> pd.DataFrame:
    types = get_frame_types()
    adapter = types.adapter(types.for_class(pd.DataFrame))
    loaded: pd.DataFrame = adapter.read(Scan(adapter, adapter.prepare(frame)))
    return loaded


def objects(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"c": pd.Series(values, dtype=object)})


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, (dict, list)):
        if type(left) is not type(right) or len(left) != len(right):
            return False
        if isinstance(left, dict):
            return all(key in right and equal(value, right[key]) for key, value in left.items())
        return all(map(equal, left, right))
    if left is None or (isinstance(left, float) and math.isnan(left)):
        return bool(pd.isna(right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ((date(2020, 1, 1), datetime(2020, 1, 1, 5)), 1),
        ((datetime(2020, 1, 1, 5), date(2020, 1, 1)), 1),
        (({"a": 1}, {"b": 2}), 0),
        (({"a": {"x": 1}}, {"a": {"y": 1}}), 0),
        (([{"a": 1}, {"b": 1}],), 0),
        (([date(2020, 1, 1), datetime(2020, 1, 1, 5)],), 0),
        (([1], (1,)), 1),
        ((2**53 + 1, 0.5), 0),
        ((date(2000, 1, 1), -719163), 1),
        ((date(2000, 1, 1), 5), 1),
    ],
)
def test_changed_object_is_refused(values, row):
    with pytest.raises(TypeError) as failure:
        round_trip(objects(*values))
    message = str(failure.value)
    assert "'c'" in message
    if "kinds" in message:
        assert f"row {row} is {values[row]!r}" in message
        assert "loaded as" in message


@pytest.mark.parametrize(
    "values",
    [
        ("a", None, "b"),
        (b"a", None),
        (True, None, False),
        (1, None, 3),
        (date(2020, 1, 1), None),
        (datetime(2020, 1, 1, 5), datetime(2021, 1, 1)),
        (datetime(2020, 1, 1, 5, tzinfo=UTC), None),
        (time(5), time(6, 0, 1)),
        (Decimal("1.5"), Decimal("2.25")),
        ({"a": 1, "b": "x"}, {"a": None, "b": "y"}),
        ([1, 2], [], None),
        ([{"a": [1]}], [{"a": []}]),
    ],
)
def test_objects_round_trip(values):
    loaded = round_trip(objects(*values))["c"]
    assert loaded.dtype == object
    assert all(map(equal, values, loaded))


def test_arrays_round_trip():
    loaded = round_trip(objects(np.array([1, 2]), np.array([3])))["c"]
    assert [cell.tolist() for cell in loaded] == [[1, 2], [3]]


def test_large_integer_names_column():
    with pytest.raises(TypeError, match=r"column 'c' has 18446744073709551616 in row 1"):
        round_trip(objects(1, 2**64))
    frame = pd.DataFrame({"fine": [1], "bad": pd.Series([object()], dtype=object)})
    with pytest.raises(TypeError, match="'bad'"):
        round_trip(frame)


def test_changed_category_is_refused():
    kind = pd.CategoricalDtype(pd.Index([2**53 + 1, 0.5], dtype=object))
    frame = pd.DataFrame({"c": pd.Series([0.5], dtype=kind)})
    with pytest.raises(TypeError, match="'c'"):
        round_trip(frame)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_infinity=False)
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.dates()
    | st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1))
    | st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(values=st.lists(VALUES, min_size=1, max_size=4) | st.lists(SCALARS, min_size=2, max_size=3))
def test_objects_are_equal_or_refused(values):
    message, loaded = "", values
    try:
        loaded = list(round_trip(objects(*values))["c"])
    except TypeError as error:
        message = str(error)
    assert "'c'" in message or (not message and all(map(equal, values, loaded)))
