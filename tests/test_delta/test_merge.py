"""Every kind of merge, ready-made and custom, on whole tables and on partitions."""

from __future__ import annotations

import json

import polars as pl
import pytest
from pydantic import ValidationError

from rivers_core.exceptions import AssetOutputValidationError, InvalidMetadataError
from rivers_delta import (
    DeltaIOHandler,
    MergeConfig,
    MergeOperationsConfig,
    WhenMatchedDelete,
    WhenMatchedUpdate,
    WhenMatchedUpdateAll,
    WhenNotMatchedBySourceDelete,
    WhenNotMatchedBySourceUpdate,
    WhenNotMatchedInsert,
    WhenNotMatchedInsertAll,
)
from tests.test_delta.support import Lake, facts

MATCH = {"mode": "merge", "merge_predicate": "s.id = t.id"}
OLD = pl.DataFrame({"id": [1, 2], "v": ["a", "b"]})
NEW = pl.DataFrame({"id": [2, 3], "v": ["B", "C"]})


def rows(lake):
    return sorted(lake.load(pl.DataFrame).rows())


@pytest.mark.parametrize(
    ("kind", "expected", "counts"),
    [
        ("deduplicate_insert", [(1, "a"), (2, "b"), (3, "C")], (1, 0, 0)),
        ("update_only", [(1, "a"), (2, "B")], (0, 1, 0)),
        ("upsert", [(1, "a"), (2, "B"), (3, "C")], (1, 1, 0)),
        ("replace_delete_unmatched", [(2, "B"), (3, "C")], (1, 1, 1)),
    ],
)
def test_merge_types_apply_their_operations(lake, kind, expected, counts):
    lake.store(OLD)
    result = facts(lake.store(NEW, merge_type=kind, **MATCH))
    assert rows(lake) == expected
    assert (result["rows_inserted"], result["rows_updated"], result["rows_deleted"]) == counts
    assert result["source_rows"] == 2
    assert result["rows_written"] == counts[0] + counts[1]
    assert result["num_rows"] == len(expected)
    statistics = json.loads(result["merge_stats"])
    assert statistics["num_output_rows"] == result["num_output_rows"]
    assert statistics["num_target_rows_inserted"] == counts[0]
    assert lake.table().version() == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("upsert", 2), ("deduplicate_insert", 2), ("replace_delete_unmatched", 2), ("update_only", 0)],
)
def test_merge_creates_table(lake, kind, expected):
    result = facts(lake.store(OLD, merge_type=kind, **MATCH))
    assert (result["source_rows"], result["rows_inserted"], result["rows_updated"]) == (2, expected, 0)
    assert json.loads(result["merge_stats"])["num_output_rows"] == result["num_output_rows"] == expected
    assert lake.load(pl.DataFrame).height == expected
    assert lake.load(pl.DataFrame).schema == OLD.schema


@pytest.mark.parametrize("kind", ["upsert", "update_only"])
@pytest.mark.parametrize("is_first", [True, False], ids=["absent table", "table with another partition"])
def test_merge_without_changes_marks_partition(lake, kind, is_first):
    options = {"keys": "b", "partition_expr": "p", "merge_type": kind, **MATCH}
    empty = pl.DataFrame(schema={"p": pl.String, "id": pl.Int64})
    if not is_first:
        lake.store(pl.DataFrame({"p": ["a"], "id": [1]}), **options | {"keys": "a"})
    lake.store(empty, **options)
    assert lake.load(pl.DataFrame, keys="b", partition_expr="p").equals(empty)
    again = lake.table().version()
    lake.store(empty, **options)
    assert lake.table().version() == again


def custom(**operations):
    return MergeConfig(
        merge_type="custom", predicate="s.id = t.id", operations=MergeOperationsConfig(**operations)
    )


