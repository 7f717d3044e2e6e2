"""A partition is a part of one table: written alone, read alone, never mixed with its neighbours."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers.partitions import PartitionsDefinition
from rivers_core import PartitionKey
from rivers_core.exceptions import InvalidMetadataError, NotMaterializedError, PartitionValidationError
from tests.test_delta.support import Lake, facts

DAYS = PartitionsDefinition.daily(datetime(2024, 1, 1), datetime(2024, 3, 1))
HOURS = PartitionsDefinition.hourly(datetime(2024, 1, 1), datetime(2024, 1, 3))
MONTHS = PartitionsDefinition.time_window(
    datetime(2024, 1, 1), cron_schedule="0 0 1 * *", end=datetime(2025, 1, 1), fmt="%Y-%m"
)
REGION = {"partition_expr": "region"}


def sales(*rows):
    return pl.DataFrame(rows, schema={"region": pl.String, "n": pl.Int64}, orient="row")


def pairs(frame):
    return sorted(frame.rows())


def test_partition_overwrite_replaces_it_alone(lake):
    lake.store(sales(("us", 1), ("us", 2)), keys="us", **REGION)
    lake.store(sales(("eu", 3)), keys="eu", **REGION)
    context = lake.store(sales(("us", 9)), keys="us", **REGION)
    assert pairs(lake.load(pl.DataFrame)) == [("eu", 3), ("us", 9)]
    assert lake.table().version() == 2
    assert facts(context)["num_rows"] == 2


def test_partition_is_read_alone(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    lake.store(sales(("eu", 3)), keys="eu", **REGION)
    for hint in (pl.DataFrame, pa.Table):
        assert pl.DataFrame(lake.load(hint, keys="eu", **REGION)).rows() == [("eu", 3)]


def test_partitions_are_written_and_read_together(lake):
    lake.store(sales(("us", 1), ("eu", 2)), keys=["us", "eu"], **REGION)
    assert lake.table().version() == 0
    lake.store(sales(("eu", 5), ("asia", 6)), keys=["eu", "asia"], **REGION)
    assert pairs(lake.load(pl.DataFrame)) == [("asia", 6), ("eu", 5), ("us", 1)]
    assert pairs(lake.load(pl.DataFrame, keys=["us", "asia"], **REGION)) == [("asia", 6), ("us", 1)]


@pytest.mark.parametrize("mode", ["overwrite", "append", "error", "merge"])
def test_partition_refuses_foreign_rows(lake, mode):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    with pytest.raises(
        PartitionValidationError, match=r"one row belongs to another partition \('region' is 'us'\)"
    ):
        lake.store(sales(("eu", 2), ("us", 3)), keys="eu", mode=mode, merge_predicate="s.n = t.n", **REGION)
    with pytest.raises(PartitionValidationError, match="'region' is None"):
        lake.store(sales((None, 2)), keys="eu", mode=mode, merge_predicate="s.n = t.n", **REGION)
    assert pairs(lake.load(pl.DataFrame)) == [("us", 1)]


def test_partition_refuses_foreign_rows_on_first_write(lake):
    for value in (sales(("us", 1)), sales(("us", 1)).lazy(), pa.table({"region": ["us"], "n": [1]})):
        with pytest.raises(PartitionValidationError, match="another partition"):
            lake.store(value, keys="eu", **REGION)
    assert not lake.handler.exists(lake.asked())


def test_partition_never_written_is_absent(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    with pytest.raises(NotMaterializedError, match="partition 'eu'"):
        lake.load(pl.DataFrame, keys="eu", **REGION)
    with pytest.raises(NotMaterializedError, match="partition 'eu'"):
        lake.load(pl.DataFrame, keys=["us", "eu"], **REGION)
    assert not lake.handler.exists(lake.asked(keys="eu", **REGION))


def test_partition_without_rows_exists(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    lake.store(sales(), keys="eu", **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION).height == 0
    for _ in range(12):
        lake.store(sales(("us", 1)), keys="us", **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION).height == 0, "also after a checkpoint"


def test_partition_of_foreign_table_is_found_by_rows(lake):
    write_deltalake(lake.handler.address("asset", None), sales(("us", 1)))
    assert lake.load(pl.DataFrame, keys="us", **REGION).height == 1
    with pytest.raises(NotMaterializedError):
        lake.load(pl.DataFrame, keys="eu", **REGION)


def test_partition_needs_partition_expr(lake):
    with pytest.raises(PartitionValidationError, match="each would replace the others.*partition_expr"):
        lake.store(sales(("us", 1)), keys="us")


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "merge", "merge_type": "replace_delete_unmatched", "merge_predicate": "s.n = t.n"}],
)
def test_partitions_added_later_are_not_overwritten(lake, options):
    lake.store(pl.DataFrame({"k": ["a"], "n": [0]}))
    for key in "ab":
        lake.store(pl.DataFrame({"k": [key], "n": [1]}), keys=key, partition_expr="k")
    with pytest.raises(PartitionValidationError, match="has no partition, and table .* is partitioned"):
        lake.store(pl.DataFrame({"k": ["z"], "n": [9]}), **options)
    lake.store(pl.DataFrame({"k": ["z"], "n": [9]}), mode="create_or_replace")
    lake.store(pl.DataFrame({"k": ["z"], "n": [10]}))
    assert lake.load(pl.DataFrame).rows() == [("z", 10)]


def test_partitioned_table_is_not_overwritten(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    with pytest.raises(PartitionValidationError, match=r"by 'region'.*create_or_replace"):
        lake.store(sales(("us", 1)))
    lake.store(
        pl.DataFrame({"t": [datetime(2024, 1, 1)]}),
        "times",
        keys="2024-01-01",
        definition=DAYS,
        partition_expr="t",
    )
    with pytest.raises(PartitionValidationError, match="by 't'"):
        lake.store(pl.DataFrame({"t": [datetime(2024, 1, 1)]}), "times")


def test_partition_refuses_modes_that_drop_others(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    with pytest.raises(PartitionValidationError, match="create_or_replace"):
        lake.store(sales(("eu", 1)), keys="eu", mode="create_or_replace", **REGION)
    with pytest.raises(PartitionValidationError, match="columns of all other partitions"):
        lake.store(sales(("eu", 1)), keys="eu", schema_mode="overwrite", **REGION)
    assert lake.load(pl.DataFrame).height == 1


def test_partition_adds_columns(lake):
    lake.store(sales(("us", 1)), keys="us", **REGION)
    lake.store(sales(("eu", 2)).with_columns(extra=pl.lit("x")), keys="eu", schema_mode="merge", **REGION)
    loaded = lake.load(pl.DataFrame).select("region", "n", "extra").sort("n")
    assert loaded.rows() == [("us", 1, None), ("eu", 2, "x")]


@pytest.mark.parametrize("column", [
    pl.Series("t", [datetime(2024, 1, 31), datetime(2024, 1, 31, 23, 59, 59, 999999)]),
    pl.Series("t", [datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 1, 31, 23, 59, 59, 999999, UTC)]),
    pl.Series("t", [date(2024, 1, 31), date(2024, 1, 31)]),
    pl.Series("t", ["2024-01-31", "2024-01-31"]),
])  # fmt: skip
def test_partition_of_day_is_half_open(lake, column):
    frame = pl.DataFrame({"t": column, "n": [1, 2]})
    options = {"partition_expr": "t", "definition": DAYS}
    lake.store(frame, keys="2024-01-31", **options)
    following = frame.with_columns(
        t=pl.lit("2024-02-01")
        if column.dtype == pl.String
        else pl.col("t").dt.offset_by("1d").dt.truncate("1d")
    )
    with pytest.raises(PartitionValidationError, match="2 rows belong to another partition"):
        lake.store(following, keys="2024-01-31", **options)
    lake.store(following, keys="2024-02-01", **options)
    assert lake.load(pl.DataFrame, keys="2024-01-31", **options).rows() == frame.rows()
    assert lake.load(pl.DataFrame, keys=["2024-01-31", "2024-02-01"], **options).height == 4


def test_partition_of_hours_and_months(lake):
    hourly = {"partition_expr": "t", "definition": HOURS}
    lake.store(pl.DataFrame({"t": [datetime(2024, 1, 1, 5, 59)]}), "h", keys="2024-01-01T05:00", **hourly)
    with pytest.raises(PartitionValidationError, match="another partition"):
        lake.store(pl.DataFrame({"t": [datetime(2024, 1, 1, 6)]}), "h", keys="2024-01-01T05:00", **hourly)
    with pytest.raises(PartitionValidationError, match="shorter than a day"):
        lake.store(pl.DataFrame({"t": [date(2024, 1, 1)]}), "d", keys="2024-01-01T05:00", **hourly)
    monthly = {"partition_expr": "t", "definition": MONTHS}
    lake.store(pl.DataFrame({"t": [date(2024, 2, 1), date(2024, 2, 29)]}), "m", keys="2024-02", **monthly)
    assert lake.load(pl.DataFrame, "m", keys="2024-02", **monthly).height == 2


def test_partition_window_uses_zone_of_column(lake):
    berlin = pl.Series("t", [datetime(2024, 1, 31, 0, 30)]).dt.replace_time_zone("Europe/Berlin")
    options = {"partition_expr": "t", "definition": DAYS}
    lake.store(pl.DataFrame({"t": berlin}), keys="2024-01-31", **options)
    assert lake.load(pl.DataFrame, keys="2024-01-31", **options).height == 1
    with pytest.raises(PartitionValidationError):
        lake.store(pl.DataFrame({"t": berlin}), keys="2024-01-30", **options)


def test_partition_with_several_dimensions(lake):
    definition = PartitionsDefinition.multi(
        {"day": DAYS, "region": PartitionsDefinition.static_(["us", "eu"])}
    )
    options = {"partition_expr": {"day": "t", "region": "region"}, "definition": definition}

    def frame(day, region):
        return pl.DataFrame({"t": [datetime(2024, 1, day)], "region": [region]})

    for day in (1, 2):
        for region in ("us", "eu"):
            lake.store(frame(day, region), keys={"day": f"2024-01-0{day}", "region": region}, **options)
    lake.store(pl.concat([frame(1, "us")] * 3), keys={"day": "2024-01-01", "region": "us"}, **options)
    assert lake.load(pl.DataFrame).height == 6
    both = lake.load(pl.DataFrame, keys={"day": ["2024-01-01", "2024-01-02"], "region": "us"}, **options)
    assert both.height == 4
    uneven = [
        PartitionKey({"day": "2024-01-01", "region": "us"}),
        PartitionKey({"day": "2024-01-02", "region": "eu"}),
    ]
    assert lake.load(pl.DataFrame, keys=uneven, **options).height == 4
    with pytest.raises(PartitionValidationError, match="no column for dimension 'region'"):
        lake.load(
            pl.DataFrame,
            keys={"day": "2024-01-01", "region": "us"},
            partition_expr={"day": "t"},
            definition=definition,
        )


@pytest.mark.parametrize(("column", "key", "wrong"), [
    (pl.Series("k", [7]), "7", "x"), (pl.Series("k", [True]), "true", "maybe"), (pl.Series("k", ["7"]), "7", None),
    (pl.Series("k", [date(2024, 1, 1)]), "2024-01-01", "later"),
    (pl.Series("k", ["a"], dtype=pl.Categorical), "a", None), (pl.Series("k", [7], dtype=pl.UInt32), "7", "seven"),
])  # fmt: skip
def test_partition_key_is_compared_by_column_type(lake, column, key, wrong):
    lake.store(pl.DataFrame({"k": column}), keys=key, partition_expr="k")
    assert lake.load(pl.DataFrame, keys=key, partition_expr="k")["k"].to_list() == column.to_list()
    if wrong is not None:
        with pytest.raises(PartitionValidationError, match=f"'{wrong}' is not a value of column 'k'"):
            lake.store(pl.DataFrame({"k": column}), keys=wrong, partition_expr="k")


def test_partition_expr_names_unusable_column(lake):
    with pytest.raises(Exception, match="'regoin' of 'delta/partition_expr' is missing"):
        lake.store(sales(("us", 1)), keys="us", partition_expr="regoin")
    with pytest.raises(PartitionValidationError, match="cannot hold a partition key"):
        lake.store(pl.DataFrame({"k": [[1]]}), keys="us", partition_expr="k")
    with pytest.raises(InvalidMetadataError, match="partition_expr"):
        lake.store(sales(("us", 1)), keys="us", partition_expr=3)


def test_partition_expr_as_json(lake):
    options = {"partition_expr": '{"region": "region"}'}
    lake.store(sales(("us", 1)), keys="us", **options)
    assert lake.load(pl.DataFrame, keys="us", **options).height == 1


def test_partition_key_of_null_folder_is_refused(lake):
    with pytest.raises(PartitionValidationError, match="folder name of null"):
        lake.store(sales(("__HIVE_DEFAULT_PARTITION__", 1)), keys="__HIVE_DEFAULT_PARTITION__", **REGION)


HOSTILE = [
    "'; DROP TABLE x; --", 'q"q', "back\\slash", "a/b", "..", "%2F", "a b", "ü", "e\u0301", "true", "NULL", "x`y",
    "$(x)", "*", "^x$", "\t", "US", "us", "1", "☃", "a=b", "?#&",
]  # fmt: skip


COLUMNS = ["my col", "p.q", 'p"q', "order", "p`q", "a/b", "*", "^x$", "'", "ü", "select"]


# each value in a column with an ordinary name, and a quarter of them in each other one
@pytest.mark.parametrize(
    ("column", "values"),
    [("region", HOSTILE), *((column, HOSTILE[number % 4 :: 4]) for number, column in enumerate(COLUMNS))],
    ids=["region", *COLUMNS],
)
def test_partition_names_and_values_are_never_sql(tmp_path, column, values):
    lake = Lake(tmp_path / "a folder, with ü")
    for number, value in enumerate(values):
        frame = pl.DataFrame({column: [value], "n": [number]})
        lake.store(frame, keys=value, partition_expr={"only": column})
        lake.store(frame, keys=value, partition_expr={"only": column})
    whole = lake.load(pl.DataFrame)
    assert dict(zip(whole["n"], whole.drop("n").to_series(), strict=True)) == dict(enumerate(values))
    for number, value in enumerate(values):
        for hint in (pl.DataFrame, pa.Table) if number < 4 else (pl.DataFrame,):
            loaded = lake.load(hint, keys=value, partition_expr={"only": column})
            assert pl.DataFrame(loaded)["n"].to_list() == [number]


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["overwrite", "append"]), st.integers(0, 3)),
        max_size=8,
    )
)
def test_partition_writes_behave_like_dictionary(tmp_path_factory, steps):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    expected: dict[str, list[int]] = {}
    for number, (key, mode, size) in enumerate(steps):
        lake.store(sales(*[(key, number)] * size), keys=key, mode=mode, **REGION)
        expected[key] = (expected.get(key, []) if mode == "append" else []) + [number] * size
    for key in "abcd":
        if key in expected:
            assert sorted(lake.load(pl.DataFrame, keys=key, **REGION)["n"]) == sorted(expected[key])
        else:
            with pytest.raises(NotMaterializedError):
                lake.load(pl.DataFrame, keys=key, **REGION)


def test_partitions_of_a_year_are_one_table(lake):
    definition = PartitionsDefinition.daily(datetime(2024, 1, 1), datetime(2025, 1, 1))
    keys = definition.get_partition_keys()
    moments = [datetime(2024, 1, 1) + timedelta(days=n) for n in range(366)]
    options = {"partition_expr": "t", "definition": definition}
    lake.store(pl.DataFrame({"t": moments}), keys=keys, **options)
    assert lake.load(pl.DataFrame, keys=keys[60:91], **options).height == 31
    assert lake.load(pl.DataFrame, keys=keys, **options).height == 366


MANY = {
    "text": [f"k {number}/%" for number in range(30)],
    "int": list(range(-5, 25)),
    "date": [date(2024, 1, 1) + timedelta(days=number) for number in range(30)],
}


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("is_foreign", [False, True], ids=["ours", "foreign"])
def test_partitions_absent_of_many_are_named(lake, kind, is_foreign):
    values = MANY[kind]
    keys = [PartitionKey(str(value)) for value in values]
    frame = pl.DataFrame({"k": values, "n": range(30)})
    if is_foreign:
        write_deltalake(lake.handler.address("asset", None), frame[:-2], partition_by=["k"])
    else:
        lake.store(frame[:-3], keys=keys[:-2], partition_expr="k")
    assert lake.load(pl.DataFrame, keys=keys[:27], partition_expr="k").height == 27
    with pytest.raises(NotMaterializedError, match=re.escape(f"'{keys[-2]}, {keys[-1]}'")):
        lake.load(pl.DataFrame, keys=keys, partition_expr="k")
    lake.store(frame, keys=keys, partition_expr="k", mode="append")
    assert lake.load(pl.DataFrame, keys=keys, partition_expr="k").height == (28 if is_foreign else 27) + 30


def test_partition_append_marks_each_key(lake):
    keys = [PartitionKey(f"k{number}") for number in range(30)]
    frame = pl.DataFrame({"k": [str(key) for key in keys], "n": range(30)})
    lake.store(frame[:10], keys=keys[:20], partition_expr="k")
    lake.store(frame, keys=keys, partition_expr="k", mode="append", run_id="run")
    table = lake.open()
    marked = [action["txn"]["appId"] for action in table.read_commit() if "txn" in action]
    assert sum(mark.startswith("rivers/partition/") for mark in marked) == 30
