"""A merge never changes a value on its way, and never drops a column: it keeps them, or says which it cannot keep."""

from __future__ import annotations

import decimal
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import AssetOutputValidationError, InvalidMetadataError, RiversError
from rivers_delta import (
    DeltaIOHandler,
    MergeConfig,
    MergeOperationsConfig,
    WhenMatchedDelete,
    WhenMatchedUpdate,
    WhenMatchedUpdateAll,
    WhenNotMatchedInsert,
    WhenNotMatchedInsertAll,
)
from rivers_delta.schema.promotion import keeps_or_drops, widens
from tests.test_delta.support import Lake

MATCH = {"mode": "merge", "merge_predicate": "s.k = t.k"}
INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
DECIMALS = [
    pa.decimal128(digits, places)
    for digits, places in ((3, 0), (5, 0), (10, 0), (19, 0), (20, 0), (38, 0), (5, 2), (22, 2), (38, 18), (38, 38))
]  # fmt: skip
NUMBERS = [*INTEGERS, *FLOATS, *DECIMALS]
LARGEST = {16: 65504.0, 32: 3.4028234663852886e38, 64: 1.7976931348623157e308}


def extremes(kind: pa.DataType) -> list[object]:
    """The smallest and the largest value of a type of numbers."""
    if pa.types.is_floating(kind):
        return [-LARGEST[kind.bit_width], LARGEST[kind.bit_width]]
    if pa.types.is_decimal(kind):
        with decimal.localcontext(prec=50):
            most = (Decimal(10) ** kind.precision - 1).scaleb(-kind.scale)
        return [most.copy_negate(), most]
    if pa.types.is_signed_integer(kind):
        return [-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1]
    return [0, 2**kind.bit_width - 1]


def merged(lake: Lake, old: pa.Array, new: pa.Array, **options: object) -> list[object]:
    """A table of two rows, of which a merge updates the second and to which it adds."""
    lake.store(pa.table({"k": [0, 1], "v": old}))
    lake.store(pa.table({"k": list(range(1, len(new) + 1)), "v": new}), **MATCH, **options)
    return lake.load(pa.Table).sort_by("k")["v"].to_pylist()


def test_promotion_keeps_extremes_of_numbers(lake):
    pairs = [(given, wanted) for given in NUMBERS for wanted in NUMBERS if widens(given, wanted)]
    assert (pa.int64(), pa.float64()) not in pairs
    assert (pa.int32(), pa.float64()) in pairs
    old = {str(i): pa.array(extremes(wanted), wanted) for i, (_, wanted) in enumerate(pairs)}
    new = {str(i): pa.array([*extremes(given), None], given) for i, (given, _) in enumerate(pairs)}
    lake.store(pa.table({"k": [0, 1], **old}))
    lake.store(pa.table({"k": [1, 2, 3], **new}), **MATCH)
    result = lake.load(pa.Table).sort_by("k")
    for i, (given, wanted) in enumerate(pairs):
        assert result[str(i)].type == wanted
        kept = [extremes(wanted)[0], *extremes(given), None]
        assert result[str(i)].to_pylist() == kept, (given, wanted)


def test_promotion_makes_numbers_null_never_wrong(tmp_path):
    plain = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), *DECIMALS]
    pairs = [
        (given, wanted)
        for given in [*INTEGERS, *DECIMALS]
        for wanted in plain
        if keeps_or_drops(given, wanted) and not widens(given, wanted)
    ]
    assert (pa.int64(), pa.int8()) in pairs
    assert (pa.decimal128(5, 2), pa.decimal128(3, 0)) not in pairs
    lake = Lake(tmp_path, merge_config=MergeConfig(error_on_type_mismatch=False))
    lake.store(pa.table({"k": [0], **{str(i): pa.nulls(1, wanted) for i, (_, wanted) in enumerate(pairs)}}))
    new = {str(i): pa.array(extremes(given), given) for i, (given, _) in enumerate(pairs)}
    lake.store(pa.table({"k": [1, 2], **new}), **MATCH)
    result = lake.load(pa.Table).sort_by("k")
    for i, (given, wanted) in enumerate(pairs):
        for value, kept in zip(extremes(given), result[str(i)].to_pylist()[1:], strict=True):
            assert kept is None or kept == value, (given, wanted)