def test_merge_custom_operations(tmp_path):
    config = custom(
        when_matched_delete=[WhenMatchedDelete(predicate="s.v = 'gone'")],
        when_matched_update=[WhenMatchedUpdate(predicate="s.v <> 'gone'", updates={"v": "concat(t.v, s.v)"})],
        when_not_matched_insert=[
            WhenNotMatchedInsert(predicate="s.id < 100", updates={"id": "s.id", "v": "upper(s.v)"})
        ],
        when_not_matched_by_source_update=[
            WhenNotMatchedBySourceUpdate(predicate="t.id = 8", updates={"v": "'left'"})
        ],
        when_not_matched_by_source_delete=[WhenNotMatchedBySourceDelete(predicate="t.id = 9")],
    )
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(pl.DataFrame({"id": [1, 2, 7, 8, 9], "v": ["a", "b", "c", "d", "e"]}), mode="overwrite")
    lake.store(pl.DataFrame({"id": [1, 2, 3, 100], "v": ["gone", "x", "new", "late"]}))
    assert rows(lake) == [(2, "bx"), (3, "NEW"), (7, "c"), (8, "left")]


def test_merge_omits_columns(tmp_path):
    config = custom(
        when_matched_update_all=WhenMatchedUpdateAll(except_cols=["keep"]),
        when_not_matched_insert_all=WhenNotMatchedInsertAll(except_cols=["keep"]),
    )
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(pl.DataFrame({"id": [1], "keep": ["old"], "v": [1]}), mode="overwrite")
    lake.store(pl.DataFrame({"id": [1, 2], "keep": ["new", "new"], "v": [10, 20]}))
    assert rows(lake) == [(1, "old", 10), (2, None, 20)]


def test_merge_orders_operations(tmp_path):
    config = custom(
        when_matched_update=[
            WhenMatchedUpdate(predicate="s.v = 'x'", updates={"v": "'first'"}),
            WhenMatchedUpdate(predicate="s.v < 'y'", updates={"v": "'second'"}),
        ],
        when_matched_update_all=[WhenMatchedUpdateAll()],
        when_matched_delete=[WhenMatchedDelete(predicate="s.gone")],
        when_not_matched_insert=[WhenNotMatchedInsert(updates={"id": "s.id", "v": "'other'"})],
        when_not_matched_insert_all=[WhenNotMatchedInsertAll(predicate="NOT s.gone")],
        when_not_matched_by_source_update=[WhenNotMatchedBySourceUpdate(updates={"v": "'left'"})],
        when_not_matched_by_source_delete=[WhenNotMatchedBySourceDelete(predicate="t.id = 9")],
    )
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    gone = {"gone": False}
    old = [{"id": number, "v": "old", **gone} for number in (1, 2, 3, 4, 8, 9)]
    lake.store(pl.DataFrame(old), mode="overwrite")
    new = [
        {"id": 1, "v": "x", "gone": True},
        {"id": 2, "v": "x", **gone},
        {"id": 3, "v": "w", **gone},
        {"id": 4, "v": "z", **gone},
        {"id": 5, "v": "new", **gone},
        {"id": 6, "v": "new", "gone": True},
    ]
    lake.store(pl.DataFrame(new))
    assert [row[:2] for row in rows(lake)] == [
        (2, "first"), (3, "second"), (4, "z"), (5, "new"), (6, "other"), (8, "left")
    ]  # fmt: skip


def test_merge_deletes_before_updates(tmp_path):
    config = custom(
        when_matched_update=[WhenMatchedUpdate(updates={"v": "'kept'"})],
        when_matched_delete=[WhenMatchedDelete()],
    )
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(OLD, mode="overwrite")
    lake.store(NEW)
    assert rows(lake) == [(1, "a")]


@pytest.mark.parametrize(
    "operations",
    [
        {"when_matched_update_all": [WhenMatchedUpdateAll(except_cols=["creatd"])]},
        {"when_not_matched_insert_all": [WhenNotMatchedInsertAll(except_cols=["id", "t.creatd"])]},
    ],
)
def test_merge_suggests_omitted_column(tmp_path, operations):
    lake = Lake(tmp_path, mode="merge", merge_config=custom(**operations))
    old = pl.DataFrame({"id": [1], "created": ["then"]})
    lake.store(old, mode="overwrite")
    with pytest.raises(InvalidMetadataError, match="omits column .*'created'"):
        lake.store(pl.DataFrame({"id": [1], "created": ["now"]}))
    assert lake.load(pl.DataFrame).equals(old)


