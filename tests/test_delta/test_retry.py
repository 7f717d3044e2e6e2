"""Repeated, concurrent and killed writes: no row twice, none lost, and the old or the new table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import polars as pl
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from rivers_core import OutputContext
from rivers_core.exceptions import ConflictError, NotMaterializedError, RiversError
from rivers_delta.write import commit as commits
from rivers_delta.write import retry as writing
from tests.test_delta.support import Lake, facts

ROW = pl.DataFrame({"id": [1], "v": ["x"]})
MATCH = {"mode": "merge", "merge_predicate": "s.id = t.id"}


@pytest.mark.parametrize("options", [{"mode": "append"}, {"mode": "error"}, {"mode": "ignore"}, MATCH])
def test_write_recognizes_unacknowledged_commit(lake, options):
    first = lake.store(ROW, run_id="run-1", **options)
    again = lake.store(ROW, run_id="run-1", **options)
    assert facts(again)["repeated"] is True
    assert facts(again)["version"] == facts(first)["version"]
    assert again.content_version == first.content_version
    assert lake.load(pl.DataFrame).height == 1


def test_write_id_differs_by_run_step_and_partition(lake):
    for run in ("run-1", "run-2"):
        lake.store(ROW, run_id=run, mode="append")
    assert lake.load(pl.DataFrame).height == 2
    context = OutputContext("asset", {"delta/mode": "append"}, run_id="run-2", step_name="another")
    lake.handler.handle_output(context, ROW)
    assert lake.load(pl.DataFrame).height == 3
    for key in ("us", "eu"):
        frame = pl.DataFrame({"r": [key]})
        frame = frame.with_columns(n=pl.lit(1))
        lake.store(frame, "parts", keys=key, partition_expr="r", run_id="run-1", mode="append")
        lake.store(frame, "parts", keys=key, partition_expr="r", run_id="run-1", mode="append")
    assert lake.load(pl.DataFrame, "parts").height == 2


def test_write_recognizes_commit_after_checkpoints(lake):
    lake.store(ROW, run_id="run-0", mode="append")
    for number in range(1, 25):
        lake.store(ROW, run_id=f"run-{number}", mode="append")
    assert any(
        "checkpoint" in name for name in os.listdir(lake.handler.address("asset", None) + "/_delta_log")
    )
    assert facts(lake.store(ROW, run_id="run-0", mode="append"))["repeated"] is True
    assert lake.load(pl.DataFrame).height == 25


def test_write_without_run_is_never_repeated(lake):
    for _ in range(3):
        lake.store(ROW, mode="append")
    assert lake.load(pl.DataFrame).height == 3


def test_retry_concurrent_appends_lose_nothing(tmp_path):
    lakes = [Lake(tmp_path) for _ in range(4)]

    def append(number):
        for turn in range(5):
            lakes[number].store(
                pl.DataFrame({"n": [number * 10 + turn]}), mode="append", run_id=f"{number}-{turn}"
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    assert sorted(lakes[0].load(pl.DataFrame)["n"]) == sorted(a * 10 + b for a in range(4) for b in range(5))


@pytest.mark.parametrize(
    "column", [["us", "eu", "asia", "mars"], [datetime(2024, 1, 1, hour) for hour in range(4)]]
)
def test_retry_writers_of_distinct_partitions(tmp_path, column):
    """Text makes folders, timestamps make none: then writers conflict, and try again."""
    lakes = [Lake(tmp_path, handler_config={"max_attempts": 30}) for _ in column]

    def replace(number):
        for turn in range(3):
            frame = pl.DataFrame({"k": [column[number]], "n": [turn]})
            lakes[number].store(
                frame,
                keys=str(column[number]).replace(" ", "T"),
                partition_expr="k",
                run_id=f"{number}-{turn}",
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replace, range(4)))
    loaded = lakes[0].load(pl.DataFrame).sort("k")
    assert loaded["k"].to_list() == sorted(column)
    assert loaded["n"].to_list() == [2] * 4


def test_retry_writers_of_one_partition(tmp_path):
    lakes = [Lake(tmp_path) for _ in range(4)]

    def replace(number):
        lakes[number].store(pl.DataFrame({"k": ["x"] * 3, "n": [number] * 3}), keys="x", partition_expr="k")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replace, range(4)))
    loaded = lakes[0].load(pl.DataFrame)
    assert loaded.height == 3
    assert loaded["n"].n_unique() == 1


def overtaken(monkeypatch, lake, times):
    """Let another writer commit between opening the table and writing, so many times."""
    real, left = commits.write_deltalake, [times]

    def first_the_other(target, *args, **kwargs):
        if left[0] and not isinstance(target, str):
            left[0] -= 1
            other = pl.DataFrame({"id": [90 + left[0]], "v": ["other"]})
            real(lake.handler.address("asset", None), other, mode="overwrite",
                 commit_properties=CommitProperties(
                     {"rivers.asset": "intruder", "rivers.run_id": "run-x"}))  # fmt: skip
        return real(target, *args, **kwargs)

    monkeypatch.setattr(commits, "write_deltalake", first_the_other)


def test_retry_after_conflict_uses_new_version(lake, monkeypatch):
    lake.store(ROW)
    overtaken(monkeypatch, lake, times=2)
    context = lake.store(ROW)
    assert lake.load(pl.DataFrame).rows() == ROW.rows()
    assert facts(context)["version"] == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "overwrite"}, [(9, "b")]),
        ({"mode": "create_or_replace"}, [(9, "b")]),
        ({"mode": "overwrite", "keys": "b", "partition_expr": "v"}, [(1, "a"), (2, "a"), (9, "b")]),
        ({"mode": "merge", "merge_predicate": "s.v = t.v"}, [(1, "a"), (2, "a"), (9, "b")]),
        ({"mode": "append"}, [(1, "a"), (2, "a"), (3, "b"), (9, "b")]),
    ],
    ids=["overwrite", "create_or_replace", "a partition", "merge", "append"],
)
def test_retry_after_compaction_duplicates_no_row(lake, monkeypatch, options, expected):
    for number, letter in enumerate("aab", start=1):
        lake.store(pl.DataFrame({"id": [number], "v": [letter]}), mode="append")
    opened = writing.open_table
    compactions = iter([lambda: lake.table().optimize.compact()])

    def open_before_a_compaction(*args, **kwargs):
        table = opened(*args, **kwargs)
        next(compactions, lambda: None)()
        return table

    monkeypatch.setattr(writing, "open_table", open_before_a_compaction)
    lake.store(pl.DataFrame({"id": [9], "v": ["b"]}), **options)
    assert sorted(lake.load(pl.DataFrame).rows()) == expected


@pytest.mark.parametrize("first_come", ["appends", "a compaction at last"])
def test_retry_overwrite_among_frequent_appends(tmp_path, monkeypatch, first_come):
    lake = Lake(tmp_path, handler_config={"first_delay_s": 0})
    address = lake.handler.address("asset", None)
    for _ in range(2):
        lake.store(ROW, mode="append")
    real, calls = commits.write_deltalake, []

    def another_comes_first(target, *args, **kwargs):
        calls.append(target)
        if first_come == "appends" or len(calls) < 4:
            real(address, ROW.with_columns(v=pl.lit("other")), mode="append")
        elif len(calls) == 4:
            DeltaTable(address).optimize.compact()
        return real(target, *args, **kwargs)

    monkeypatch.setattr(commits, "write_deltalake", another_comes_first)
    lake.store(pl.DataFrame({"id": [7], "v": ["new"]}))
    result = sorted(lake.load(pl.DataFrame).rows())
    assert result == ([(1, "other"), (7, "new")] if first_come == "appends" else [(7, "new")])
    assert len(calls) == (4 if first_come == "appends" else 5)


def test_retry_skips_append_only_tables(lake, monkeypatch):
    lake.store(ROW, mode="append", table_configuration={"delta.appendOnly": "true"})
    monkeypatch.setattr("rivers_delta.write.retry.time.sleep", lambda seconds: pytest.fail("tried again"))
    with pytest.raises(RiversError, match="append-only"):
        lake.store(ROW)


def test_retry_names_writer_that_keeps_winning(tmp_path, monkeypatch):
    lake = Lake(tmp_path, handler_config={"max_attempts": 3, "first_delay_s": 0})
    lake.store(ROW)
    overtaken(monkeypatch, lake, times=99)
    with pytest.raises(
        ConflictError, match=r"3 attempts.*version 3 \(WRITE\) of asset 'intruder' in run 'run-x'"
    ):
        lake.store(ROW)


def test_retry_refuses_one_shot_stream(lake, monkeypatch):
    lake.store(ROW)
    overtaken(monkeypatch, lake, times=1)
    with pytest.raises(ConflictError, match="one-shot stream.*LazyFrame"):
        lake.store(ROW.to_arrow().to_reader())
    assert lake.load(pl.DataFrame)["v"].to_list() == ["other"]


def test_retry_writes_lazy_frame_again(lake, monkeypatch):
    lake.store(ROW)
    overtaken(monkeypatch, lake, times=1)
    lake.store(ROW.lazy())
    assert lake.load(pl.DataFrame).rows() == ROW.rows()


def test_retry_concurrent_merges(tmp_path):
    lakes = [Lake(tmp_path, handler_config={"max_attempts": 30}) for _ in range(3)]
    lakes[0].store(pl.DataFrame({"id": [0], "v": ["start"]}))

    def merge(number):
        for turn in range(2):
            lakes[number].store(pl.DataFrame({"id": [number], "v": [str(turn)]}), **MATCH)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(merge, range(3)))
    assert sorted(lakes[0].load(pl.DataFrame).rows()) == [(0, "1"), (1, "1"), (2, "1")]


def test_write_failing_value_leaves_old_table(lake):
    lake.store(ROW)

    def batches():
        yield from ROW.to_arrow().to_batches()
        raise RuntimeError("the source broke")

    reader = pa.RecordBatchReader.from_batches(ROW.to_arrow().schema, batches())
    with pytest.raises(RiversError, match="the source broke"):
        lake.store(reader)
    assert lake.load(pl.DataFrame).rows() == ROW.rows()
    assert lake.table().version() == 0


def test_write_killed_leaves_old_or_new_table(tmp_path):
    code = textwrap.dedent("""
        import sys
        import polars as pl
        from rivers_core import OutputContext
        from rivers_delta import DeltaIOHandler
        handler = DeltaIOHandler(table_uri=sys.argv[1])
        for number in range(10_000):
            handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": [number] * 1000}))
            print(number, flush=True)
    """)
    for wait in (0.0, 0.006):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        loaded = Lake(tmp_path).load(pl.DataFrame)
        assert loaded.height == 1000
        assert loaded["n"].n_unique() == 1
        Lake(tmp_path).store(pl.DataFrame({"n": [-1] * 1000}))


def test_write_killed_in_first_merge_leaves_no_table(tmp_path, monkeypatch):
    config = {"merge_type": "update_only", "merge_predicate": "s.id = t.id", "mode": "merge"}
    lake = Lake(tmp_path)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(commits, "_merge", killed)
    with pytest.raises(KeyboardInterrupt):
        lake.store(ROW, **config)
    monkeypatch.undo()
    assert not lake.handler.exists(lake.asked())
    with pytest.raises(NotMaterializedError):
        lake.load(pl.DataFrame)
    lake.store(ROW, **config)
    assert lake.load(pl.DataFrame).equals(ROW.clear())


def test_write_after_unfinished_table(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    monkeypatch.setattr(commits, "_merge", lambda *args: 1 / 0)
    with pytest.raises(RiversError):
        lake.store(ROW, mode="merge", merge_type="update_only", merge_predicate="s.id = t.id")
    monkeypatch.undo()
    lake.store(ROW, mode="error")
    assert lake.load(pl.DataFrame).equals(ROW)


def test_retry_processes_create_one_table(tmp_path):
    code = textwrap.dedent("""
        import sys
        import polars as pl
        from rivers_core import OutputContext
        from rivers_delta import DeltaIOHandler
        context = OutputContext("asset", {"delta/mode": "append"}, run_id=sys.argv[2])
        DeltaIOHandler(table_uri=sys.argv[1]).handle_output(context, pl.DataFrame({"n": [int(sys.argv[2])]}))
    """)
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(3)
    ]
    assert [process.wait() for process in running] == [0] * 3
    assert sorted(Lake(tmp_path).load(pl.DataFrame)["n"]) == [0, 1, 2]


def test_write_after_append_by_another_tool(lake):
    lake.store(ROW, mode="append")
    write_deltalake(lake.handler.address("asset", None), ROW, mode="append")
    lake.store(ROW, mode="append")
    assert DeltaTable(lake.handler.address("asset", None)).version() == 2
    assert lake.load(pl.DataFrame).height == 3
