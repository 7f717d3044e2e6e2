"""Earlier versions of tables and partitions: listed, loaded, restored and pruned."""

from __future__ import annotations

import os
from datetime import timedelta

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake

import rivers as rs
from rivers_core.exceptions import (
    ConflictError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
    VersionNotFoundError,
)
from rivers_delta.log.table import Table
from tests.test_delta.support import Lake, facts

REGION = {"partition_expr": "r"}
MERGE = {"mode": "merge", "merge_predicate": "s.n = t.n"}


def rows(key, *numbers):
    return pl.DataFrame({"r": [key] * len(numbers), "n": numbers}, schema={"r": pl.String, "n": pl.Int64})


def texts(lake, **asked):
    return [version.version for version in lake.handler.versions(lake.asked(**asked))]


def load(lake, version, hint=pl.DataFrame, **asked):
    context = lake.asked(hint, **asked)
    context.version = version
    return lake.handler.load_input(context)


def restore(lake, version, **options):
    context = lake.output(None, **options)
    return lake.handler.restore(context, version), context


@pytest.mark.parametrize("options", [{}, {"mode": "append"}, {"mode": "create_or_replace"}, MERGE])
def test_versions_are_the_commits_of_a_table(lake, options):
    written = [lake.store(rows("eu", number), **options).content_version for number in range(3)]
    lake.handler.maintain([lake.asked()], dry_run=False)
    listed = lake.handler.versions(lake.asked())
    assert [version.version for version in listed] == written[::-1]
    assert [version.is_current for version in listed] == [True, False, False]
    assert all(version.size_bytes and version.stored_at for version in listed)
    assert listed[0].stored_at >= listed[1].stored_at >= listed[2].stored_at
    context = lake.asked(pl.DataFrame)
    context.version = written[0]
    assert lake.handler.load_input(context)["n"].to_list() == [0]
    assert context.loaded_version == written[0]


@pytest.mark.parametrize("folders", [True, False])
def test_versions_of_partition_are_its_commits(lake, folders):
    if not folders:
        lake.store(rows("xx", 0))
    written = [lake.store(rows(key, number), keys=key, **REGION).content_version
               for number, key in enumerate(["eu", "us", "eu", "us", "eu"])]  # fmt: skip
    assert texts(lake, keys="eu", **REGION) == [written[4], written[2], written[0]]
    assert texts(lake, keys="us", **REGION) == [written[3], written[1]]
    assert [load(lake, version, keys="eu", **REGION)["n"].to_list() for version in written[::2]] == [
        [0],
        [2],
        [4],
    ]
    assert texts(lake, keys="never", **REGION) == []


def test_versions_of_nothing_are_empty(lake):
    assert lake.handler.versions(lake.asked()) == []
    with pytest.raises(NotMaterializedError):
        load(lake, "0")


def test_versions_of_foreign_partition_are_those_of_the_table(lake):
    for number in range(2):
        write_deltalake(lake.handler.address("asset", None), rows("eu", number), mode="append")
    versions = texts(lake, keys="eu", **REGION)
    assert [load(lake, version, keys="eu", **REGION).height for version in versions] == [2, 1]


def test_version_may_be_number_or_time(lake):
    lake.store(rows("eu", 1))
    first = lake.handler.versions(lake.asked())[0]
    lake.store(rows("eu", 2))
    assert load(lake, "0")["n"].to_list() == [1]
    assert load(lake, first.stored_at.isoformat())["n"].to_list() == [1]
    assert load(lake, "1")["n"].to_list() == [2]


@pytest.mark.parametrize(
    "version", ["2", "x@0", "nothing", "", "-1", "99999999999999999999", "2001-01-01", "@", "1@2@3"]
)
def test_load_of_unknown_version_is_refused(lake, version):
    lake.store(rows("eu", 1))
    lake.store(rows("eu", 2))
    with pytest.raises(VersionNotFoundError):
        load(lake, version)
    with pytest.raises(VersionNotFoundError):
        restore(lake, version)
    assert lake.table().version() == 1


def test_load_of_version_before_partition_is_refused(lake):
    lake.store(rows("eu", 1), keys="eu", **REGION)
    lake.store(rows("us", 1), keys="us", **REGION)
    with pytest.raises(VersionNotFoundError, match="us"):
        load(lake, "0", keys="us", **REGION)


