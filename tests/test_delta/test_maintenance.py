"""Compaction and vacuum: a dry run reports, a run applies, and no row is lost."""

from __future__ import annotations

import os

import polars as pl
import pytest
from deltalake.table import TableOptimizer

from rivers_core.exceptions import RiversError
from rivers_delta import DeltaIOHandler
from rivers_delta.log.table import Table
from tests.test_delta.foreign import field, write_foreign


def files(lake, name="asset"):
    return [name for name in os.listdir(lake.handler.address(name, None)) if name.endswith(".parquet")]


def test_maintain_dry_run_changes_nothing(lake):
    for number in range(4):
        lake.store(pl.DataFrame({"n": [number]}), mode="append")
    before = files(lake)
    optimize, vacuum = lake.handler.maintain(retention_hours=0)
    assert (optimize["action"], optimize["files"], optimize["done"]) == ("optimize", 4, False)
    assert optimize["bytes"] > 0
    assert (vacuum["action"], vacuum["files"], vacuum["done"]) == ("vacuum", 0, False)
    assert files(lake) == before
    assert lake.table().version() == 3


def test_maintain_compacts_and_vacuums(lake):
    for number in range(4):
        lake.store(pl.DataFrame({"n": [number]}), mode="append")
    (optimize,) = lake.handler.maintain(dry_run=False, vacuum=False)
    assert (optimize["files"], optimize["done"]) == (4, True)
    planned = lake.handler.maintain(optimize=False, retention_hours=0)
    (vacuum,) = lake.handler.maintain(dry_run=False, optimize=False, retention_hours=0)
    assert planned[0]["files"] == vacuum["files"] == 4
    assert planned[0]["bytes"] > 0
    assert len(files(lake)) == 1
    assert sorted(lake.load(pl.DataFrame)["n"]) == [0, 1, 2, 3]


def test_vacuum_warns_about_open_readers(lake, caplog):
    for number in range(4):
        lake.store(pl.DataFrame({"n": [number]}))
    arguments = {"optimize": False, "retention_hours": 0}
    lake.handler.maintain(dry_run=True, **arguments)
    assert not caplog.records
    lake.handler.maintain(dry_run=False, **arguments)
    (record,) = caplog.records
    assert (record.levelname, record.args) == ("WARNING", (3, lake.handler.address("asset", None)))


def test_lazy_frame_of_removed_files_says_so(lake, tmp_path):
    """A query that deltalake or pyarrow reads; polars reads plain tables itself, with its own error."""
    frame = pl.DataFrame({"k": ["a"], "n": [1]})
    write_foreign(
        tmp_path / "lake" / "asset",
        [field("k", "string"), field("n", "long")],
        {"f.parquet": (frame.select("n").to_arrow(), {"k": "a"})},
    )
    lazy = lake.load(pl.LazyFrame)
    os.remove(tmp_path / "lake" / "asset" / "f.parquet")
    with pytest.raises(Exception, match="asset 'asset'.*vacuum"):
        lazy.collect()


@pytest.fixture
def overtaken(lake, monkeypatch):
    """A table of four rows whose compaction is overtaken by another; and what happens right after it, if anything."""
    for number in range(4):
        lake.store(pl.DataFrame({"n": [number]}), mode="append")
    real = TableOptimizer.compact
    afterwards = []

    def compact(self, **arguments):
        if not isinstance(self.table, Table):
            return real(self, **arguments)
        lake.table().optimize.compact()
        metrics = real(self, **arguments)
        for follow in afterwards:
            follow()
        return metrics

    monkeypatch.setattr(TableOptimizer, "compact", compact)
    return afterwards


def test_maintain_undoes_concurrent_compaction(lake, overtaken):
    (optimize,) = lake.handler.maintain(dry_run=False, vacuum=False)
    assert (optimize["files"], optimize["done"]) == (0, False)
    assert sorted(lake.load(pl.DataFrame)["n"]) == [0, 1, 2, 3]


def test_maintain_reports_compaction_it_cannot_undo(lake, overtaken):
    overtaken.append(lambda: lake.store(pl.DataFrame({"n": [4]}), mode="append"))
    with pytest.raises(RiversError, match=r"asset.*two compactions.*version 5.*Restore version 4"):
        lake.handler.maintain(dry_run=False, vacuum=False)


def test_maintain_keeps_files_within_retention(lake):
    lake.store(pl.DataFrame({"n": [1]}))
    lake.store(pl.DataFrame({"n": [2]}))
    reports = lake.handler.maintain(dry_run=False)
    assert [one["files"] for one in reports] == [0, 0]
    assert lake.load(pl.DataFrame, version=0)["n"].to_list() == [1]


def test_maintain_compacts_partitions_separately(lake):
    for key in ("us", "eu"):
        for _ in range(2):
            lake.store(pl.DataFrame({"r": [key], "n": [1]}), keys=key, partition_expr="r", mode="append")
    (optimize,) = lake.handler.maintain(dry_run=False, vacuum=False)
    assert optimize["files"] == 4
    assert lake.load(pl.DataFrame, keys="us", partition_expr="r").height == 2


def test_maintain_named_assets_only(lake):
    for name in ("a", "b"):
        lake.store(pl.DataFrame({"n": [1]}), name)
    assert {report["table"] for report in lake.handler.maintain()} == {
        lake.handler.address(name, None) for name in ("a", "b")
    }
    named = lake.handler.maintain([lake.asked(name="b"), lake.asked(name="never")])
    assert {report["table"] for report in named} == {lake.handler.address("b", None)}


def test_maintain_z_orders_rows(lake):
    lake.store(pl.DataFrame({"a": [2, 1, 3], "b": [1, 2, 3]}))
    (optimize,) = lake.handler.maintain(dry_run=False, vacuum=False, z_order=["a"])
    assert optimize["done"]
    assert lake.load(pl.DataFrame).height == 3


def test_maintain_parses_z_order_columns(lake):
    for number in range(2):
        lake.store(pl.DataFrame({"name": ["b", "a"], "n": [number, 0]}), mode="append")
    (optimize,) = lake.handler.maintain(dry_run=False, vacuum=False, z_order="name, n")
    assert optimize["done"] is True


@pytest.mark.parametrize(
    "wrong", [{"retention_hours": "abc"}, {"retention_hours": -1}, {"target_file_size": 0}]
)
def test_maintain_names_invalid_option(lake, wrong):
    (name,) = wrong
    with pytest.raises(RiversError, match=f"'{name}' must be an integer of"):
        lake.handler.maintain(**wrong)


def test_maintain_does_not_list_object_store():
    with pytest.raises(RiversError, match="Name the assets"):
        DeltaIOHandler(table_uri="s3://bucket/lake").maintain()
