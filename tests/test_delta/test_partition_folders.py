"""Partition keys that are too long for the name of a folder: kept elsewhere, or refused with the reason."""

from __future__ import annotations

import polars as pl
import pytest

from rivers.partitions import PartitionsDefinition
from rivers_core import PartitionKey
from rivers_core.exceptions import PartitionValidationError

LONG = "k" * 300
WIDE = "ü" * 50
LONGEST = "k" * 251
REGION = {"partition_expr": "reg"}


def store(lake, key, definition=None, number=1, **options):
    frame = pl.DataFrame({"reg": [key], "n": [number]})
    return lake.store(frame, keys=key, definition=definition, **REGION | options)


def folders(lake):
    return lake.table().metadata().partition_columns


@pytest.mark.parametrize("key", [LONG, WIDE], ids=["long", "short until it is escaped"])
@pytest.mark.parametrize("mode", ["overwrite", "append", "merge"])
def test_folders_are_omitted_for_long_first_key(lake, key, mode):
    options = {"mode": mode, "merge_predicate": "s.n = t.n"}
    store(lake, key, **options)
    store(lake, "short", number=2, **options)
    store(lake, key, number=3)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=key, **REGION).rows() == [(key, 3)]
    assert lake.load(pl.DataFrame, keys="short", **REGION).rows() == [("short", 2)]
    lake.handler.delete(lake.asked(keys=key, **REGION))
    assert lake.load(pl.DataFrame).rows() == [("short", 2)]


def test_folders_are_omitted_for_long_listed_key(lake):
    definition = PartitionsDefinition.static_(["short", LONG])
    store(lake, "short", definition)
    store(lake, LONG, definition)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=["short", LONG], definition=definition, **REGION).height == 2


def test_folders_are_omitted_for_one_long_key(lake):
    frame = pl.DataFrame({"reg": ["short", LONG], "n": [1, 2]})
    lake.store(frame, keys=["short", LONG], **REGION)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=LONG, **REGION)["n"].to_list() == [2]


def test_folders_of_other_dimensions_stay(lake):
    keys = [PartitionKey.multi({"reg": "us", "team": "a"}), PartitionKey.multi({"reg": "eu", "team": LONG})]
    frame = pl.DataFrame({"reg": ["us", "eu"], "team": ["a", LONG], "n": [1, 2]})
    expr = {"partition_expr": {"reg": "reg", "team": "team"}}
    lake.store(frame, keys=keys, **expr)
    assert folders(lake) == ["reg"]
    assert lake.load(pl.DataFrame, keys=keys[1:], **expr)["n"].to_list() == [2]


def test_folders_hold_longest_key_that_fits(lake):
    store(lake, LONGEST)
    store(lake, "short")
    assert folders(lake) == ["reg"]
    assert lake.load(pl.DataFrame, keys=LONGEST, **REGION).height == 1


@pytest.mark.parametrize("key", [LONG, WIDE, LONGEST + "k"])
@pytest.mark.parametrize("mode", ["overwrite", "append", "merge"])
def test_folders_refuse_later_long_key(lake, capfd, key, mode):
    store(lake, "short")
    with pytest.raises(
        PartitionValidationError, match=r"'(k|ü){30}\.\.\.' is too long.*folder.*'reg'.*3\d\d|256 bytes"
    ):
        store(lake, key, mode=mode, merge_predicate="s.n = t.n")
    assert capfd.readouterr().err == ""
    assert lake.table().version() == 0
    lake.handler.delete(lake.asked())
    store(lake, key)
    store(lake, "short")
    assert lake.load(pl.DataFrame).height == 2


def test_folders_long_key_is_absent(lake):
    store(lake, "short")
    assert not lake.handler.exists(lake.asked(keys=LONG, **REGION))