STRUCT = pa.struct([("a", pa.int64()), ("b", pa.string())])
WIDENED = [
    (pa.large_string(), pa.string(), ["x"]),
    (pa.binary(2), pa.binary(), [b"ab"]),
    (pa.dictionary(pa.int8(), pa.string()), pa.string(), ["x"]),
    (pa.string(), pa.dictionary(pa.int8(), pa.string()), ["x"]),
    (pa.list_(pa.int16()), pa.list_(pa.int64()), [[1, None]]),
    (pa.list_(pa.uint8(), 2), pa.list_(pa.int64()), [[1, 255]]),
    (pa.struct([("b", pa.string()), ("a", pa.int8())]), STRUCT, [{"b": "x", "a": 1}]),
    (pa.list_(pa.struct([("b", pa.string()), ("a", pa.int8())])), pa.list_(STRUCT), [[{"b": "x", "a": 1}]]),
    (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.int64()), [[("x", 1)]]),
]


@pytest.mark.parametrize(("given", "wanted", "values"), WIDENED)
def test_merge_keeps_values_of_narrower_type(lake, given, wanted, values):
    new = pa.array(values, given)
    assert merged(lake, pa.nulls(2, wanted), new) == [None, *new.to_pylist()]
    assert lake.load(pa.Table)["v"].type == wanted


@pytest.mark.parametrize(("given", "wanted", "values"), WIDENED)
def test_append_keeps_values_of_narrower_type(lake, given, wanted, values):
    new = pa.array(values, given)
    lake.store(pa.table({"v": pa.nulls(1, wanted)}))
    lake.store(pa.table({"v": new}), mode="append")
    result = lake.load(pa.Table)["v"]
    assert result.type == wanted
    assert [value for value in result.to_pylist() if value is not None] == new.to_pylist()


def test_merge_keeps_timestamps_of_other_zones_and_units(lake):
    new = pa.array([5, 2**31], pa.timestamp("ms", "Europe/Berlin"))
    result = merged(lake, pa.nulls(2, pa.timestamp("us", "UTC")), new)
    assert result[1:] == new.cast(pa.timestamp("us", "UTC")).to_pylist()


CHANGED = [
    ([1], [1.5]),
    ([1.0], [2**53 + 1]),
    ([1], [True]),
    (["x"], [7]),
    ([1], ["7"]),
    (pa.array([1.0], pa.float32()), [0.1]),
    (pa.array([1], pa.int16()), [2**15]),
    (pa.array([1], pa.int64()), pa.array([2**63], pa.uint64())),
    (pa.array([Decimal("1.2")], pa.decimal128(10, 1)), pa.array([Decimal("1.25")], pa.decimal128(10, 2))),
    (pa.array([1], pa.date32()), pa.array([1], pa.timestamp("us"))),
    (pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("us"))),
    (pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC"))),
    ([{"a": 1}], [{"a": 1, "b": 2}]),
    ([{"a": 1, "b": 2}], [{"a": 1}]),
    ([[1]], [[1.5]]),
    (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), [[1]]),
    (
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64(), keys_sorted=True)),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    ),
]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(("old", "new"), CHANGED)
def test_merge_refuses_values_it_would_change(tmp_path, old, new, lenient):
    lake = Lake(tmp_path, merge_config=MergeConfig(error_on_type_mismatch=not lenient))
    lake.store(pa.table({"k": [1], "v": old}))
    exact = keeps_or_drops(*(pa.table({"v": array}).schema[0].type for array in (new, old)))
    if lenient and exact:
        return
    with pytest.raises(
        AssetOutputValidationError, match=r"column 'v' has type \S.*, and \S.* in the table"
    ) as raised:
        lake.store(pa.table({"k": [1], "v": new}), **MATCH)
    assert "schema_mode" not in str(raised.value)
    assert lake.table().version() == 0


