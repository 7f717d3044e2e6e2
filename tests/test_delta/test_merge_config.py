"""The configuration of a merge is a value: given by position, by name, as plain data, and never changed after."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from pydantic import ValidationError

import rivers_delta
from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError
from rivers_delta import (
    DeltaIOHandler,
    MergeConfig,
    MergeOperationsConfig,
    PartitionExpr,
    WhenMatchedDelete,
    WhenMatchedUpdate,
    WhenMatchedUpdateAll,
    WhenNotMatchedBySourceDelete,
    WhenNotMatchedBySourceUpdate,
    WhenNotMatchedInsert,
    WhenNotMatchedInsertAll,
)

UPDATES = {"my col": "s.v", "n": "t.n + 1"}
OPERATIONS = (
    [WhenNotMatchedInsert("s.id > 1", UPDATES)],
    [WhenNotMatchedInsertAll(None, ["v"])],
    [WhenMatchedUpdate("t.n = 1", UPDATES)],
    [WhenMatchedUpdateAll("t.n = 2", ["v", "w"])],
    [WhenMatchedDelete("s.gone")],
    [WhenNotMatchedBySourceDelete("t.n = 3")],
    [WhenNotMatchedBySourceUpdate("t.n = 4", UPDATES)],
)
FULL = MergeConfig("custom", "new.id = old.id", "new", "old", False, MergeOperationsConfig(*OPERATIONS))
VALUES = [
    FULL,
    MergeConfig(),
    MergeConfig("upsert", "s.id = t.id"),
    FULL.operations,
    *(one for kind in OPERATIONS for one in kind),
    PartitionExpr("day"),
    PartitionExpr({"day": "t", "region": "r"}),
]


def test_merge_config_accepts_positional_arguments():
    assert (
        MergeConfig(
            merge_type="custom",
            predicate="new.id = old.id",
            source_alias="new",
            target_alias="old",
            error_on_type_mismatch=False,
            operations=MergeOperationsConfig(
                when_not_matched_insert=[WhenNotMatchedInsert(predicate="s.id > 1", updates=UPDATES)],
                when_not_matched_insert_all=[WhenNotMatchedInsertAll(except_cols=["v"])],
                when_matched_update=[WhenMatchedUpdate(predicate="t.n = 1", updates=UPDATES)],
                when_matched_update_all=[WhenMatchedUpdateAll(predicate="t.n = 2", except_cols=["v", "w"])],
                when_matched_delete=[WhenMatchedDelete(predicate="s.gone")],
                when_not_matched_by_source_delete=[WhenNotMatchedBySourceDelete(predicate="t.n = 3")],
                when_not_matched_by_source_update=[
                    WhenNotMatchedBySourceUpdate(predicate="t.n = 4", updates=UPDATES)
                ],
            ),
        )
        == FULL
    )
    assert list(inspect.signature(WhenNotMatchedInsert).parameters) == ["predicate", "updates"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_merge_config_is_value(value):
    for again in (
        pickle.loads(pickle.dumps(value)),
        copy.deepcopy(value),
        eval(repr(value), vars(rivers_delta)),
    ):
        assert again == value
        assert hash(again) == hash(value)
    assert len({value, copy.copy(value), "another"}) == 2


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_merge_config_is_immutable(value):
    fields = ["expr"] if isinstance(value, PartitionExpr) else inspect.signature(type(value)).parameters
    for field in fields:
        with pytest.raises(AttributeError):
            setattr(value, field, None)


def test_merge_config_copies_arguments():
    updates, kinds, columns = {"v": "s.v"}, [WhenMatchedDelete("s.gone")], {"day": "t"}
    update, operations, expr = (
        WhenMatchedUpdate(updates=updates), MergeOperationsConfig(when_matched_delete=kinds), PartitionExpr(columns)
    )  # fmt: skip
    updates.clear()
    kinds.clear()
    columns.clear()
    expr.expr.clear()
    assert update.updates == {"v": "s.v"}
    assert operations.when_matched_delete == [WhenMatchedDelete("s.gone")]
    assert expr == PartitionExpr({"day": "t"})


def test_partition_expr_is_usable_as_key():
    assert len({PartitionExpr({"day": "t", "region": "r"}), PartitionExpr({"region": "r", "day": "t"})}) == 1


PLAIN = {
    "merge_type": "custom",
    "predicate": "s.id = t.id",
    "operations": {
        "when_matched_delete": {"predicate": "s.gone"},
        "when_matched_update": [{"updates": {"v": "s.v"}}],
    },
}
SAME = MergeConfig(
    "custom",
    "s.id = t.id",
    operations=MergeOperationsConfig(
        when_matched_delete=[WhenMatchedDelete("s.gone")],
        when_matched_update=[WhenMatchedUpdate(updates={"v": "s.v"})],
    ),
)
JSON = (
    '{"merge_type": "custom", "predicate": "s.id = t.id", "operations": {"when_matched_delete": '
    '{"predicate": "s.gone"}, "when_matched_update": [{"updates": {"v": "s.v"}}]}}'
)


def test_merge_config_from_data_and_json(tmp_path, monkeypatch):
    for given in (PLAIN, JSON, SAME):
        assert DeltaIOHandler(tmp_path, merge_config=given).merge_config == SAME
    monkeypatch.setenv("RIVERS_DELTA_MERGE_CONFIG", JSON)
    handler = DeltaIOHandler(tmp_path)
    assert handler.merge_config == SAME
    assert pickle.loads(pickle.dumps(handler)) == handler
    assert DeltaIOHandler(tmp_path, merge_config=handler.model_dump()["merge_config"]) == handler


TABLE = """
[io_handlers.lake]
use = "delta"
table_uri = "./lake"
[io_handlers.lake.merge_config]
merge_type = "custom"
predicate = "s.id = t.id"
operations = { %s = { predicate = "s.gone" }, when_matched_update = [{ updates = { v = "s.v" } }] }
"""


def test_merge_config_from_file_and_variables(tmp_path, monkeypatch):
    file = tmp_path / "rivers.toml"
    file.write_text(TABLE % "when_matched_delete")
    assert load_config(file).handler("lake").merge_config == SAME
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__MERGE_CONFIG", '{"predicate": "s.n = t.n"}')
    assert load_config(file).handler("lake").merge_config == MergeConfig(predicate="s.n = t.n")


def test_merge_config_suggests_misspelled_keys(tmp_path):
    file = tmp_path / "rivers.toml"
    file.write_text(TABLE % "when_matched_delet")
    with pytest.raises(
        ConfigurationError, match=r"merge_config\.operations.*Did you mean 'when_matched_delete'"
    ):
        load_config(file).handler("lake")
    with pytest.raises(ValidationError, match="'updats' is not a field of WhenMatchedUpdate.*'updates'"):
        WhenMatchedUpdate(updats={})
    with pytest.raises(
        ValidationError, match=r"(?s)operations\.when_matched_update\.0.*Did you mean 'predicate'"
    ):
        MergeConfig("custom", operations={"when_matched_update": {"predicat": "x", "updates": {"v": "1"}}})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: WhenMatchedUpdate("s.id = 1"),
        lambda: WhenMatchedUpdate("s.id = 1", {}),
        lambda: WhenMatchedUpdateAll(None, "v"),
        lambda: MergeConfig("upsert", merge_type="upsert"),
        lambda: MergeConfig("upsert", "s.id = t.id", "s", "t", True, None, "more"),
        lambda: DeltaIOHandler("lake", merge_config="{"),
    ],
)
def test_merge_config_refuses_incomplete_data(wrong):
    with pytest.raises(ValidationError):
        wrong()
