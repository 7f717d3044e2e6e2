"""A handler that takes batches gives one value for all keys, or for those that are there."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

import rivers as rs

LETTERS = rs.PartitionsDefinition.static_(["a", "b", "c"])


class Rows(rs.BaseIOHandler):
    """Keeps all partitions of an asset in one list of rows, as a table does."""

    partition_batches: ClassVar[bool] = True
    rows: dict[str, list[tuple[str, int]]] = {}

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        self.rows.setdefault(context.asset_name, []).extend(obj)

    def load_input(self, context: rs.InputContext) -> Any:
        wanted = [str(key) for key in context.partition.keys]
        selected = [row for row in self.rows.get(context.asset_name, []) if row[0] in wanted]
        absent = sorted(set(wanted) - {key for key, _ in selected})
        if absent:
            raise rs.exceptions.NotMaterializedError(context.asset_name, partition=", ".join(absent))
        return selected


@pytest.fixture
def pipeline(repository):
    @rs.Asset(partitions_def=LETTERS, io_handler=Rows(rows={}))
    def up(context: rs.AssetExecutionContext) -> list:
        return [(str(key), 1) for key in context.partition.keys]

    @rs.Asset(deps=[rs.AssetDef.input("up", partition_mapping=rs.PartitionMapping.subset())])
    def some(up: list) -> int:
        return len(up)

    @rs.Asset
    def every(up: list) -> int:
        return len(up)

    return repository(up, some, every)


def test_batch_input_of_several_keys_is_one_value(pipeline):
    pipeline.materialize(["up"], partition_key=["a", "b", "c"])
    pipeline.materialize(["every"])
    assert pipeline.load_node("every") == 3


def test_batch_input_of_missing_key(pipeline):
    pipeline.materialize(["up"], partition_key=["a", "c"])
    with pytest.raises(rs.exceptions.ExecutionError, match="b"):
        pipeline.materialize(["every"])
    pipeline.materialize(["some"])
    assert pipeline.load_node("some") == 2


def test_batch_input_accepts_foreign_partitions(pipeline):
    pipeline.io_handler_for_output("up").rows["up"] = [("b", 1)]
    pipeline.materialize(["some"])
    assert pipeline.load_node("some") == 1


def test_batch_input_of_nothing_suggests_dictionary(pipeline):
    with pytest.raises(rs.exceptions.ExecutionError, match="annotate the parameter as a dictionary"):
        pipeline.materialize(["some"])
