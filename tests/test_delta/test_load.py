"""Reading a part, an older version, or what changed."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import InvalidMetadataError, NotMaterializedError

THREE = pl.DataFrame({"id": [1, 2], "name": ["a", "b"], "value": [0.5, 1.5]})


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader])
def test_load_selects_columns_in_order(lake, hint):
    lake.store(THREE)
    loaded = lake.load(hint, columns=["value", "id"])
    loaded = loaded.collect() if isinstance(loaded, pl.LazyFrame) else loaded
    loaded = loaded.read_all() if isinstance(loaded, pa.RecordBatchReader) else loaded
    assert pl.DataFrame(loaded).rows() == [(0.5, 1), (1.5, 2)]


def test_load_columns_as_json_and_unknown_column(lake):
    lake.store(THREE)
    assert lake.load(pl.DataFrame, columns='["name"]').columns == ["name"]
    with pytest.raises(InvalidMetadataError, match="'nmae'.*'name'"):
        lake.load(pl.DataFrame, columns=["nmae"])


def test_load_partition_without_its_column(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    for hint in (pl.DataFrame, pa.Table):
        loaded = lake.load(hint, keys="us", partition_expr="r", columns=["n"])
        assert pl.DataFrame(loaded).rows() == [(1,)]


def test_load_version_by_number_and_time(lake):
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


def test_load_unknown_version_names_latest(lake):
    lake.store(THREE)
    with pytest.raises(InvalidMetadataError, match="no version 7.*latest is 0"):
        lake.load(pl.DataFrame, version=7)
    with pytest.raises(InvalidMetadataError, match="delta/version"):
        lake.load(pl.DataFrame, version="yesterday")
    with pytest.raises(InvalidMetadataError, match="delta/version"):
        lake.load(pl.DataFrame, version=-1)


def test_load_naive_time_is_utc(lake):
    lake.store(THREE.head(1))
    now = datetime.now(UTC) + timedelta(seconds=1)
    for version in (
        now.replace(tzinfo=None).isoformat(),
        now.replace(tzinfo=None).isoformat(" "),
        now.astimezone(timezone(timedelta(hours=5))).isoformat(),
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        now.replace(tzinfo=None),
        "9999-12-31",
        date(9999, 12, 31),
        "9999-W52-1",
    ):
        assert lake.load(pl.DataFrame, version=version).height == 1
    assert lake.load(pl.DataFrame, version=" 0 ").height == 1


@pytest.mark.parametrize("version", ["1970-01-01", "1970-01-01T00:00:00+05:00", date(1970, 1, 1)])
def test_load_time_before_first_version(lake, version):
    before = datetime.now(UTC) - timedelta(seconds=1)
    lake.store(THREE)
    with pytest.raises(InvalidMetadataError, match="first in its log is 0, ") as refused:
        lake.load(pl.DataFrame, version=version)
    committed = re.search(r"0, committed at ([^ ]+)\.$", str(refused.value))
    assert committed is not None
    assert before < datetime.fromisoformat(committed[1]) <= datetime.now(UTC)
    assert repr(lake.handler.address("asset", None)) in str(refused.value)


def test_load_time_before_kept_log(lake):
    for _ in range(3):
        lake.store(THREE)
    lake.table().create_checkpoint()
    for version in (0, 1):
        os.remove(f"{lake.handler.address('asset', None)}/_delta_log/{version:020}.json")
    with pytest.raises(InvalidMetadataError, match="first in its log is 2, "):
        lake.load(pl.DataFrame, version="1970-01-01")


def test_load_version_despite_clock_skew(lake):
    lake.store(THREE.head(1))
    lake.store(THREE)
    commit = Path(lake.handler.address("asset", None), "_delta_log", f"{1:020}.json")
    ahead = re.sub(
        r'"timestamp":(\d+)', lambda match: f'"timestamp":{int(match[1]) + 3_600_000}', commit.read_text()
    )
    commit.write_text(ahead)
    assert lake.load(pl.DataFrame, version=datetime.now(UTC) + timedelta(seconds=1)).height == 2


@pytest.mark.parametrize(("version", "reason"), [
    ("soon", "ISO 8601 timestamp, got 'soon'"), ("20240101", "'20240101'"),
    ("-1", "0 or more"), ("²", "ISO 8601"), ("2024-13-01", "ISO 8601"), (True, "ISO 8601"), (1.5, "ISO 8601"),
    ("0001-01-01T00:00:00+14:00", "the years 1 to 9999"),
])  # fmt: skip
def test_options_report_invalid_version(lake, version, reason):
    for options in ({"delta/version": version}, {"delta/change_feed": {"start": version}}):
        (fault,) = lake.handler.check_options(options)
        assert reason in fault
    assert lake.handler.check_options({"delta/version": 20240101}) == []
    assert lake.handler.check_options({"delta/version": "20241301"}) == []


def test_options_report_conflicts_and_repetitions(lake):
    (fault,) = lake.handler.check_options({"delta/version": 1, "delta/change_feed": True})
    assert "exclude each other" in fault
    (fault,) = lake.handler.check_options({"delta/columns": ["b", "a", "b", "a"]})
    assert "'b', 'a' more than once" in fault


def test_change_feed_bounds_by_time(lake):
    feed = {"table_configuration": {"delta.enableChangeDataFeed": "true"}}
    lake.store(THREE.head(1), **feed)
    time.sleep(0.01)
    between = datetime.now(UTC).replace(tzinfo=None).isoformat()
    time.sleep(0.01)
    lake.store(THREE, mode="append", **feed)
    assert lake.load(pl.DataFrame, change_feed={"start": between}).height == 2
    assert lake.load(pl.DataFrame, change_feed={"end": between}).height == 1
    assert lake.load(pl.DataFrame, change_feed={"start": "1970-01-01", "end": "2999-01-01"}).height == 3
    for late in (2, "2999-01-01"):
        with pytest.raises(InvalidMetadataError, match=r"starts at .*, after the latest version of .*, 1, "):
            lake.load(pl.DataFrame, change_feed={"start": late})
    with pytest.raises(InvalidMetadataError, match=r"ends at .*, before version 0 of "):
        lake.load(pl.DataFrame, change_feed={"end": "1970-01-01"})


def test_load_older_version_without_later_partition(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    lake.store(pl.DataFrame({"r": ["eu"], "n": [1]}), keys="eu", partition_expr="r")
    with pytest.raises(NotMaterializedError):
        lake.load(pl.DataFrame, keys="eu", partition_expr="r", version=0)


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table])
def test_change_feed_describes_changes(lake, hint):
    feed = {"table_configuration": {"delta.enableChangeDataFeed": "true"}}
    lake.store(THREE.with_columns(pl.col("id").cast(pl.UInt8)), **feed)
    lake.store(THREE.tail(1).with_columns(pl.col("id").cast(pl.UInt8)), mode="append", **feed)
    loaded = lake.load(hint, change_feed={"start": 1})
    frame = loaded.collect() if isinstance(loaded, pl.LazyFrame) else pl.DataFrame(loaded)
    assert frame.select("id", "_change_type", "_commit_version").rows() == [(2, "insert", 1)]
    assert frame.schema["id"] == pl.UInt8
    assert pl.DataFrame(lake.load(pa.Table, change_feed=True)).height == 3


def test_load_lazy_frame_pins_version(lake):
    lake.store(THREE)
    frame = lake.load(pl.LazyFrame)
    lake.store(THREE.head(1))
    assert frame.collect().height == 2