@pytest.mark.parametrize("options", [{}, {"mode": "append"}, {"mode": "error"}, {"mode": "ignore"}, MERGE])
def test_restore_replaces_table_in_each_mode(lake, options):
    first = lake.store(rows("eu", 1), **options).content_version
    lake.store(rows("eu", 2, 3))
    full, context = restore(lake, "0", **options)
    assert full == first
    assert lake.load(pl.DataFrame)["n"].to_list() == [1]
    assert texts(lake)[0] == context.content_version != first
    assert facts(context)["num_rows"] == 1
    assert facts(context)["type"] == "polars.DataFrame"


def test_restore_brings_earlier_columns_back(lake):
    lake.store(rows("eu", 1))
    lake.store(pl.DataFrame({"other": [1.5]}), schema_mode="overwrite")
    restore(lake, "0")
    assert lake.load(pl.DataFrame).equals(rows("eu", 1))


@pytest.mark.parametrize("options", [{}, {"mode": "append"}, {"mode": "error"}, {"mode": "ignore"}, MERGE])
@pytest.mark.parametrize("folders", [True, False])
def test_restore_of_partition_changes_only_its_rows(lake, options, folders):
    if not folders:
        lake.store(rows("xx", 0))
    first = lake.store(rows("eu", 1), keys="eu", **REGION).content_version
    lake.store(rows("us", 7), keys="us", **REGION)
    lake.store(rows("eu", 2, 3), keys="eu", **REGION)
    us = texts(lake, keys="us", **REGION)
    full, context = restore(lake, first, keys="eu", **REGION, **options)
    assert full == first
    assert lake.load(pl.DataFrame, keys="eu", **REGION)["n"].to_list() == [1]
    assert texts(lake, keys="us", **REGION) == us
    assert texts(lake, keys="eu", **REGION)[0] == context.content_version
    assert facts(context)["type"] == "polars.DataFrame"


def test_restore_of_partition_fills_later_columns_with_null(lake):
    first = lake.store(rows("eu", 1), keys="eu", **REGION).content_version
    wide = rows("eu", 2).with_columns(small=pl.lit(3, pl.UInt8))
    lake.store(wide, keys="eu", schema_mode="merge", **REGION)
    second = texts(lake, keys="eu", **REGION)[0]
    restore(lake, first, keys="eu", columns=["n"], **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION).to_dicts() == [{"r": "eu", "n": 1, "small": None}]
    restore(lake, second, keys="eu", **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION).select(wide.columns).equals(wide)


def test_restore_after_deletion_of_partition(lake):
    lake.store(rows("us", 1), keys="us", **REGION)
    lake.store(rows("eu", 1), keys="eu", **REGION)
    lake.handler.delete(lake.asked(keys="eu", **REGION))
    (version,) = lake.handler.versions(lake.asked(keys="eu", **REGION))
    assert not version.is_current
    restore(lake, version.version, keys="eu", **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION)["n"].to_list() == [1]


def test_restore_of_empty_partition(lake):
    empty = lake.store(rows("eu"), keys="eu", **REGION).content_version
    lake.store(rows("eu", 1), keys="eu", **REGION)
    restore(lake, empty, keys="eu", **REGION)
    assert lake.load(pl.DataFrame, keys="eu", **REGION).height == 0


def test_restore_of_partitioned_table_requires_a_partition(lake):
    lake.store(rows("eu", 1), keys="eu", **REGION)
    with pytest.raises(PartitionValidationError):
        restore(lake, "0", **REGION)


def test_restore_requires_expected_version(lake):
    lake.store(rows("eu", 1))
    lake.store(rows("eu", 2))
    context = lake.output(None)
    context.expected_version = "another"
    with pytest.raises(ConflictError):
        lake.handler.restore(context, "0")
    assert lake.load(pl.DataFrame)["n"].to_list() == [2]


def test_restore_repeats_after_a_concurrent_commit(lake, monkeypatch):
    lake.store(rows("eu", 1))
    lake.store(rows("eu", 2))
    real = Table.restore

    def another_comes_first(*args, **kwargs):
        monkeypatch.setattr(Table, "restore", real)
        lake.store(rows("eu", 3))
        return real(*args, **kwargs)

    monkeypatch.setattr(Table, "restore", another_comes_first)
    restore(lake, "0")
    assert lake.load(pl.DataFrame)["n"].to_list() == [1]
    assert lake.table().version() == 3


