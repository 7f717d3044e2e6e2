"""Tables with a long log: kept open between writes, and never mistaken for what they were."""

from __future__ import annotations

import copy
import os
import shutil

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers_core.exceptions import AssetOutputValidationError, RiversError
from rivers_delta.log import table_cache as warm
from rivers_delta.write import commit as commits
from rivers_delta.write import retry
from tests.test_delta.support import Lake, facts


@pytest.fixture(autouse=True)
def from_the_first(monkeypatch):
    """Every log counts as long."""
    monkeypatch.setattr(warm, "MIN_VERSION", 0)


@pytest.fixture
def opened(monkeypatch):
    """The tables that writes had to open."""
    addresses = []
    real = retry.open_table

    def counting(settings, *args, **kwargs):
        addresses.append(os.path.basename(settings.address))
        return real(settings, *args, **kwargs)

    monkeypatch.setattr(retry, "open_table", counting)
    return addresses


def row(number):
    return pl.DataFrame({"n": [number]})


def append(lake, number, **options):
    return lake.store(row(number), mode="append", run_id=f"run-{number}", **options)


def test_table_cache_spares_next_write_the_opening(lake, opened):
    append(lake, 0)
    before = len(opened)
    for number in range(1, 8):
        append(lake, number)
    assert len(opened) == before
    assert lake.load(pl.DataFrame).height == 8


def test_table_cache_skips_short_logs(lake, opened, monkeypatch):
    monkeypatch.setattr(warm, "MIN_VERSION", 100)
    append(lake, 0)
    before = len(opened)
    append(lake, 1)
    assert len(opened) == before + 1


def test_table_cache_reopens_after_checkpoint(tmp_path, opened):
    lake = Lake(tmp_path, handler_config={"checkpoint_interval": 4})
    for number in range(4):
        append(lake, number)
    before = len(opened)
    append(lake, 4)
    assert len(opened) == before + 1


def test_table_cache_reopens_after_many_uses(tmp_path, opened):
    lake = Lake(tmp_path, handler_config={"checkpoint_interval": 1000})
    for number in range(30):
        append(lake, number)
    assert 1 < len(opened) < 5


@pytest.mark.parametrize("change", ["a commit", "another table", "no table", "an older table"])
def test_table_cache_sees_foreign_changes(lake, tmp_path, change):
    append(lake, 0)
    append(lake, 1)
    address = lake.handler.address("asset", None)
    elsewhere = Lake(tmp_path / "other")
    if change == "a commit":
        Lake(tmp_path / "lake").store(row(9), mode="append")
        expected = [0, 1, 2, 9]
    elif change == "another table":
        elsewhere.store(row(7), mode="append")
        elsewhere.store(row(8), mode="append")
        shutil.rmtree(address)
        os.rename(elsewhere.handler.address("asset", None), address)
        expected = [2, 7, 8]
    elif change == "no table":
        shutil.rmtree(address)
        expected = [2]
    else:
        os.remove(os.path.join(address, "_delta_log", f"{1:020d}.json"))
        expected = [0, 2]
    metadata = facts(append(lake, 2))
    assert sorted(lake.load(pl.DataFrame)["n"]) == expected
    assert metadata["num_rows"] == len(expected)


def test_table_cache_sees_foreign_columns(lake, tmp_path):
    append(lake, 0)
    wider = row(9).with_columns(more=pl.lit("x"))
    Lake(tmp_path / "lake").store(wider, mode="append", schema_mode="merge")
    with pytest.raises(AssetOutputValidationError, match="'more' of the table is missing"):
        append(lake, 1)


def test_table_cache_drops_table_of_failed_write(lake, monkeypatch, opened):
    append(lake, 0)
    monkeypatch.setattr(commits, "write_deltalake", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(Exception, match="division"):
        append(lake, 1)
    monkeypatch.undo()
    append(lake, 1)
    assert sorted(lake.load(pl.DataFrame)["n"]) == [0, 1]


def test_table_cache_keeps_few_tables(lake, opened):
    for number in range(20):
        append(lake, 0, name=f"t{number}")
    before = len(opened)
    for number in range(20):
        append(lake, 1, name=f"t{number}")
    assert len(opened) - before >= 4


def test_table_cache_is_not_copied(lake):
    append(lake, 0)
    assert copy.deepcopy(lake.handler).table_uri == lake.handler.table_uri


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["append", "overwrite", "merge", "create_or_replace", "error", "ignore"]),
        st.integers(0, 5),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["warm", "another process"]),
    ),
    max_size=8,
)


def written(lake, place, mode, number, key):
    """Return version and row counts that a write reports, or the name of its error."""
    options = {"merge_predicate": "s.n = t.n"} if mode == "merge" else {}
    if key is not None:
        options |= {"keys": key, "partition_expr": "k"}
    value = pl.DataFrame({"k": [key or "a"], "n": [number]})
    try:
        known = facts(lake.store(value, mode=mode, run_id=f"run-{place}", **options))
    except RiversError as error:
        return type(error).__name__
    return known["version"], known["num_rows"], known["rows_written"]


def transactions(lake, version):
    return sorted(action["txn"]["appId"] for action in lake.open().read_commit(version) if "txn" in action)


@settings(max_examples=25, deadline=None)
@given(writes=WRITES)
def test_table_cache_changes_no_result(tmp_path_factory, writes):
    seen = []
    for is_warm in (True, False):
        root = tmp_path_factory.mktemp("lake")
        ours, theirs = Lake(root), Lake(root)
        reports = []
        for place, (mode, number, key, who) in enumerate(writes):
            lake = Lake(root) if not is_warm else ours if who == "warm" else theirs
            reports.append(written(lake, place, mode, number, key))
        rows, marks = [], []
        if any(isinstance(report, tuple) for report in reports):
            rows = sorted(ours.load(pl.DataFrame).rows())
            marks = [transactions(ours, version) for version in range(ours.table().version() + 1)]
        seen.append((reports, rows, marks))
    assert seen[0] == seen[1]