def test_merge_refuses_struct_with_more_fields(lake):
    lake.store(pa.table({"k": [1, 2], "v": [{"a": 1}, {"a": 2}]}))
    with pytest.raises(AssetOutputValidationError, match="column 'v' has type struct"):
        lake.store(pa.table({"k": [1], "v": [{"a": 5, "b": "x"}]}), schema_mode="merge", **MATCH)
    assert lake.load(pa.Table)["v"].to_pylist() == [{"a": 1}, {"a": 2}]


def test_merge_makes_null_only_if_configured(tmp_path):
    old, new = pa.array([1, 2], pa.int16()), pa.array([5, 70000])
    with pytest.raises(AssetOutputValidationError, match="'v' has type int64, and int16"):
        merged(Lake(tmp_path / "strict"), old, new)
    config = MergeConfig(error_on_type_mismatch=False)
    assert merged(Lake(tmp_path / "lenient", merge_config=config), old, new) == [1, 5, None]


def test_merge_refuses_numbers_beyond_hinted_type(tmp_path):
    lake = Lake(tmp_path, merge_config=MergeConfig(error_on_type_mismatch=False))
    with pytest.raises(AssetOutputValidationError, match="'v' has type int64, and uint8"):
        merged(lake, pa.array([1, 2], pa.uint8()), pa.array([300]))


def test_merge_refuses_new_columns_by_default(lake):
    lake.store(pa.table({"k": [1], "v": [1]}))
    new = pa.table({"k": [1, 2], "v": [5, 6], "note": ["a", "b"]})
    with pytest.raises(AssetOutputValidationError, match=r"column 'note' is not in the table.*schema_mode"):
        lake.store(new, **MATCH)
    lake.store(new, schema_mode="merge", **MATCH)
    assert lake.load(pa.Table).sort_by("k").to_pylist() == new.to_pylist()


@pytest.mark.parametrize("mode", [{"mode": "append"}, MATCH])
def test_write_refuses_column_that_differs_in_case(lake, mode):
    lake.store(pa.table({"k": [1], "v": [1]}))
    with pytest.raises(AssetOutputValidationError, match="'V' is named 'v' in the table"):
        lake.store(pa.table({"k": [1], "V": [1]}), schema_mode="merge", **mode)


def custom(tmp_path, **operations: object) -> Lake:
    operations = MergeOperationsConfig(**operations)
    config = MergeConfig(merge_type="custom", predicate="s.k = t.k", operations=operations)
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(pl.DataFrame({"k": [1, 2], "v": [1, 2]}), mode="overwrite")
    return lake


def test_custom_merge_accepts_columns_for_predicates(tmp_path):
    lake = custom(
        tmp_path,
        when_matched_delete=WhenMatchedDelete(predicate="s.gone"),
        when_matched_update=WhenMatchedUpdate(updates={"v": "s.v + s.more"}),
        when_not_matched_insert_all=WhenNotMatchedInsertAll(except_cols=["gone", "more"]),
    )
    lake.store(
        pl.DataFrame({"k": [1, 2, 3], "v": [9, 9, 9], "gone": [True, False, False], "more": [1, 1, 1]})
    )
    assert sorted(lake.load(pl.DataFrame).rows()) == [(2, 10), (3, 9)]


def test_custom_merge_of_whole_rows_adds_no_column(tmp_path):
    lake = custom(tmp_path, when_matched_update_all=WhenMatchedUpdateAll())
    with pytest.raises(AssetOutputValidationError, match="column 'gone' is not in the table"):
        lake.store(pl.DataFrame({"k": [1], "v": [9], "gone": [True]}))