def test_merge_omits_column_with_alias(tmp_path):
    config = custom(when_matched_update_all=[WhenMatchedUpdateAll(except_cols=["t.keep", "s.v"])])
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(pl.DataFrame({"id": [1], "keep": ["old"], "v": [1], "w": [1]}), mode="overwrite")
    lake.store(pl.DataFrame({"id": [1], "v": [2], "w": [2]}))
    assert rows(lake) == [(1, "old", 1, 2)]


def test_merge_custom_creates_table(tmp_path):
    config = custom(
        when_not_matched_insert=[WhenNotMatchedInsert(predicate="s.id > 1", updates={"id": "s.id"})]
    )
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(OLD, run_id="run-1")
    assert rows(lake) == [(2, None)]
    assert facts(lake.store(OLD, run_id="run-1"))["repeated"] is True


def test_merge_uses_custom_aliases(tmp_path):
    config = MergeConfig(predicate="new.id = old.id", source_alias="new", target_alias="old")
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    lake.store(OLD)
    lake.store(NEW)
    assert rows(lake) == [(1, "a"), (2, "B"), (3, "C")]


def test_merge_quotes_column_names(lake):
    names = ["id", "my col", "p.q", 'p"q', "order", "p`q", "s", "t", "'", "UPPER"]
    lake.store(pl.DataFrame({name: [1, 2] for name in names}))
    lake.store(pl.DataFrame({name: [2, 3] for name in names}), **MATCH)
    assert rows(lake) == [(n,) * len(names) for n in (1, 2, 3)]


def test_merge_in_partition_touches_no_other(lake):
    options = {
        "partition_expr": "r",
        "mode": "merge",
        "merge_predicate": "s.id = t.id",
        "merge_type": "replace_delete_unmatched",
    }
    for key in ("us", "eu"):
        lake.store(pl.DataFrame({"r": [key] * 2, "id": [1, 2]}), keys=key, **options)
    lake.store(pl.DataFrame({"r": ["us"], "id": [2]}), keys="us", **options)
    assert rows(lake) == [("eu", 1), ("eu", 2), ("us", 2)]


def test_merge_adds_columns(lake):
    lake.store(OLD)
    lake.store(NEW.with_columns(extra=pl.lit(1)), schema_mode="merge", **MATCH)
    assert rows(lake) == [(1, "a", None), (2, "B", 1), (3, "C", 1)]


def test_merge_refuses_values_beyond_column_type(lake):
    lake.store(pl.DataFrame({"id": [1], "n": pl.Series([1], dtype=pl.UInt8)}))
    with pytest.raises(AssetOutputValidationError, match="'n' has type int64, and uint8"):
        lake.store(pl.DataFrame({"id": [1], "n": [-1]}), **MATCH)


def test_merge_needs_predicate(lake):
    with pytest.raises(InvalidMetadataError, match=r"delta/merge_predicate.*s\.id = t\.id"):
        lake.store(OLD, mode="merge")
    with pytest.raises(InvalidMetadataError, match="operations"):
        lake.store(OLD, merge_type="custom", **MATCH)


def test_merge_suggests_updated_column(tmp_path):
    config = custom(when_matched_update=[WhenMatchedUpdate(updates={"valeu": "s.value"})])
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    with pytest.raises(InvalidMetadataError, match="'valeu'.*'value'"):
        lake.store(pl.DataFrame({"id": [1], "value": [1]}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"merge_type": "custom", "predicate": "s.id = t.id"},
        {"merge_type": "upsert", "operations": {"when_matched_delete": [{}]}},
        {"merge_type": "custom", "operations": {}},
        {"merge_type": "upsrt"},
        {"source_alias": "x y"},
        {"source_alias": "t"},
        {"predicat": "s.id = t.id"},
    ],
)
def test_merge_config_refuses_contradictions(wrong):
    with pytest.raises(ValidationError):
        MergeConfig(**wrong)


