"""Deletion: a partition in one commit among concurrent writers; a whole table at once, also when it is killed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import datetime

import polars as pl
import pytest

from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import ConflictError, NotMaterializedError, RiversError
from rivers_delta import DeltaIOHandler
from rivers_delta.write import delete as deleting
from rivers_delta.write import retry
from tests.test_delta.support import Lake

REGION = {"partition_expr": "r"}
DAYS = PartitionsDefinition.daily(datetime(2024, 1, 1), datetime(2024, 1, 4))
MOMENTS = [datetime(2024, 1, 1, 7), datetime(2024, 1, 2, 7)]
KINDS = {
    "folders": (["us", "eu"], None, ["us", "eu"]),
    "statistics": (["2024-01-01T07:00:00", "2024-01-02T07:00:00"], None, MOMENTS),
    "times": (["2024-01-01", "2024-01-02"], DAYS, MOMENTS),
}


class Divided:
    """A table with two partitions, each in several files, of which the first is going to be deleted."""

    def __init__(self, lake, kind):
        self.keys, self.definition, self.values = KINDS[kind]
        self.lake = lake
        for number in range(3):
            self.append(0, number)
            self.append(1, number)

    def options(self, which):
        return {"keys": self.keys[which], "definition": self.definition, **REGION}

    def append(self, which, number=7):
        frame = pl.DataFrame({"r": [self.values[which]], "n": [number]})
        self.lake.store(frame, mode="append", **self.options(which))

    def overwrite(self, which):
        self.lake.store(pl.DataFrame({"r": [self.values[which]], "n": [8]}), **self.options(which))

    def delete(self, which=0):
        self.lake.handler.delete(self.lake.asked(**self.options(which)))

    def exists(self, which):
        return self.lake.handler.exists(self.lake.asked(**self.options(which)))

    def numbers(self):
        assert not self.exists(0)
        frame = self.lake.load(pl.DataFrame)
        assert frame["r"].unique().to_list() in ([], [self.values[1]])
        return sorted(frame["n"])


OTHERS = {
    "a compaction": (lambda it: it.lake.table().optimize.compact(), [0, 1, 2]),
    "an append to it": (lambda it: it.append(0), [0, 1, 2]),
    "an overwrite of it": (lambda it: it.overwrite(0), [0, 1, 2]),
    "a deletion of it": (lambda it: it.delete(0), [0, 1, 2]),
    "an append to another": (lambda it: it.append(1), [0, 1, 2, 7]),
    "an overwrite of another": (lambda it: it.overwrite(1), [8]),
    "a deletion of another": (lambda it: it.delete(1), []),
    "a compaction and an append": (lambda it: (it.lake.table().optimize.compact(), it.append(0)), [0, 1, 2]),
}


@pytest.fixture
def overtake(monkeypatch):
    """Let others commit between the opening of the table and the deletion, so many times."""

    def begin(deed, times=1):
        opened, left = deleting.open_table, [times]

        def open_before_the_other(*args, **kwargs):
            table = opened(*args, **kwargs)
            if left[0]:
                left[0] -= 1
                kept, left[0] = left[0], 0
                deed()
                left[0] = kept
            return table

        monkeypatch.setattr(deleting, "open_table", open_before_the_other)
        monkeypatch.setattr(retry, "open_table", open_before_the_other)

    return begin


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", OTHERS)
def test_delete_retries_after_conflict(tmp_path, overtake, kind, other):
    table = Divided(Lake(tmp_path, handler_config={"first_delay_s": 0}), kind)
    deed, expected = OTHERS[other]
    overtake(lambda: deed(table))
    table.delete()
    assert table.numbers() == expected


def test_delete_names_writer_that_keeps_winning(tmp_path, overtake):
    lake = Lake(tmp_path, handler_config={"max_attempts": 3, "first_delay_s": 0})
    table = Divided(lake, "folders")
    overtake(lambda: table.append(0), times=99)
    with pytest.raises(ConflictError) as failure:
        table.delete()
    message = str(failure.value)
    assert "partition 'us' of asset 'asset'" in message
    assert "after 3 attempts" in message
    assert "version 8 (WRITE) of asset 'asset'" in message
    assert "max_attempts" in message
    assert set(lake.load(pl.DataFrame, **table.options(0))["n"]) == {0, 1, 2, 7}


def test_delete_partition_without_rows(lake):
    frame = pl.DataFrame({"r": ["us"], "n": [1]})
    lake.store(frame, keys="us", **REGION)
    lake.store(frame.clear(), keys="eu", **REGION)
    lake.handler.delete(lake.asked(keys="eu", **REGION))
    assert not lake.handler.exists(lake.asked(keys="eu", **REGION))
    version = lake.table().version()
    lake.handler.delete(lake.asked(keys="eu", **REGION))
    assert lake.table().version() == version
    assert lake.load(pl.DataFrame).equals(frame)
    lake.store(frame.clear(), keys="eu", **REGION)
    assert lake.handler.exists(lake.asked(keys="eu", **REGION))


def test_delete_skips_what_was_never_stored(lake):
    lake.handler.delete(lake.asked())
    lake.handler.delete(lake.asked(keys="us", **REGION))
    for key in ("us", "eu"):
        lake.store(pl.DataFrame({"r": [key], "n": [1]}), keys=key, **REGION)
    before = lake.table().version()
    lake.handler.delete(lake.asked(keys="asia", **REGION))
    assert lake.table().version() == before
    lake.handler.delete(lake.asked(keys=["asia", "eu"], **REGION))
    assert lake.table().version() == before + 1
    lake.handler.delete(lake.asked(keys=["asia", "eu"], **REGION))
    assert lake.table().version() == before + 1
    assert lake.load(pl.DataFrame)["r"].to_list() == ["us"]


def test_delete_several_partitions_in_one_commit(lake):
    for key in ("us", "eu", "asia"):
        lake.store(pl.DataFrame({"r": [key], "n": [1]}), keys=key, **REGION)
    before = lake.table().version()
    lake.handler.delete(lake.asked(keys=["us", "eu"], **REGION))
    assert lake.table().version() == before + 1
    assert lake.load(pl.DataFrame)["r"].to_list() == ["asia"]


def test_delete_partition_from_latest_version(lake):
    for key in ("us", "eu"):
        lake.store(pl.DataFrame({"r": [key], "n": [1]}), keys=key, **REGION)
    lake.handler.delete(lake.asked(keys="us", version=1, **REGION))
    assert lake.load(pl.DataFrame)["r"].to_list() == ["eu"]


def test_delete_table_leaves_nothing_behind(lake, tmp_path):
    lake.store(pl.DataFrame({"n": [1]}))
    lake.store(pl.DataFrame({"n": [1]}), "other")
    lake.handler.delete(lake.asked())
    assert os.listdir(tmp_path / "lake") == ["other"]


class Killed(BaseException):
    """An exception that nothing catches, like a kill."""


@pytest.mark.parametrize("moment", ["before it begins", "in the middle", "at the end"])
def test_delete_killed_leaves_whole_table_or_none(lake, tmp_path, monkeypatch, moment):
    for number in range(3):
        lake.store(pl.DataFrame({"n": [number]}), mode="append")
    lake.store(pl.DataFrame({"n": [9]}), "other")
    remove = shutil.rmtree

    def killed(path, *others, **options):
        if moment == "in the middle":
            remove(os.path.join(path, "_delta_log"))
        if moment == "at the end":
            remove(path)
        raise Killed

    monkeypatch.setattr(os if moment == "before it begins" else shutil,
                        "rename" if moment == "before it begins" else "rmtree", killed)  # fmt: skip
    with pytest.raises(Killed):
        lake.handler.delete(lake.asked())
    monkeypatch.undo()
    if moment == "before it begins":
        assert sorted(lake.load(pl.DataFrame)["n"]) == [0, 1, 2]
    else:
        with pytest.raises(NotMaterializedError):
            lake.load(pl.DataFrame)
    assert [report["table"] for report in lake.handler.maintain(vacuum=False)] == sorted(
        lake.handler.address(name, None)
        for name in (["asset", "other"] if moment == "before it begins" else ["other"])
    )
    lake.store(pl.DataFrame({"n": [5]}))
    assert lake.load(pl.DataFrame)["n"].to_list() == [5]
    lake.handler.delete(lake.asked())
    assert os.listdir(tmp_path / "lake") == ["other"]


def test_delete_killed_does_not_block_writes(lake, tmp_path, monkeypatch):
    """Also not of a handler whose tables lie one level higher."""
    lake.store(pl.DataFrame({"n": [1]}))
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        lake.handler.delete(lake.asked())
    above = Lake(tmp_path)
    above.store(pl.DataFrame({"n": [2]}), "lake")
    assert above.load(pl.DataFrame, "lake")["n"].to_list() == [2]


def test_delete_names_files_it_cannot_remove(lake, monkeypatch):
    lake.store(pl.DataFrame({"n": [1]}))

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(RiversError, match=r"Deleted asset 'asset', but.*\.rivers-deleted"):
        lake.handler.delete(lake.asked())
    assert not lake.handler.exists(lake.asked())


@pytest.fixture
def linked(lake, tmp_path):
    """The folder behind a link in the place of a table."""
    folder = tmp_path / "bigger-disk"
    folder.mkdir()
    os.makedirs(tmp_path / "lake")
    os.symlink(folder, lake.handler.address("asset", None))
    return folder


def test_delete_empties_table_behind_link(lake, linked):
    for number in range(2):
        lake.store(pl.DataFrame({"k": ["a"], "n": [number]}), keys="a", partition_expr="k")
        lake.handler.delete(lake.asked())
        assert not lake.handler.exists(lake.asked())
        assert not any(linked.iterdir())
        assert os.path.islink(lake.handler.address("asset", None))
    lake.handler.delete(lake.asked())


def test_delete_removes_no_files_of_others_behind_link(lake, linked):
    (linked / "precious").write_bytes(b"1")
    lake.handler.delete(lake.asked())
    assert (linked / "precious").exists()


def test_delete_behind_link_follows_no_inner_link(lake, linked, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_bytes(b"1")
    lake.store(pl.DataFrame({"n": [1]}))
    (linked / "folder").symlink_to(tmp_path / "other")
    (linked / "file").symlink_to(tmp_path / "other" / "precious")
    lake.handler.delete(lake.asked())
    assert (tmp_path / "other" / "precious").exists()
    assert not lake.handler.exists(lake.asked())


@pytest.mark.parametrize("number", range(1, 5))
def test_delete_behind_link_that_is_interrupted_is_continued(lake, linked, monkeypatch, number):
    for value in range(2):
        lake.store(pl.DataFrame({"n": [value]}))
    calls, unlink = [], os.unlink

    def remove(path, **options):
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", remove)
        with pytest.raises(KeyboardInterrupt):
            lake.handler.delete(lake.asked())
    with suppress(RiversError):
        assert lake.load(pl.DataFrame)["n"].to_list() == [1]
    lake.handler.delete(lake.asked())
    assert not any(linked.iterdir())
    assert not lake.handler.exists(lake.asked())


def test_delete_table_twice_at_once(lake, monkeypatch):
    lake.store(pl.DataFrame({"n": [1]}))
    opened = deleting.open_table

    def open_before_the_other(*args):
        table = opened(*args)
        monkeypatch.setattr(deleting, "open_table", opened)
        DeltaIOHandler(lake.handler.table_uri).delete(lake.asked())
        return table

    monkeypatch.setattr(deleting, "open_table", open_before_the_other)
    lake.handler.delete(lake.asked())
    assert not lake.handler.exists(lake.asked())