def test_prune_removes_files_of_earlier_versions(lake):
    written = [lake.store(rows("eu", number)).content_version for number in range(4)]
    plan = lake.handler.prune(lake.asked(), keep=1)
    assert [version.version for version in plan] == [written[1], written[0]]
    assert texts(lake) == written[::-1]
    assert lake.handler.prune(lake.asked(), keep=1, dry_run=False) == plan
    assert texts(lake) == [written[3], written[2]]
    with pytest.raises(VersionNotFoundError, match=r"\.parquet"):
        load(lake, written[0])
    with pytest.raises(VersionNotFoundError):
        restore(lake, written[1])
    assert lake.load(pl.DataFrame)["n"].to_list() == [3]
    assert load(lake, written[2])["n"].to_list() == [2]
    assert lake.handler.prune(lake.asked(), keep=1, dry_run=False) == []


def test_prune_keeps_young_versions_and_live_rows(lake):
    for number in range(3):
        lake.store(rows("eu", number), mode="append")
    assert lake.handler.prune(lake.asked(), keep=0, dry_run=False) == []
    assert len(texts(lake)) == 3
    lake.store(rows("eu", 9))
    assert lake.handler.prune(lake.asked(), older_than=timedelta(days=1), dry_run=False) == []
    assert len(texts(lake)) == 4
    assert len(lake.handler.prune(lake.asked(), older_than=timedelta(0), dry_run=False)) == 3


def test_prune_keeps_versions_of_each_partition(lake):
    name = "a b%/ü"
    for number in range(3):
        for key in (name, "us"):
            lake.store(rows(key, number), keys=key, **REGION)
    removed = lake.handler.prune(lake.asked(**REGION), keep=1, dry_run=False)
    assert removed
    for key in (name, "us"):
        versions = texts(lake, keys=key, **REGION)
        assert len(versions) >= 2
        assert [load(lake, version, keys=key, **REGION)["n"][0] for version in versions[:2]] == [2, 1]
    with pytest.raises(RiversError):
        lake.handler.prune(lake.asked(keys="us", **REGION), keep=1)


def test_versions_without_their_log_are_not_listed(lake):
    lake = Lake(lake.handler.table_uri, handler_config={"checkpoint_interval": 2})
    written = [lake.store(rows("eu", number)).content_version for number in range(6)]
    log = os.path.join(lake.handler.address("asset", None), "_delta_log")
    for number in range(3):
        os.remove(os.path.join(log, f"{number:020d}.json"))
    versions = texts(lake)
    assert written[5] == versions[0]
    assert written[0] not in versions
    for version in versions:
        assert load(lake, version)["n"].to_list() == [written.index(version)]
    with pytest.raises(VersionNotFoundError):
        load(lake, written[0])


def test_run_loads_and_restores_partition_of_table(tmp_path):
    numbers = iter(range(10))
    regions = rs.PartitionsDefinition.static_(["eu", "us"])

    @rs.Asset(
        partitions_def=regions,
        io_handler=rs.DeltaIOHandler(str(tmp_path)),
        metadata={"delta/partition_expr": "r"},
    )
    def orders(context: rs.AssetExecutionContext) -> pa.Table:
        return pa.table({"r": [context.partition_key], "n": [next(numbers)]})

    @rs.Asset(partitions_def=regions, io_handler=rs.InMemoryIOHandler())
    def report(orders: pa.Table) -> int:
        return orders.num_rows

    with rs.CodeRepository([orders, report]) as repo:
        repo.resolve(storage=rs.Storage.memory())
        for _ in range(2):
            for key in ("eu", "us"):
                repo.materialize(partition_key=key)
        latest, first = repo.versions("orders", partition_key="eu")
        assert repo.load_node("orders", partition_key="eu", version=first.version)["n"].to_pylist() == [0]
        event = repo.restore("orders", version=0, partition_key="eu")
        assert dict(event.tags)["rivers/restored"] == first.version
        assert first.version in event.message
        assert event.data_version == repo.versions("orders", partition_key="eu")[0].version
        assert repo.load_node("orders", partition_key="eu")["n"].to_pylist() == [0]
        assert repo.load_node("orders", partition_key="us")["n"].to_pylist() == [3]
        stale = {(item.asset, item.partition) for item in repo.status() if item.state == "stale"}
        assert stale == {("report", "eu")}
        assert latest.version != event.data_version
