"""Categories keep their order and those that do not occur; a table never gets one that it could not give back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import arro3.core as ac
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers_core.exceptions import AssetOutputValidationError, RiversError
from rivers_delta.schema import categories
from rivers_frames import arrow_categories
from tests.test_delta.support import Lake

SIZES = pd.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)
MATCH = {"mode": "merge", "merge_predicate": "s.k = t.k"}
WAYS = [{"mode": "append"}, MATCH, {"mode": "append", "schema_mode": "merge"}, {"schema_mode": "merge"}]


def sizes(values: list[str], dtype: object = SIZES) -> pd.DataFrame:
    return pd.DataFrame({"k": range(len(values)), "size": pd.Series(values, dtype=dtype)})


def enum(values: list[str], known: list[str], key: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"k": [key] * len(values), "e": pl.Series(values, dtype=pl.Enum(known))})


def dictionary(values: list[object], known: list[object], *, ordered: bool = True) -> pa.Table:
    indices = pa.array([None if value is None else known.index(value) for value in values], pa.int8())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(known), ordered=ordered)
    return pa.table({"k": range(len(values)), "size": column})


def test_categories_keep_comparison_order(lake):
    lake.store(sizes(["L", "S", "M"]))
    loaded = lake.load(pd.DataFrame)["size"]
    assert loaded.dtype == SIZES
    assert loaded.max() == "L"
    assert list(loaded[loaded > "S"]) == ["L", "M"]
    assert lake.load(pl.DataFrame)["size"].max() == "L"
    assert lake.load(pl.LazyFrame).filter(pl.col("size") > "S").collect().height == 2


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "known",
    [
        ["b", "a", "c"],
        [3, 1, 2],
        [0.1, 1 / 3, 1e300],
        [True, False],
        pd.to_datetime(["2021", "2020"]).as_unit("us"),
        pd.to_datetime(["2021", "2020"]).as_unit("us").tz_localize("Europe/Berlin"),
        [dt.date(2021, 1, 1), dt.date(2020, 1, 1)],
        [Decimal("2.50"), Decimal("1.00")],
    ],
)
def test_categories_of_pandas_round_trip(lake, known, ordered):
    frame = pd.DataFrame({"c": pd.Categorical([known[1], None], known, ordered=ordered)})
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)
    lake.store(frame[:0])
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame[:0])


@pytest.mark.parametrize("read", [pa.Table, pa.RecordBatchReader])
def test_categories_of_ordered_dictionary_round_trip(lake, read):
    table = dictionary(["L", None, "S"], ["S", "M", "L"])
    lake.store(table)
    loaded = lake.load(read)
    loaded = loaded.read_all() if read is pa.RecordBatchReader else loaded
    assert loaded.equals(table)
    assert loaded["size"].chunk(0).dictionary.to_pylist() == ["S", "M", "L"]


@settings(max_examples=40)
@given(st.lists(st.text(max_size=3), min_size=1, max_size=5, unique=True), st.data())
def test_categories_of_any_text_round_trip(tmp_path_factory, known, data):
    values = data.draw(st.lists(st.sampled_from([*known, None]), max_size=4))
    lake = Lake(tmp_path_factory.mktemp("lake"))
    frame = pl.DataFrame({"e": pl.Series(values, dtype=pl.Enum(known))})
    lake.store(frame)
    assert lake.load(pl.DataFrame).equals(frame)
    assert lake.load(pl.DataFrame).schema == frame.schema
    expected = pd.DataFrame({"e": pd.Categorical(values, pd.Index(known, dtype="str"), ordered=True)})
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), expected)


@pytest.mark.parametrize("way", WAYS)
def test_categories_refuse_new_enum_values(lake, way):
    lake.store(enum(["a"], ["a", "b"]))
    with pytest.raises(
        AssetOutputValidationError, match=r"'e' contains categories .* missing from the table: 'c', 'd'"
    ):
        lake.store(enum(["c"], ["c", "b", "d"]), **way)
    assert lake.load(pl.DataFrame).equals(enum(["a"], ["a", "b"]))


def test_categories_refuse_new_enum_values_in_partition(lake):
    lake.store(enum(["a"], ["a", "b"]), keys="0", partition_expr="k")
    with pytest.raises(AssetOutputValidationError, match="missing from the table: 'c'"):
        lake.store(enum(["c"], ["c"], key=1), keys="1", partition_expr="k")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("known", "message"), [(["b", "a"], "in another order"), (["a"], "fewer")])
def test_categories_refuse_other_order_or_fewer(lake, way, known, message):
    lake.store(enum(["a"], ["a", "b"]))
    with pytest.raises(
        AssetOutputValidationError, match=rf"column 'e' has categories that are {message}.*'a', 'b'"
    ):
        lake.store(enum(["a"], known), **way)


@pytest.mark.parametrize("way", WAYS)
def test_categories_ordered_and_unordered_do_not_mix(lake, way):
    lake.store(sizes(["S"]))
    with pytest.raises(AssetOutputValidationError, match="column 'size'"):
        lake.store(sizes(["S"], "category"), **way)
    with pytest.raises(AssetOutputValidationError, match="column 'size'"):
        lake.store(pa.table({"k": [0], "size": pa.array(["XXL"]).dictionary_encode()}), **way)


def test_categories_are_replaced_by_overwrite(lake):
    lake.store(enum(["a"], ["a", "b"]))
    lake.store(enum(["c"], ["c"]))
    assert lake.load(pl.DataFrame).equals(enum(["c"], ["c"]))
    lake.store(sizes(["S"]), "other")
    many = pd.CategoricalDtype([str(i) for i in range(300)], ordered=True)
    lake.store(sizes(["7"], many), "other")
    assert lake.load(pd.DataFrame, "other")["size"].dtype == many


def test_categories_agree_between_libraries(lake):
    lake.store(sizes(["L"]))
    lake.store(lake.load(pl.DataFrame), mode="append")
    lake.store(lake.load(pa.Table), mode="append")
    assert lake.load(pd.DataFrame)["size"].dtype == SIZES
    assert list(lake.load(pd.DataFrame)["size"]) == ["L"] * 4


def test_categories_unordered_accept_new_ones(lake):
    lake.store(sizes(["b"], pd.CategoricalDtype(["c", "b"])))
    more = [str(i) for i in range(200)]
    lake.store(sizes(more, pd.CategoricalDtype(more)), mode="append")
    loaded = lake.load(pd.DataFrame)["size"]
    assert sorted(loaded) == sorted(["b", *more])
    assert list(loaded.cat.categories[:2]) == ["c", "b"]
    assert lake.load(pa.Table)["size"].type.index_type == pa.int32()
    assert lake.load(pl.DataFrame)["size"].dtype == pl.Categorical


def test_categories_merge_into_text_keeps_values(lake):
    for name, old in {"text": ["x"], "categories": pa.array(["x"]).dictionary_encode()}.items():
        lake.store(pa.table({"k": [0], "e": old}), name)
        lake.store(enum(["a"], ["a", "b"]), name, **MATCH)
        assert lake.load(pl.DataFrame, name)["e"].to_list() == ["a"]


def test_categories_ordered_in_stream_are_refused(lake):
    with pytest.raises(AssetOutputValidationError, match="column 'size'.*read it into a table"):
        lake.store(dictionary(["S"], ["S", "M"]).to_reader())
    lake.store(dictionary(["S"], ["S", "M"], ordered=False).to_reader())


def test_categories_that_differ_between_chunks_are_refused(lake):
    parts = [dictionary(["S"], ["S", "M"]), dictionary(["S"], ["M", "S"])]
    with pytest.raises(AssetOutputValidationError, match="column 'size' has ordered categories"):
        lake.store(pa.concat_tables(parts))


def test_categories_without_text_form_are_refused(lake):
    with pytest.raises(AssetOutputValidationError, match="column 'size'.*ordered categories.*binary"):
        lake.store(dictionary([b"\xff"], [b"\xff", b"a"]))
    lake.store(dictionary([b"\xff"], [b"\xff", b"a"], ordered=False))
    assert lake.load(pa.Table)["size"].to_pylist() == [b"\xff"]


@pytest.mark.parametrize(("count", "length"), [(categories._MAX_CATEGORIES + 1, 1), (300, 1000)])
def test_categories_too_many_to_record_are_refused(lake, count, length):
    known = [f"{i:0{length}}" for i in range(count)]
    with pytest.raises(AssetOutputValidationError, match=rf"column 'size'.*{count:,} ordered categories"):
        lake.store(sizes([known[1]], pd.CategoricalDtype(known, ordered=True)))
    lake.store(sizes([known[1]], pd.CategoricalDtype(known)))
    assert list(lake.load(pd.DataFrame)["size"].cat.categories) == [known[1]]
    assert len(lake.table().metadata().configuration) < 10
    assert len(lake.table().schema().to_json()) < 2000


def test_categories_name_unknown_value_on_load(lake):
    lake.store(dictionary(["S"], ["S", "M"]))
    lake.table().update(updates={"size": "'huge'"})
    for kind in (pa.Table, pd.DataFrame):
        with pytest.raises(RiversError, match="column 'size' contains 'huge'"):
            lake.load(kind)


def test_categories_in_change_feed(tmp_path):
    lake = Lake(tmp_path, table_config={"delta.enableChangeDataFeed": "true"})
    lake.store(sizes(["L"]))
    asked = {"change_feed": {"start": 0}}
    assert lake.load(pd.DataFrame, **asked)["size"].dtype == SIZES
    assert lake.load(pl.DataFrame, **asked).schema["size"] == pl.Enum(["S", "M", "L", "XL"])
    assert lake.load(pa.Table, **asked)["size"].chunk(0).dictionary.to_pylist() == ["S", "M", "L", "XL"]


@pytest.mark.parametrize("value", [None, "", "x", "ü", "a;b", '"'])
def test_categories_as_texts_keeps_text(value):
    assert arrow_categories.as_texts(pa.array([value], pa.string())) == [value]


@pytest.mark.parametrize("feed", [False, True])
@pytest.mark.parametrize(
    "read", [pa.RecordBatchReader, ac.RecordBatchReader, ac.Table, duckdb.DuckDBPyRelation]
)
def test_categories_beyond_narrow_indices_are_streamed(tmp_path, read, feed):
    lake = Lake(tmp_path, table_config={"delta.enableChangeDataFeed": "true"})
    for known in ([f"a{i}" for i in range(100)], [f"b{i}" for i in range(400)]):
        lake.store(sizes(known, pd.CategoricalDtype(known)), mode="append")
    loaded = lake.load(read, change_feed=True) if feed else lake.load(read)
    if isinstance(loaded, duckdb.DuckDBPyRelation):
        loaded = loaded.to_arrow_table()
    assert pa.table(loaded).num_rows == 500
    if not feed:
        lake.store(lake.load(read), "copy")
        assert lake.load(pa.Table, "copy").num_rows == 500


def test_categories_stream_is_appended_to_its_source(lake):
    lake.store(sizes(["a"], "category"))
    lake.store(lake.load(pa.RecordBatchReader), mode="append")
    assert list(lake.load(pd.DataFrame)["size"]) == ["a", "a"]


def test_categories_of_computed_arro3_stream(lake):
    lake.store(pa.table({"n": pa.array([1, 2], pa.uint32())}))
    lake.store(lake.load(ac.RecordBatchReader), "copy")
    assert lake.load(pa.Table, "copy")["n"].to_pylist() == [1, 2]


@pytest.mark.parametrize("read", [pa.RecordBatchReader, ac.RecordBatchReader])
def test_categories_unordered_have_wide_indices_in_stream(lake, read):
    table = dictionary(["L", "S"], ["S", "L"], ordered=False)
    lake.store(table)
    assert lake.load(pa.Table)["size"].type.index_type == pa.int8()
    assert pa.schema(lake.load(read).schema).field("size").type == pa.dictionary(pa.int32(), pa.string())
