"""Reading a part, an older version, or what changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import InvalidMetadataError, NotMaterializedError

THREE = pl.DataFrame({"id": [1, 2], "name": ["a", "b"], "value": [0.5, 1.5]})


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader])
def test_only_the_columns_that_are_asked_for_in_that_order(lake, hint):
    lake.store(THREE)
    loaded = lake.load(hint, columns=["value", "id"])
    loaded = loaded.collect() if isinstance(loaded, pl.LazyFrame) else loaded
    loaded = loaded.read_all() if isinstance(loaded, pa.RecordBatchReader) else loaded
    assert pl.DataFrame(loaded).rows() == [(0.5, 1), (1.5, 2)]


def test_columns_as_json_and_a_column_that_is_not_there(lake):
    lake.store(THREE)
    assert lake.load(pl.DataFrame, columns='["name"]').columns == ["name"]
    with pytest.raises(InvalidMetadataError, match="'nmae'.*'name'"):
        lake.load(pl.DataFrame, columns=["nmae"])


def test_a_partition_column_need_not_be_among_those_asked_for(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    for hint in (pl.DataFrame, pa.Table):
        loaded = lake.load(hint, keys="us", partition_expr="r", columns=["n"])
        assert pl.DataFrame(loaded).rows() == [(1,)]


def test_an_older_version_by_number_and_by_time(lake):
    lake.store(THREE.head(1))
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    lake.store(THREE)
    assert lake.load(pl.DataFrame, version=0).height == 1
    assert lake.load(pl.DataFrame, version="0").height == 1
    assert lake.load(pl.DataFrame, version=between).height == 1
    assert lake.load(pl.LazyFrame, version=between.isoformat()).collect().height == 1
    assert lake.load(pl.DataFrame).height == 2


def test_a_version_that_is_not_there_says_which_is_the_latest(lake):
    lake.store(THREE)
    with pytest.raises(InvalidMetadataError, match="no version 7; the latest is 0"):
        lake.load(pl.DataFrame, version=7)
    with pytest.raises(InvalidMetadataError, match="delta/version"):
        lake.load(pl.DataFrame, version="yesterday")
    with pytest.raises(InvalidMetadataError, match="delta/version"):
        lake.load(pl.DataFrame, version=-1)


def test_a_partition_that_came_later_is_not_in_an_older_version(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    lake.store(pl.DataFrame({"r": ["eu"], "n": [1]}), keys="eu", partition_expr="r")
    with pytest.raises(NotMaterializedError):
        lake.load(pl.DataFrame, keys="eu", partition_expr="r", version=0)


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table])
def test_the_change_feed_says_what_happened_to_rows(lake, hint):
    feed = {"table_configuration": {"delta.enableChangeDataFeed": "true"}}
    lake.store(THREE.with_columns(pl.col("id").cast(pl.UInt8)), **feed)
    lake.store(THREE.tail(1).with_columns(pl.col("id").cast(pl.UInt8)), mode="append", **feed)
    loaded = lake.load(hint, change_feed={"start": 1})
    frame = loaded.collect() if isinstance(loaded, pl.LazyFrame) else pl.DataFrame(loaded)
    assert frame.select("id", "_change_type", "_commit_version").rows() == [(2, "insert", 1)]
    assert frame.schema["id"] == pl.UInt8
    assert pl.DataFrame(lake.load(pa.Table, change_feed=True)).height == 3


def test_a_lazy_frame_reads_the_version_it_was_made_from(lake):
    lake.store(THREE)
    frame = lake.load(pl.LazyFrame)
    lake.store(THREE.head(1))
    assert frame.collect().height == 2
