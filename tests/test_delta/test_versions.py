"""Data versions: what a load reports, what changes it, and writes that require one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from deltalake import write_deltalake

from rivers_core import PartitionKey
from rivers_core.exceptions import ConflictError, NotMaterializedError
from rivers_delta.log import partition_markers
from rivers_delta.write import commit as commits
from tests.test_delta.support import Lake, facts

ROW = pl.DataFrame({"n": [1]})
REGION = {"partition_expr": "r"}
MERGE = {"mode": "merge", "merge_predicate": "s.n = t.n"}


def rows(key, *numbers):
    return pl.DataFrame({"r": [key] * len(numbers), "n": numbers}, schema={"r": pl.String, "n": pl.Int64})


def loaded(lake, **options):
    context = lake.asked(pl.DataFrame, **options)
    lake.handler.load_input(context)
    assert lake.handler.stored_version(lake.asked(**options)) == context.loaded_version
    return context.loaded_version


def store_if(lake, value, expected, **options):
    context = lake.output(value, **options)
    context.expected_version = expected
    lake.handler.handle_output(context, value)
    return context


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "append"}, {"mode": "create_or_replace"}, {"mode": "error"}, {"mode": "ignore"}, MERGE],
    ids=["overwrite", "append", "create_or_replace", "error", "ignore", "merge"],
)
@pytest.mark.parametrize("keys", [None, "eu", [PartitionKey("eu"), PartitionKey("us")]])
def test_load_reports_version_that_write_offered(lake, options, keys):
    if keys is not None and options.get("mode") == "create_or_replace":
        pytest.skip("refused for partitions")
    placed = {} if keys is None else {"keys": keys, **REGION}
    for _ in range(2):
        try:
            written = lake.store(rows("eu", 1), **placed, **options)
        except ConflictError:
            assert options == {"mode": "error"}
        assert loaded(lake, **placed) == written.content_version


def test_partition_version_ignores_other_commits(lake):
    for number in range(2):
        lake.store(rows("eu", number), keys="eu", mode="append", **REGION)
    before = loaded(lake, keys="eu", **REGION)
    lake.store(rows("us", 1), keys="us", **REGION)
    lake.handler.maintain([lake.asked()], dry_run=False)
    lake.handler.delete(lake.asked(keys="us", **REGION))
    assert loaded(lake, keys="eu", **REGION) == before
    seen = {before}
    for options in ({}, {"mode": "append"}, MERGE):
        lake.store(rows("eu", 3), keys="eu", **options, **REGION)
        seen.add(loaded(lake, keys="eu", **REGION))
    assert len(seen) == 4


def test_version_of_table_ignores_maintenance(lake):
    lake.store(ROW, mode="append")
    written = lake.store(ROW, mode="append")
    lake.handler.maintain([lake.asked()], dry_run=False)
    assert lake.table().version() > facts(written)["version"]
    assert loaded(lake) == written.content_version
    write_deltalake(lake.handler.address("asset", None), ROW, mode="append")
    assert loaded(lake) != written.content_version


def test_version_of_several_partitions_changes_with_each(lake):
    both = {"keys": [PartitionKey("eu"), PartitionKey("us")], **REGION}
    written = lake.store(pl.concat([rows("eu", 1), rows("us", 1)]), **both)
    seen = [loaded(lake, **both)]
    assert seen == [written.content_version]
    for key in ("us", "eu", "us"):
        lake.store(rows(key, 2), keys=key, **REGION)
        seen.append(loaded(lake, **both))
    assert len(set(seen)) == 4


def test_load_of_requested_version_reports_none(lake):
    """The engine would take it for an older value that was put back."""
    first = lake.store(ROW)
    lake.store(ROW)
    context = lake.asked(pl.DataFrame, version=0)
    lake.handler.load_input(context)
    assert context.loaded_version is None
    assert lake.handler.stored_version(context) == first.content_version


def test_version_of_foreign_partition_is_that_of_the_table(lake):
    write_deltalake(lake.handler.address("asset", None), rows("eu", 1))
    table = lake.table()
    assert loaded(lake, keys="eu", **REGION) == f"{table.metadata().id}@0"


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "append"}, {"mode": "create_or_replace"}, MERGE],
    ids=["overwrite", "append", "create_or_replace", "merge"],
)
@pytest.mark.parametrize("placed", [{}, {"keys": "eu", **REGION}], ids=["table", "partition"])
def test_conditional_write_requires_expected_version(lake, options, placed):
    if placed and options.get("mode") == "create_or_replace":
        pytest.skip("refused for partitions")
    options = {**options, **placed}
    first = store_if(lake, rows("eu", 1), "", **options)
    with pytest.raises(ConflictError):
        store_if(lake, rows("eu", 2), "", **options)
    second = store_if(lake, rows("eu", 3), first.content_version, **options)
    with pytest.raises(ConflictError, match=first.content_version):
        store_if(lake, rows("eu", 4), first.content_version, **options)
    assert loaded(lake, **placed) == second.content_version
    assert not {2, 4} & set(lake.load(pl.DataFrame)["n"])


def test_conditional_write_after_deletion_expects_nothing(lake):
    written = lake.store(rows("eu", 1), keys="eu", **REGION)
    lake.handler.delete(lake.asked(keys="eu", **REGION))
    with pytest.raises(ConflictError):
        store_if(lake, rows("eu", 2), written.content_version, keys="eu", **REGION)
    store_if(lake, rows("eu", 2), "", keys="eu", **REGION)


@pytest.mark.parametrize("other", ["same partition", "other partition"])
def test_conditional_write_loses_race_only_to_its_partition(lake, monkeypatch, other):
    lake.store(rows("eu", 1), keys="eu", **REGION)
    expected = loaded(lake, keys="eu", **REGION)
    real, key = commits.write_deltalake, "eu" if other == "same partition" else "us"

    def another_comes_first(*args, **kwargs):
        monkeypatch.setattr(commits, "write_deltalake", real)
        lake.store(rows(key, 7), keys=key, mode="append", **REGION)
        return real(*args, **kwargs)

    monkeypatch.setattr(commits, "write_deltalake", another_comes_first)
    if other == "same partition":
        with pytest.raises(ConflictError):
            store_if(lake, rows("eu", 2), expected, keys="eu", **REGION)
        assert sorted(lake.load(pl.DataFrame)["n"]) == [1, 7]
    else:
        store_if(lake, rows("eu", 2), expected, keys="eu", **REGION)
        assert sorted(lake.load(pl.DataFrame)["n"]) == [2, 7]


def test_conditional_write_recognizes_unacknowledged_commit(lake):
    first = lake.store(ROW)
    for _ in range(2):
        context = lake.output(ROW, run_id="run-1")
        context.expected_version = first.content_version
        lake.handler.handle_output(context, ROW)
    assert facts(context)["repeated"] is True
    assert lake.table().version() == 1


@pytest.mark.parametrize("placed", [{}, {"keys": "eu", **REGION}], ids=["table", "partition"])
def test_conditional_writes_lose_no_update(tmp_path, placed):
    """Four writers read, add one and write under the version they read; the loser starts again."""

    def add(number):
        lake, done = Lake(tmp_path, handler_config={"first_delay_s": 0.001}), 0
        while done < 5:
            context = lake.asked(pl.DataFrame, **placed)
            try:
                count = lake.handler.load_input(context)["n"][0]
            except NotMaterializedError:
                count = 0
            try:
                store_if(lake, rows("eu", count + 1), context.loaded_version or "", **placed)
            except ConflictError:
                continue
            done += 1
        return number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert Lake(tmp_path).load(pl.DataFrame)["n"].to_list() == [20]


def test_markers_of_earlier_releases_count_as_written(lake, monkeypatch):
    """Each of them has version 1."""
    monkeypatch.setattr(partition_markers, "next_version", lambda table: 0)
    for number in range(2):
        lake.store(rows("eu", number), keys="eu", **REGION)
    monkeypatch.undo()
    before = loaded(lake, keys="eu", **REGION)
    lake.store(rows("eu", 2), keys="eu", **REGION)
    assert loaded(lake, keys="eu", **REGION) != before
