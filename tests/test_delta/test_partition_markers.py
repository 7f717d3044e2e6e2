"""Application transactions of a whole log, compared with what deltalake returns for each."""

from __future__ import annotations

import polars as pl
import pytest

from rivers_delta.log.partition_markers import app_transactions
from tests.test_delta.support import Lake


def written(lake, times, **options):
    """A table with so many appends of two partitions, and the identifiers of all its transactions."""
    for number in range(times):
        key = "ab"[number % 2]
        frame = pl.DataFrame({"k": [key], "n": [number]})
        lake.store(frame, keys=key, partition_expr="k", mode="append", run_id=f"run-{number}", **options)
    table = lake.open()
    commits = [table.read_commit(version) for version in range(table.version() + 1)]
    names = [action["txn"]["appId"] for commit in commits for action in commit if "txn" in action]
    return table, names


@pytest.mark.parametrize("times", [1, 3, 4, 8])
def test_app_transactions_match_deltalake(tmp_path, times):
    lake = Lake(tmp_path, handler_config={"checkpoint_interval": 4})
    table, names = written(lake, times)
    lake.handler.delete(lake.asked(keys="a", partition_expr="k"))
    table.update_incremental()
    assert app_transactions(table) == {name: table.transaction_version(name) for name in names}
    assert len(set(names)) == times + min(times, 2)


def test_app_transactions_of_earlier_version(tmp_path):
    lake = Lake(tmp_path, handler_config={"checkpoint_interval": 4})
    _, names = written(lake, 6)
    earlier = lake.open(version=1)
    assert app_transactions(earlier) is None
    assert [earlier.transaction_version(name) for name in names].count(None) > 0


def test_app_transactions_skip_unexpected_logs(tmp_path):
    lake = Lake(tmp_path, handler_config={"checkpoint_interval": 4})
    table, _ = written(lake, 6)
    hint = tmp_path / "asset" / "_delta_log" / "_last_checkpoint"
    for text in ("", "{}", '{"version": 3, "parts": 2}', '{"version": 2}'):
        hint.write_text(text)
        assert app_transactions(table) is None
