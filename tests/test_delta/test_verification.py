"""Verification: what a load does not notice, and digests that `digests=true` records."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rivers_core import PartitionKey
from rivers_core.exceptions import IntegrityError, NotMaterializedError
from rivers_objects import staging
from tests.test_delta.foreign import field, write_foreign
from tests.test_delta.support import Lake, facts

FRAME = pl.DataFrame({"n": range(1000), "s": [f"text {number}" for number in range(1000)]})
REGION = {"partition_expr": "r"}


@pytest.fixture
def digesting(tmp_path):
    return Lake(tmp_path / "lake", handler_config={"digests": True})


def data_files(lake, name="asset"):
    return sorted(Path(lake.handler.address(name, None)).rglob("*.parquet"))


def damaged_bytes(path):
    """Change bytes of a page whose damage Parquet itself does not notice."""
    data = bytearray(path.read_bytes())
    meta = pq.read_metadata(path).row_group(0).column(0)
    place = meta.data_page_offset + meta.total_compressed_size - 3
    data[place] ^= 0x01
    path.write_bytes(data)


def test_verify_counts_what_it_read(lake):
    for key in ("eu", "us"):
        lake.store(pl.DataFrame({"r": [key] * 3, "n": [1, 2, 3]}), keys=key, **REGION)
    whole = lake.handler.verify(lake.asked())
    assert (whole["files"], whole["rows"], whole["digests"]) == (2, 6, 0)
    assert whole["bytes"] == sum(path.stat().st_size for path in data_files(lake))
    assert lake.handler.verify(lake.asked(keys="eu", **REGION))["rows"] == 3


def test_verify_raises_for_absent_table(lake):
    with pytest.raises(NotMaterializedError):
        lake.handler.verify(lake.asked())


def test_verify_compares_digests(digesting):
    digesting.store(FRAME, mode="append")
    digesting.store(FRAME, mode="append")
    assert digesting.handler.verify(digesting.asked())["digests"] == 2
    path = data_files(digesting)[0]
    damaged_bytes(path)
    digesting.load(pl.DataFrame)
    with pytest.raises(IntegrityError, match=path.name):
        digesting.handler.verify(digesting.asked())


def test_digests_change_neither_version_nor_rows(digesting, lake):
    first = digesting.store(FRAME)
    assert facts(first)["version"] == 0
    context = digesting.asked(pl.DataFrame)
    assert digesting.handler.load_input(context).equals(FRAME)
    assert context.loaded_version == first.content_version
    second = digesting.store(FRAME, mode="append", run_id="run-1")
    again = digesting.store(FRAME, mode="append", run_id="run-1")
    assert facts(second)["num_rows"] == facts(again)["num_rows"] == 2000
    assert again.content_version == second.content_version


def test_digests_survive_compaction_of_other_files(digesting):
    for key in ("eu", "us"):
        digesting.store(pl.DataFrame({"r": [key], "n": [1]}), keys=key, **REGION)
    digesting.store(pl.DataFrame({"r": ["eu"], "n": [2]}), keys="eu", mode="append", **REGION)
    digesting.handler.maintain([digesting.asked()], dry_run=False)
    counts = digesting.handler.verify(digesting.asked())
    assert (counts["files"], counts["digests"]) == (2, 1)


@pytest.mark.parametrize("damage", ["other rows", "not Parquet"])
def test_verify_finds_damage_of_equal_size(tmp_path, damage):
    rows = pa.table({"n": [1, 2]})
    table = tmp_path / "asset"
    write_foreign(table, [field("n", "long")], {"f.parquet": (rows, {})})
    log = table / "_delta_log" / f"{0:020d}.json"
    if damage == "not Parquet":
        (table / "f.parquet").write_bytes(b"x" * (table / "f.parquet").stat().st_size)
    else:
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if "add" in action:
                action["add"]["stats"] = json.dumps({"numRecords": 3})
        log.write_text("\n".join(map(json.dumps, actions)))
    lake = Lake(tmp_path)
    with pytest.raises(IntegrityError, match=r"f\.parquet"):
        lake.handler.verify(lake.asked())


def leave(path, age_s):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


@pytest.fixture
def littered(tmp_path, lake):
    """A table with staging files of a writer that was killed two days ago, and of one that may still write."""
    lake.store(pl.DataFrame({"r": ["eu"], "n": [1]}), keys="eu", **REGION)
    staging._swept.clear()
    table = Path(lake.handler.address("asset", None))
    old = [table / "r=eu" / "part-00001-x.snappy.parquet#1", table / "_delta_log" / f"{1:020d}.json#12"]
    for path in old:
        leave(path, 48 * 3600)
    recent, foreign = table / "part-00002-x.parquet#1", table / "notes.txt#1"
    leave(recent, 60)
    leave(foreign, 48 * 3600)
    return table, old, [recent, foreign]


@pytest.mark.parametrize("use", ["load", "store"])
def test_first_use_sweeps_leftovers(littered, tmp_path, use):
    _, old, kept = littered
    lake = Lake(tmp_path / "lake")
    if use == "load":
        lake.load(pl.DataFrame)
    else:
        lake.store(pl.DataFrame({"n": [1]}), "another")
    assert [path.exists() for path in (*old, *kept)] == [False, False, True, True]


def test_maintain_sweeps_leftovers(lake, littered):
    table, old, kept = littered
    staging._swept.add((os.getpid(), str(table.parent)))
    for dry_run in (True, False):
        report = lake.handler.maintain([lake.asked()], dry_run=dry_run)[-1]
        assert (report["action"], report["files"], report["bytes"]) == ("remove staging files", 2, 10)
        assert report["done"] is not dry_run
        assert all(path.exists() is dry_run for path in old)
    assert all(path.exists() for path in kept)
    assert [report["action"] for report in lake.handler.maintain([lake.asked()])] == ["optimize", "vacuum"]


def test_verify_reads_partitions_of_timestamps(lake):
    frame = pl.DataFrame({"at": [datetime(2024, 1, 1)], "n": [1]})
    lake.store(frame, keys="2024-01-01T00:00:00", partition_expr="at")
    both = [PartitionKey("2024-01-01T00:00:00")]
    assert lake.handler.verify(lake.asked(keys=both, partition_expr="at"))["rows"] == 1
