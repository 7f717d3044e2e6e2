"""Partition filters as text: columns and bounds of keys, and the rows that they select."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from rivers.partitions import PartitionsDefinition
from rivers_core import PartitionContext, PartitionKey
from rivers_core.exceptions import PartitionValidationError
from rivers_delta import DeltaIOHandler, PartitionExpr

START = datetime(2024, 1, 1)
DAYS = PartitionsDefinition.daily(START)
HOURS = PartitionsDefinition.hourly(START)
REGIONS = PartitionsDefinition.static_(["us", "o'x"])
BOTH = PartitionsDefinition.multi({"d": DAYS, "r": REGIONS})


@pytest.fixture
def handler(tmp_path):
    return DeltaIOHandler(table_uri=str(tmp_path))


@pytest.mark.parametrize(
    ("definition", "keys", "expr", "filters", "sql"),
    [
        (REGIONS, ["us"], "r", [[("r", "=", "us")]], "\"r\" = 'us'"),
        (
            REGIONS,
            ["us", "o'x"],
            "r",
            [[("r", "=", "us")], [("r", "=", "o'x")]],
            "\"r\" IN ('us', 'o''x')",
        ),
        (
            DAYS,
            ["2024-01-02"],
            "day",
            [[("day", ">=", "2024-01-02"), ("day", "<", "2024-01-03")]],
            "\"day\" >= '2024-01-02' AND \"day\" < '2024-01-03'",
        ),
        (
            HOURS,
            ["2024-01-02T23:00"],
            "t",
            [[("t", ">=", "2024-01-02T23:00"), ("t", "<", "2024-01-03T00:00")]],
            "\"t\" >= '2024-01-02T23:00' AND \"t\" < '2024-01-03T00:00'",
        ),
        (
            BOTH,
            [{"d": "2024-01-02", "r": "us"}],
            {"d": "day", "r": "region"},
            [[("day", ">=", "2024-01-02"), ("day", "<", "2024-01-03"), ("region", "=", "us")]],
            "\"day\" >= '2024-01-02' AND \"day\" < '2024-01-03' AND \"region\" = 'us'",
        ),
    ],
)
def test_filters_and_predicate_of_keys(handler, definition, keys, expr, filters, sql):
    partition = PartitionContext([PartitionKey(key) for key in keys], definition)
    metadata = {"delta/partition_expr": expr}
    assert handler.partition_filters(metadata, partition) == filters
    assert handler.partition_predicate(metadata, partition) == sql


def test_predicate_selects_rows_of_its_keys(handler, tmp_path):
    days = [date(2024, 1, day) for day in (1, 2, 2, 3)]
    regions = ["us", "us", "o'x", "us"]
    path = handler.asset_table_uri("asset", {"delta/root_name": "renamed"})
    assert path == str(tmp_path / "renamed")
    pl.DataFrame({"day": days, "region": regions}).write_delta(path)
    keys = [{"d": "2024-01-02", "r": "us"}, {"d": "2024-01-03", "r": "us"}]
    partition = PartitionContext([PartitionKey(key) for key in keys], BOTH)
    metadata = {"delta/partition_expr": {"d": "day", "r": "region"}}
    DeltaTable(path).delete(handler.partition_predicate(metadata, partition))
    left = pl.read_delta(path).sort("day")
    assert left.rows() == [(date(2024, 1, 1), "us"), (date(2024, 1, 2), "o'x")]


def test_filters_are_those_of_pyarrow(handler, tmp_path):
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"region": ["us", "o'x"]}).write_parquet(path)
    partition = PartitionContext([PartitionKey("o'x")], REGIONS)
    filters = handler.partition_filters({"delta/partition_expr": "region"}, partition)
    assert pq.read_table(path, filters=filters).to_pylist() == [{"region": "o'x"}]


@pytest.mark.parametrize(
    ("metadata", "partition"),
    [
        (None, PartitionContext([PartitionKey("us")], REGIONS)),
        ({"delta/partition_expr": "r"}, None),
        ({"delta/partition_expr": "r"}, PartitionContext([PartitionKey({"d": "x", "r": "y"})], BOTH)),
    ],
)
def test_filters_require_keys_and_columns(handler, metadata, partition):
    with pytest.raises(PartitionValidationError):
        handler.partition_filters(metadata, partition)
    with pytest.raises(PartitionValidationError):
        handler.partition_predicate(metadata, partition)


def test_partition_expr_lists_its_columns():
    assert PartitionExpr(expr={"d": "day", "r": "region"}).partition_columns == ["day", "region"]
