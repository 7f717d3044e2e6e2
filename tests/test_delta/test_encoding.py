"""Arrow types come back equal, or are refused before anything is stored, with the column named."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rivers.partitions import PartitionsDefinition
from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta import DeltaIOHandler

ZONES = [None, "UTC", "Europe/Berlin", "+02:00"]
SIMPLE = st.sampled_from([
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(),
    pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(), pa.string_view(), pa.binary(),
    pa.large_binary(), pa.binary(3), pa.date32(), pa.date64(), pa.null(), pa.time32("s"), pa.time64("ns"),
    pa.duration("us"), pa.month_day_nano_interval(), pa.decimal256(50, 2), pa.decimal128(5, -2),
])  # fmt: skip
STAMPS = st.builds(pa.timestamp, st.sampled_from(["s", "ms", "us", "ns"]), st.sampled_from(ZONES))
DECIMALS = st.builds(lambda p, s: pa.decimal128(p, min(p, s)), st.integers(1, 38), st.integers(0, 10))
DICTIONARIES = st.builds(
    pa.dictionary, st.sampled_from([pa.int8(), pa.int32(), pa.uint16()]),
    st.sampled_from([pa.string(), pa.int64(), pa.large_string()]), st.booleans(),
)  # fmt: skip


def nested(inner):
    return st.one_of(
        st.builds(pa.list_, inner),
        st.builds(pa.large_list, inner),
        st.builds(lambda value: pa.list_(value, 2), inner),
        st.builds(lambda a, b: pa.struct({"a": a, "b c": b}), inner, inner),
        st.builds(lambda value, is_sorted: pa.map_(pa.string(), value, is_sorted), inner, st.booleans()),
    )


TYPES = st.recursive(st.one_of(SIMPLE, STAMPS, DECIMALS, DICTIONARIES), nested, max_leaves=3)
NAMES = st.sampled_from(["a", "my col", "p.q", 'p"q', "order", "p`q", "ü", "*", "^x$", "'", "a/b", "UPPER"])


PLAIN = [
    (pa.types.is_null, [None] * 3),
    (pa.types.is_floating, [1.5, None, -0.5]),
    (pa.types.is_boolean, [True, None, False]),
    (pa.types.is_decimal, [1, None, 0]),
    (pa.types.is_fixed_size_binary, [b"abc", None, b"xyz"]),
    (lambda kind: "string" in str(kind), ["a", None, ""]),
    (lambda kind: "binary" in str(kind), [b"a", None, b""]),
]


def values(kind: pa.DataType, size: int) -> pa.Array:
    """Some values of a type, with a null, as far as pyarrow can make them."""
    if size == 0:
        return pa.array([], kind)
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        return nested_values(kind)
    if pa.types.is_date32(kind):
        return pa.array([1, None, 2], pa.int32()).cast(kind)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.array([1000, None, -(2**62) // 1000 * 1000], kind)
    return pa.array(next((some for test, some in PLAIN if test(kind)), [1, None, 2]), kind)


def nested_values(kind: pa.DataType) -> pa.Array:
    """Three of them, made of the values of the inner type."""
    if pa.types.is_dictionary(kind):
        indices = pa.array([0, None, 0], kind.index_type)
        return pa.DictionaryArray.from_arrays(
            indices, values(kind.value_type, 3).slice(0, 1), ordered=kind.ordered
        )
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays([values(field.type, 3) for field in kind], fields=list(kind))
    if pa.types.is_map(kind):
        return pa.MapArray.from_arrays(
            [0, 1, 1, 3], pa.array(["k", "l", "m"]), values(kind.item_type, 3)
        ).cast(kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(
            pa.concat_arrays([values(kind.value_type, 3)] * 2), type=kind
        )
    array = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return array.from_arrays([0, 2, 2, 3], values(kind.value_type, 3), type=kind)


@st.composite
def tables(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    size = draw(st.sampled_from([0, 3]))
    kinds = [draw(TYPES) for _ in names]
    try:
        return pa.table([values(kind, size) for kind in kinds], names=names)
    except (pa.ArrowException, ValueError, TypeError):
        assume(False)


def as_stream(schema: pa.Schema) -> pa.Schema:
    """The schema of a stream, which has wide numbers for categories without an order."""
    for i, field in enumerate(schema):
        kind = field.type
        if pa.types.is_dictionary(kind) and not kind.ordered:
            schema = schema.set(i, field.with_type(pa.dictionary(pa.int32(), kind.value_type)))
    return schema


def refusal(handler: DeltaIOHandler, value: object) -> str | None:
    """Why a value is refused, if it is; then a column is named, and nothing is stored."""
    try:
        handler.handle_output(OutputContext("asset"), value)
    except AssetOutputValidationError as refused:
        message = str(refused)
    else:
        return None
    names = value.columns if isinstance(value, pl.DataFrame) else value.column_names
    assert any(repr(name) in message for name in names)
    assert not handler.exists(InputContext("asset", "next"))
    return message


@settings(max_examples=60)
@given(tables())
def test_encoding_round_trips_or_refuses_arrow_tables(table):
    with tempfile.TemporaryDirectory() as folder:
        handler = DeltaIOHandler(table_uri=folder)
        if refusal(handler, table) is not None:
            return
        loaded = handler.load_input(InputContext("asset", "next", type_hint=pa.Table))
        assert loaded.schema.equals(table.schema), (loaded.schema, table.schema)
        assert loaded.to_pylist() == table.to_pylist()
        lazy = handler.load_input(InputContext("asset", "next", type_hint=pa.RecordBatchReader))
        assert lazy.schema.equals(as_stream(table.schema))
        assert lazy.read_all().to_pylist() == table.to_pylist()


@settings(max_examples=30)
@given(tables())
def test_encoding_round_trips_or_refuses_polars_frames(table):
    try:
        frame = pl.DataFrame(table)
    except (Exception, pl.exceptions.PanicException):
        assume(False)
    with tempfile.TemporaryDirectory() as folder:
        handler = DeltaIOHandler(table_uri=folder)
        if refusal(handler, frame) is not None:
            return
        assert_frame_equal(handler.load_input(InputContext("asset", "next", type_hint=pl.DataFrame)), frame)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1], pa.timestamp("ns")), "microseconds"),
        (pa.array([[None, -1001]], pa.list_(pa.timestamp("ns", "UTC"))), "microseconds"),
        (pa.array([{"t": 2**62}], pa.struct({"t": pa.timestamp("s")})), "microseconds"),
        (pa.array([1000], pa.timestamp("ns")).dictionary_encode(), "microseconds"),
        (pa.array([[("k", 1000)]], pa.map_(pa.string(), pa.timestamp("ns"))), "inside a map"),
        (pa.nulls(1), "null"),
        (pa.array([1], pa.duration("s")), "duration"),
        (pa.array([1], pa.time64("us")), "time64"),
        (pa.array([{}], pa.struct([])), "without fields"),
        (pa.array([1], pa.decimal256(60, 2)), "decimal"),
        (pa.array(["a"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())), None),
    ],
)
def test_encoding_names_column_and_fix(lake, column, message):
    table = pa.table({"fine": [1], "odd one": column})
    if message is None:
        lake.store(table)
        return
    with pytest.raises(AssetOutputValidationError, match=f"'odd one'.*{message}"):
        lake.store(table)
    assert not lake.handler.exists(lake.asked())


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_encoding_keeps_units_of_pandas_timestamps(lake, unit, zone):
    times = pd.to_datetime(["2024-06-01 12:00:00", None, "1969-12-31 23:59:59"]).as_unit(unit)
    frame = pd.DataFrame({"at": times.tz_localize(zone), "n": [1, 2, 3]})
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)
    assert_frame_equal(lake.load(pl.DataFrame), pl.from_pandas(frame))
    lake.store(frame, mode="append")
    assert lake.load(pd.DataFrame)["at"].dtype == frame["at"].dtype


def test_encoding_of_nanoseconds_in_partition(lake):
    days = PartitionsDefinition.daily("2024-06-01", "2024-06-03")
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-06-01 12:00"]).as_unit("ns"), "n": [1]})
    how = {"keys": "2024-06-01", "definition": days, "partition_expr": "at"}
    for _ in range(2):
        lake.store(frame, **how)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame, **how), frame)
    assert lake.load(pl.LazyFrame, **how).filter(pl.col("at") > datetime(2024, 6, 1)).collect().height == 1
    with pytest.raises(PartitionValidationError, match="belong"):
        lake.store(frame, **how | {"keys": "2024-06-02"})


def test_encoding_refuses_late_nanoseconds(lake):
    lake.store(pa.table({"at": pa.array([1000], pa.timestamp("ns"))}))
    late = pa.chunked_array([pa.array([value], pa.timestamp("ns")) for value in (2000, 2001)])
    for mode in ({}, {"mode": "append"}, {"mode": "merge", "merge_predicate": "s.at = t.at"}):
        with pytest.raises(
            AssetOutputValidationError, match=r"column 'at' has type timestamp\[ns\].*microseconds"
        ):
            lake.store(pa.table({"at": late}), **mode)
    assert lake.table().version() == 0


def test_encoding_refuses_submicrosecond_values(lake):
    with pytest.raises(AssetOutputValidationError, match="column 't'"):
        lake.store(pa.table({"t": pa.array([1, 2**62], pa.timestamp("s"))}))
    assert not lake.handler.exists(lake.asked())


def test_encoding_keeps_uint64(lake):
    lake.store(pl.DataFrame({"n": pl.Series([0, 2**63, 2**64 - 1], dtype=pl.UInt64)}))
    assert lake.load(pl.DataFrame)["n"].to_list() == [0, 2**63, 2**64 - 1]
    assert lake.load(pl.LazyFrame).filter(pl.col("n") > 2**63).collect().height == 1


def test_encoding_keeps_time_zone(lake):
    frame = pl.DataFrame({"t": [datetime(2024, 6, 1, 12, tzinfo=UTC)]}).with_columns(
        pl.col("t").dt.convert_time_zone("America/New_York")
    )
    lake.store(frame)
    assert lake.load(pl.DataFrame).schema["t"] == pl.Datetime("us", "America/New_York")


def test_encoding_refuses_names_that_differ_in_case(lake):
    with pytest.raises(AssetOutputValidationError, match="'a' and 'A'"):
        lake.store(pl.DataFrame({"a": [1], "A": [2]}))


def test_compatibility_names_both_types(lake):
    lake.store(pl.DataFrame({"n": pl.Series([1], dtype=pl.UInt32)}))
    with pytest.raises(AssetOutputValidationError, match=r"'n' has type int64, and uint32"):
        lake.store(pl.DataFrame({"n": [-1]}), mode="append")
    assert lake.load(pl.DataFrame).height == 1


def test_encoding_is_invisible_to_other_readers(lake):
    lake.store(
        pl.DataFrame({"n": pl.Series([7], dtype=pl.UInt16), "c": pl.Series(["x"], dtype=pl.Categorical)})
    )
    assert lake.table().to_pyarrow_table().to_pydict() == {"n": [7], "c": ["x"]}
