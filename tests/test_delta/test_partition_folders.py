"""Partition keys that are too long for the name of a folder: kept elsewhere, or refused with the reason."""

from __future__ import annotations

import polars as pl
import pytest

from rivers_core import PartitionKey, PartitionsDefinition
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
def test_a_table_that_begins_with_a_long_key_has_no_folders(lake, key, mode):
    options = {"mode": mode, "merge_predicate": "s.n = t.n"}
    store(lake, key, **options)
    store(lake, "short", number=2, **options)
    store(lake, key, number=3)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=key, **REGION).rows() == [(key, 3)]
    assert lake.load(pl.DataFrame, keys="short", **REGION).rows() == [("short", 2)]
    lake.handler.delete(lake.asked(keys=key, **REGION))
    assert lake.load(pl.DataFrame).rows() == [("short", 2)]


def test_a_key_that_is_listed_and_long_counts_from_the_first_partition_on(lake):
    definition = PartitionsDefinition.static_(["short", LONG])
    store(lake, "short", definition)
    store(lake, LONG, definition)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=["short", LONG], definition=definition, **REGION).height == 2


def test_one_of_several_keys_at_once_may_be_the_long_one(lake):
    frame = pl.DataFrame({"reg": ["short", LONG], "n": [1, 2]})
    lake.store(frame, keys=["short", LONG], **REGION)
    assert folders(lake) == []
    assert lake.load(pl.DataFrame, keys=LONG, **REGION)["n"].to_list() == [2]


def test_only_the_dimension_with_long_keys_goes_without_folders(lake):
    keys = [PartitionKey.multi({"reg": "us", "team": "a"}), PartitionKey.multi({"reg": "eu", "team": LONG})]
    frame = pl.DataFrame({"reg": ["us", "eu"], "team": ["a", LONG], "n": [1, 2]})
    expr = {"partition_expr": {"reg": "reg", "team": "team"}}
    lake.store(frame, keys=keys, **expr)
    assert folders(lake) == ["reg"]
    assert lake.load(pl.DataFrame, keys=keys[1:], **expr)["n"].to_list() == [2]


def test_the_longest_key_that_fits_is_a_folder(lake):
    store(lake, LONGEST)
    store(lake, "short")
    assert folders(lake) == ["reg"]
    assert lake.load(pl.DataFrame, keys=LONGEST, **REGION).height == 1


@pytest.mark.parametrize("key", [LONG, WIDE, LONGEST + "k"])
@pytest.mark.parametrize("mode", ["overwrite", "append", "merge"])
def test_a_long_key_in_a_table_with_folders_is_refused_with_the_reason(lake, capfd, key, mode):
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


def test_a_long_key_that_was_never_written_is_absent_like_others(lake):
    store(lake, "short")
    assert not lake.handler.exists(lake.asked(keys=LONG, **REGION))