@pytest.mark.parametrize("expression", ["s.w", 's."w"', " s.`w` "])
def test_custom_merge_refuses_column_of_other_type(tmp_path, expression):
    lake = custom(tmp_path, when_matched_update=WhenMatchedUpdate(updates={"t.v": expression}))
    with pytest.raises(AssetOutputValidationError, match="column 'w' has type double, and int64"):
        lake.store(pl.DataFrame({"k": [1], "w": [1.5]}))
    lake.store(pl.DataFrame({"k": [1], "w": [5]}))
    assert sorted(lake.load(pl.DataFrame).rows()) == [(1, 5), (2, 2)]


def test_custom_merge_checks_only_assigned_columns(tmp_path):
    lake = custom(tmp_path, when_not_matched_insert=WhenNotMatchedInsert(updates={"k": "s.k"}))
    lake.store(pl.DataFrame({"k": [3], "v": ["another kind"], "note": ["x"]}))
    assert sorted(lake.load(pl.DataFrame)["k"]) == [1, 2, 3]
    with pytest.raises(InvalidMetadataError, match="'vv'.*'v'"):
        custom(tmp_path / "b", when_matched_update=WhenMatchedUpdate(updates={"vv": "s.v"})).store(
            pl.DataFrame({"k": [1], "v": [1]})
        )


REQUIRED = pa.schema([("k", pa.int64()), pa.field("v", pa.int64(), nullable=False)])


@pytest.mark.parametrize("mode", [{"mode": "append"}, {"mode": "overwrite"}, MATCH])
@pytest.mark.parametrize("value", [pa.table, lambda rows: pa.table(rows).to_reader()])
def test_write_refuses_null_in_required_column(lake, mode, value):
    lake.store(pa.table({"k": [0], "v": [1]}, schema=REQUIRED))
    with pytest.raises(AssetOutputValidationError, match="column 'v' must not be null.*one row"):
        lake.store(value({"k": [1, 2], "v": [None, 3]}), **mode)
    lake.store(value({"k": [1, 2], "v": [2, 3]}), **mode)
    assert lake.load(pa.Table).schema.equals(REQUIRED)


@pytest.mark.parametrize("mode", [{"mode": "append", "schema_mode": "merge"}, MATCH])
def test_write_refuses_missing_required_column(lake, mode):
    lake.store(pa.table({"k": [0], "v": [1]}, schema=REQUIRED))
    with pytest.raises(AssetOutputValidationError, match="column 'v' of the table is missing"):
        lake.store(pa.table({"k": [1]}), **mode)


def test_write_refuses_value_that_breaks_its_schema(lake):
    broken = pa.Table.from_arrays([pa.array([1]), pa.array([None], pa.int64())], schema=REQUIRED)
    with pytest.raises(RiversError, match="'v' is declared as non-nullable"):
        lake.store(broken)


def test_write_names_nested_field_with_nulls(lake):
    kinds = [pa.struct([pa.field("a", pa.int64(), nullable=nullable)]) for nullable in (False, True)]
    lake.store(pa.table({"s": pa.array([{"a": 1}], kinds[0])}))
    lake.store(pa.table({"s": pa.array([{"a": 2}], kinds[1])}), mode="append")
    with pytest.raises(RiversError, match="column 's'.*'a'"):
        lake.store(pa.table({"s": pa.array([{"a": None}], kinds[1])}), mode="append")


def test_write_refuses_names_of_change_feed(tmp_path):
    lake = Lake(tmp_path, table_config={"delta.enableChangeDataFeed": "true"})
    value = pa.table({"k": [1], "_Change_Type": ["x"]})
    with pytest.raises(AssetOutputValidationError, match="'_Change_Type'.*change feed"):
        lake.store(value)
    lake.store(pa.table({"k": [1]}))
    with pytest.raises(AssetOutputValidationError, match="'_Change_Type'.*change feed"):
        lake.store(value, schema_mode="merge", mode="append")
    Lake(tmp_path / "without").store(value)


def test_merge_configuration_from_plain_data(tmp_path):
    handler = DeltaIOHandler(table_uri=str(tmp_path), merge_config={"error_on_type_mismatch": False})
    assert handler.merge_config is not None
    assert not handler.merge_config.error_on_type_mismatch