def test_merge_config_accepts_plain_data(tmp_path):
    plain = {
        "merge_type": "custom",
        "predicate": "s.id = t.id",
        "operations": {"when_matched_delete": [{"predicate": None}]},
    }
    handler = DeltaIOHandler(table_uri=str(tmp_path), merge_config=plain)
    assert handler.merge_config.operations.when_matched_delete == [WhenMatchedDelete()]


@pytest.mark.parametrize(
    "merge_type", ["upsert", "deduplicate_insert", "update_only", "replace_delete_unmatched"]
)
@pytest.mark.parametrize("exists", [False, True])
def test_merge_refuses_repeated_keys(lake, merge_type, exists):
    options = {"mode": "merge", "merge_predicate": "s.id = t.id AND t.r = s.r", "merge_type": merge_type}
    rows = pl.DataFrame({"id": [1, 7, 7, None, None], "r": ["a"] * 5})
    if exists:
        lake.store(rows.head(1))
    for value in (rows, rows.lazy(), rows.to_arrow(), rows.to_arrow().to_reader()):
        with pytest.raises(AssetOutputValidationError, match=r"asset 'asset'.* 2 times .*'id' is 7"):
            lake.store(value, **options)
    assert lake.handler.exists(lake.asked()) is exists
    if exists:
        assert lake.load(pl.DataFrame).rows() == [(1, "a")]


EQUALITIES = [
    "(s.id = t.id)",
    "((t.id = s.id)) AND (s.r = t.r)",
    "s.id IS NOT DISTINCT FROM t.id",
    "s.id = t.id and t.r > 'a'",
    "s.id = t.id AND t.r BETWEEN 'a' AND 'z'",
    "s.id = t.id AND t.r <> ' AND s.id = '",
    't."id" = s."id"',
]


@pytest.mark.parametrize("predicate", EQUALITIES)
def test_merge_refuses_repeated_keys_in_each_form_of_predicate(lake, predicate):
    options = {"mode": "merge", "merge_predicate": predicate}
    lake.store(pl.DataFrame({"id": [1], "r": ["b"]}), **options)
    with pytest.raises(AssetOutputValidationError, match=r" 2 times .*'id' is 7"):
        lake.store(pl.DataFrame({"id": [7, 7], "r": ["b", "b"]}), **options)
    lake.store(pl.DataFrame({"id": [7, 8], "r": ["b", "b"]}), **options)
    assert lake.load(pl.DataFrame)["id"].sort().to_list() == [1, 7, 8]


def test_merge_counts_nulls_that_equal_each_other(lake):
    rows = pl.DataFrame({"id": [None, None], "r": ["a", "b"]}, schema={"id": pl.Int64, "r": pl.String})
    with pytest.raises(AssetOutputValidationError, match=r" 2 times .*'id' is None"):
        lake.store(rows, mode="merge", merge_predicate="s.id IS NOT DISTINCT FROM t.id")
    lake.store(rows, mode="merge", merge_predicate="s.id = t.id")
    assert lake.load(pl.DataFrame).height == 2


@pytest.mark.parametrize(
    "predicate",
    [
        "s.id = t.id AND s.r > t.r",
        "s.id = t.id AND s.r = 'a'",
        "s.id = t.id OR s.r = t.r",
        "s.id = t.id AND t.r > 'a' OR t.r < 'c'",
        "abs(s.id) = abs(t.id)",
    ],
)
def test_merge_allows_rows_with_other_predicates(lake, predicate):
    rows = pl.DataFrame({"id": [7, 7], "r": ["a", "b"]})
    lake.store(rows, mode="merge", merge_predicate=predicate)
    assert lake.load(pl.DataFrame).height == 2
