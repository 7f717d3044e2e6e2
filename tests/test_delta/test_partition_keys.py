"""A partition key finds its own rows, whatever the type of its column and however near the next key is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Context, Decimal

import arro3.core as a3
import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import NotMaterializedError, PartitionValidationError
from rivers_delta.partitions import keys
from rivers_delta.schema import encoding as columns
from tests.test_delta.support import Lake

READERS = [pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, a3.Table]
BIG = [2**53 + 1, 2**53]
KEYS = {"partition_expr": "k"}


def plain(loaded):
    if isinstance(loaded, pl.LazyFrame):
        return loaded.collect()
    return pl.DataFrame(loaded.read_all() if isinstance(loaded, pa.RecordBatchReader) else loaded)


def whole(bits, *, signed=True):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.integers(high - 3, high) | st.integers(low, low + 3)


def decimals(precision, scale):
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    near = st.integers(10**precision - 4, 10**precision - 1) | st.integers(-3, 3)
    return (digits | near).map(lambda number: Decimal(number).scaleb(-scale, WIDE))


WIDE = Context(prec=60)
TYPES = {
    "int8": (pl.Int8, whole(8)),
    "int32": (pl.Int32, whole(32)),
    "int64": (pl.Int64, whole(64)),
    "uint8": (pl.UInt8, whole(8, signed=False)),
    "uint32": (pl.UInt32, whole(32, signed=False)),
    "uint64": (pl.UInt64, whole(64, signed=False) | st.integers(2**53 - 2, 2**53 + 2)),
    "decimal(15, 4)": (pl.Decimal(15, 4), decimals(15, 4)),
    "decimal(16, 2)": (pl.Decimal(16, 2), decimals(16, 2)),
    "decimal(38, 0)": (pl.Decimal(38, 0), decimals(38, 0)),
    "decimal(38, 38)": (pl.Decimal(38, 38), decimals(38, 38)),
    "float32": (pl.Float32, st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "float64": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False)),
    "bool": (pl.Boolean, st.booleans()),
    "date": (pl.Date, st.dates()),
    "datetime": (
        pl.Datetime,
        st.datetimes() | st.datetimes().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    ),
    "datetime in UTC": (pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "text": (
        pl.String,
        st.text(st.characters(exclude_categories=["C"], exclude_characters="|,"), min_size=1, max_size=3),
    ),
}


def column_of(dtype):
    encoding = columns.encode(pl.DataFrame(schema={"k": dtype}).to_arrow().schema, {}, {})
    return encoding.columns[0]


INEXACT = [name for name in TYPES if name.startswith(("decimal", "float"))]
WRITABLE = [name for name in TYPES if name not in INEXACT]


@pytest.mark.parametrize("name", WRITABLE)
@settings(max_examples=4)
@given(st.data())
def test_partition_of_any_value_is_written_and_read_alone(tmp_path_factory, name, data):
    dtype, values = TYPES[name]
    chosen = data.draw(st.lists(values, min_size=1, max_size=3, unique=True))
    codec = keys.key_codec(column_of(dtype))
    frames = {
        codec.text(value): pl.DataFrame({"k": pl.Series([value], dtype=dtype), "n": [number]})
        for number, value in enumerate(chosen)
    }
    lake = Lake(tmp_path_factory.mktemp("lake"))
    for mode in ("overwrite", "merge", "overwrite"):
        for key, frame in frames.items():
            lake.store(frame, keys=key, mode=mode, merge_predicate="s.n = t.n", **KEYS)
    for hint in READERS:
        for key, frame in frames.items():
            assert plain(lake.load(hint, keys=key, **KEYS)).equals(frame)
        assert len(plain(lake.load(hint, keys=list(frames), **KEYS))) == len(chosen)
    lake.handler.delete(lake.asked(keys=next(iter(frames)), **KEYS))
    assert sorted(plain(lake.load(pl.DataFrame))["n"]) == list(range(1, len(chosen)))


@pytest.mark.parametrize("name", INEXACT)
@settings(max_examples=4)
@given(st.data())
def test_partition_of_inexact_values_of_another_writer_is_read(tmp_path_factory, name, data):
    dtype, values = TYPES[name]
    chosen = data.draw(st.lists(values, min_size=1, max_size=3, unique_by=lambda value: value or 0))
    lake = Lake(tmp_path_factory.mktemp("lake"))
    address = lake.handler.address("asset", None)
    for number, value in enumerate(chosen):
        frame = pl.DataFrame({"k": pl.Series([value], dtype=dtype), "n": [number]})
        write_deltalake(address, frame, mode="append")
    for hint in READERS:
        for number, value in enumerate(chosen):
            assert plain(lake.load(hint, keys=str(value), **KEYS))["n"].to_list() == [number]


@pytest.mark.parametrize("name", INEXACT)
@pytest.mark.parametrize("mode", ["overwrite", "append", "merge", "error", "ignore"])
def test_partition_keys_of_inexact_types_are_not_written(lake, name, mode):
    frame = pl.DataFrame({"k": pl.Series([0], dtype=TYPES[name][0]), "n": [1]})
    with pytest.raises(PartitionValidationError, match="column 'k'.*one number"):
        lake.store(frame, keys="0", mode=mode, merge_predicate="s.n = t.n", **KEYS)
    assert not lake.handler.exists(lake.asked())


@given(
    st.lists(
        st.text(alphabet="0123456789.-+eE_ ٣nainf:T", min_size=1, max_size=9),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
@pytest.mark.parametrize("name", [name for name in WRITABLE if name != "text"])
def test_key_codec_accepts_one_key_per_value(name, texts):
    column = column_of(TYPES[name][0])
    values = [accepted(column, text) for text in texts]
    assert None in values or values[0] != values[1]


def accepted(column, text):
    codec = keys.key_codec(column)
    try:
        value = codec.value(text)
    except (ValueError, ArithmeticError):
        return None
    assert codec.value(codec.text(value)) == value
    return value if codec.text(value) == text else None


@pytest.mark.parametrize(("dtype", "key", "own"), [
    (pl.Int64, "007", "7"), (pl.Int64, "+7", "7"), (pl.Int64, "1_0", "10"), (pl.Int64, " 7", "7"),
    (pl.Int64, "-0", "0"),
    (pl.Int64, "٣", "3"), (pl.UInt64, "07", "7"), (pl.Boolean, "True", "true"),
    (pl.Date, "20240101", "2024-01-01"), (pl.Date, "2024-W01-1", "2024-01-01"),
    (pl.Datetime, "2024-01-01", "2024-01-01T00:00:00"), (pl.Datetime, "2024-01-01 05:00", "2024-01-01T05:00:00"),
    (pl.Datetime("us", "UTC"), "2024-01-01T02:00:00+02:00", "2024-01-01T00:00:00"),
    (pl.Datetime("us", "Europe/Berlin"), "2024-03-31T02:30:00", "2024-03-31T03:30:00"),
])  # fmt: skip
def test_partition_key_with_other_text_is_refused(lake, dtype, key, own):
    frame = pl.DataFrame(schema={"k": dtype, "n": pl.Int64})
    with pytest.raises(PartitionValidationError, match="would replace each other's rows") as refused:
        lake.store(frame, keys=key, **KEYS)
    assert f"Use {own!r}" in str(refused.value)
    lake.store(frame, keys=own, **KEYS)
    assert len(lake.load(pl.DataFrame, keys=own, **KEYS)) == 0


@pytest.mark.parametrize(("dtype", "key", "why"), [
    (pl.Float64, "inf", "not finite"), (pl.Float64, "-inf", "not finite"), (pl.Float32, "nan", "not finite"),
    (pl.Decimal(10, 2), "NaN", "not finite"), (pl.Decimal(10, 2), "1.505", "more than 2 digits after the point"),
    (pl.Decimal(10, 2), "123456789.00", "more than 8 digits before the point"),
    (pl.Decimal(10, 2), "1e999999", "more than 8 digits before the point"),
    (pl.Int8, "128", "not between -128 and 127"), (pl.UInt64, "-1", "not between 0 and"),
])  # fmt: skip
def test_key_codec_says_why_a_column_cannot_hold_a_key(dtype, key, why):
    with pytest.raises(keys.UnfitKeyError, match=why):
        keys.key_codec(column_of(dtype)).value(key)


def test_partition_key_is_never_the_name_of_a_column(lake):
    write_deltalake(lake.handler.address("asset", None), pl.DataFrame({"k": [1.5], "inf": [1.5]}))
    for key in ("inf", "nan", "-inf"):
        with pytest.raises(PartitionValidationError, match="not a value of column 'k'"):
            lake.load(pl.DataFrame, keys=key, **KEYS)
    assert lake.load(pl.DataFrame, keys="1.5", **KEYS).height == 1


def test_partition_key_with_line_separators(lake):
    for key in ("a\u2028b", "a\x85b"):
        lake.store(pl.DataFrame({"k": [key], "n": [1]}), keys=key, **KEYS)
        assert lake.load(pl.DataFrame, keys=key, **KEYS)["n"].to_list() == [1]


def test_partition_of_zero_has_both_zeros_of_floats(lake):
    frame = pl.DataFrame({"k": [0.0, -0.0], "n": [1, 2]})
    write_deltalake(lake.handler.address("asset", None), frame)
    for hint in READERS:
        assert len(plain(lake.load(hint, keys="0.0", **KEYS))) == 2


def wide(value, dtype=None):
    return pl.DataFrame({"k": pl.Series([value], dtype=dtype or pl.Decimal(20, 0)), "n": [1]})


@pytest.fixture
def rounded(lake):
    """A table that deltalake alone has written, with bounds that are not true."""
    address = lake.handler.address("asset", None)
    for number in BIG:
        write_deltalake(address, wide(Decimal(number)), mode="append")
    return lake


def test_partition_over_rounded_bounds_is_read(rounded):
    for number in BIG:
        for hint in READERS:
            assert plain(rounded.load(hint, keys=str(number), **KEYS))["k"].to_list() == [number]
        result = rounded.load(pl.LazyFrame).filter(pl.col("k") == Decimal(number))
        assert result.collect()["k"].to_list() == [number]
        assert result.collect(engine="streaming").height == 1
    with pytest.raises(NotMaterializedError):
        rounded.load(pl.DataFrame, keys=str(BIG[0] + 1), **KEYS)


def test_partition_over_rounded_bounds_is_deleted_alone(rounded):
    rounded.handler.delete(rounded.asked(keys=str(BIG[0]), **KEYS))
    assert rounded.load(pl.DataFrame)["k"].to_list() == [BIG[1]]


def test_partition_beyond_truncated_bounds_is_found(lake):
    for _ in range(2):
        for year in (2024, 4254):
            moment = datetime(year, 1, 1, 0, 0, 0, 1001)
            lake.store(pl.DataFrame({"k": [moment], "n": [1]}), keys=moment.isoformat(), **KEYS)
    assert lake.table().count() == 2
    for hint in READERS:
        assert len(plain(lake.load(hint, keys="4254-01-01T00:00:00.001001", **KEYS))) == 1


def test_partition_folders_still_skip_files(lake):
    frame = pl.DataFrame(
        {"r": ["a", "b", None], "k": pl.Series(["1", None, "3"]).cast(pl.Decimal(20, 0)), "n": [1, 2, 3]}
    )
    write_deltalake(lake.handler.address("asset", None), frame, partition_by=["r"])
    for hint in READERS:
        assert plain(lake.load(hint, keys="3", **KEYS)).select("r", "k", "n").rows() == [(None, 3, 3)]
        assert plain(lake.load(hint, keys="1", **KEYS))["r"].to_list() == ["a"]


def bounds(lake):
    """The least values in the log, of every file that there ever was."""
    table = lake.table()
    result = []
    for version in range(table.version() + 1):
        table.load_as_version(version)
        actions = pl.DataFrame(table.get_add_actions())
        result += actions["min"].to_list() if "min" in actions.columns else [{}] * actions.height
    return result


def test_write_omits_bounds_that_would_be_rounded(lake):
    frames = [wide(number, pl.UInt64).with_columns(n=pl.lit(turn)) for turn, number in enumerate(BIG * 2)]
    for frame in frames[:2]:
        lake.store(frame, keys=str(frame["k"][0]), **KEYS)
    lake.store(pl.concat(frames[:2]), keys=[str(number) for number in BIG], **KEYS)
    lake.store(frames[0], keys=str(BIG[0]), mode="append", **KEYS)
    lake.store(frames[2], keys=str(BIG[0]), mode="merge", merge_predicate="s.k = t.k", **KEYS)
    lake.handler.delete(lake.asked(keys=str(BIG[1]), **KEYS))
    lake.store(frames[1], keys=str(BIG[1]), **KEYS)
    lake.handler.maintain([lake.asked()], dry_run=False, vacuum=False)
    assert {bound.get("k") for bound in bounds(lake)} == {None}
    assert None not in {bound["n"] for bound in bounds(lake)}
    lake.handler.maintain([lake.asked()], dry_run=False, vacuum=False, z_order=["n"])
    assert lake.load(pl.DataFrame, keys=str(BIG[0]), **KEYS)["k"].to_list() == [BIG[0]] * 2


def test_write_omits_rounded_bounds_of_structs(lake):
    amounts = pl.Series(
        [{"of": Decimal("123456789012345.67"), "n": 1}],
        dtype=pl.Struct({"of": pl.Decimal(18, 2), "n": pl.Int64}),
    )
    frame = pl.DataFrame(
        {
            "amounts": amounts,
            "day": [date(2024, 1, 1)],
            "p.q": pl.Series([Decimal(BIG[0])], dtype=pl.Decimal(38, 0)),
        }
    )
    properties = {
        "column_properties": {"day": {"dictionary_enabled": False}, "p.q": {"statistics_enabled": "PAGE"}}
    }
    lake.store(frame, writer_properties=properties)
    (bound,) = bounds(lake)
    assert bound == {"amounts": None, "day": date(2024, 1, 1), "p.q": None}
    loaded = lake.load(pl.LazyFrame)
    assert (
        loaded.filter(pl.col("amounts").struct.field("of") == Decimal("123456789012345.67")).collect().height
        == 1
    )
    assert loaded.filter(pl.col("p.q") == Decimal(BIG[0])).collect().height == 1


def test_partition_key_listed_once_keeps_its_text(lake):
    months = PartitionsDefinition.static_([f"{month:02}" for month in range(1, 13)])
    for key in ("01", "02"):
        lake.store(pl.DataFrame({"k": [int(key)], "n": [1]}), keys=key, definition=months, **KEYS)
    loaded = lake.load(pl.DataFrame, keys="02", definition=months, **KEYS)
    assert loaded.rows() == [(2, 1)]


def test_partition_key_of_time_window_keeps_its_text(lake):
    months = PartitionsDefinition.time_window("012024", cron_schedule="0 0 1 * *", end="062024", fmt="%m%Y")
    for key in ("012024", "022024"):
        lake.store(pl.DataFrame({"k": [int(key)], "n": [1]}), keys=key, definition=months, **KEYS)
    assert lake.load(pl.DataFrame, keys="022024", definition=months, **KEYS).rows() == [(22024, 1)]


def test_partition_keys_listed_with_one_value_are_refused(lake):
    both = PartitionsDefinition.static_(["01", "1", "x"])
    with pytest.raises(PartitionValidationError, match="'01' is the value '1'.*two keys of one value"):
        lake.store(pl.DataFrame({"k": [1], "n": [1]}), keys="01", definition=both, **KEYS)
