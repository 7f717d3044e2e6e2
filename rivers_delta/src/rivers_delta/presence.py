"""Whether a table or partition was ever written: known from the log, so that one written with no rows is there too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivers_delta.columns import PARTITION_HINT
from rivers_delta.partitions import partition_predicate, presence_id
from rivers_delta.predicates import OneOf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core.partitions import PartitionContext, PartitionKey
    from rivers_delta.columns import Column
    from rivers_delta.partition_expr import PartitionExpr
    from rivers_delta.predicates import Predicate
    from rivers_delta.tables import Table

WRITTEN = 1
DELETED = 0
UNFINISHED = "rivers/unfinished"
PARTITIONED = "rivers/partitioned"

_MANY: Final = 20


def is_unfinished(table: Table) -> bool:
    """Whether a table was made for a merge that never came: it counts as not there until the next commit.

    Args:
        table: At the version that is meant.
    """
    return table.version() == 0 and table.transaction_version(UNFINISHED) is not None


def partition_columns(table: Table) -> list[str]:
    """The columns that a table was divided by when it was made; none if it got partitions only later.

    Args:
        table: At the version that is meant.
    """
    marked = [one.name for one in table.schema().fields if PARTITION_HINT in one.metadata]
    return list(dict.fromkeys([*table.metadata().partition_columns, *marked]))


def is_marked_partitioned(table: Table) -> bool:
    """Whether partitions were written to a table that was made without.

    Args:
        table: At the version that is meant.
    """
    return table.version() > 0 and table.transaction_version(PARTITIONED) == WRITTEN


def unmarked_keys(table: Table, asset_name: str, partition: PartitionContext) -> list[PartitionKey]:
    """The keys that no commit of this handler says were written.

    Args:
        table: At the version that is meant.
        asset_name: The asset.
        partition: The keys.
    """
    return [key for key in partition.keys if not _is_marked(table, asset_name, key)]


def keys_to_mark(
    table: Table, asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> list[PartitionKey]:
    """The keys that a write has to mark, lest nothing says that they were written if their rows should go.

    Args:
        table: At the version that is meant.
        asset_name: The asset.
        partition: The keys.
        expr: In which columns they are.
        columns: The columns of the table.
    """
    rowless = _rowless_keys(table, asset_name, partition, expr, columns)
    if rowless is None:
        return unmarked_keys(table, asset_name, partition)
    return [key for key in rowless if not _is_marked(table, asset_name, key)]


def absent_keys(
    table: Table, asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> list[PartitionKey]:
    """The keys that were never written: neither marked nor, in a table of somebody else, with any row.

    Args:
        table: At the version that is meant.
        asset_name: The asset.
        partition: The keys.
        expr: In which columns they are.
        columns: The columns of the table.
    """
    rowless = _rowless_keys(table, asset_name, partition, expr, columns)
    if rowless is not None:
        return [key for key in rowless if not _is_marked(table, asset_name, key)]
    absent = []
    for key in unmarked_keys(table, asset_name, partition):
        predicate = _predicate(asset_name, partition, key, expr, columns)
        batches = table.scan(columns=[predicate.columns[0]], predicate=predicate.sql())
        if not any(batch.num_rows for batch in batches):
            absent.append(key)
    return absent


def _is_marked(table: Table, asset_name: str, key: PartitionKey) -> bool:
    return table.transaction_version(presence_id(asset_name, key)) == WRITTEN


def _rowless_keys(
    table: Table, asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> list[PartitionKey] | None:
    """Of many keys, those without rows as the folders of the table tell; None if there are few, or other columns.

    To ask for a mark reads all marks of the log, which takes too long for each of many keys.
    """
    names = expr.columns
    if len(partition.keys) < _MANY or not set(names) <= set(table.metadata().partition_columns):
        return None
    actions = table.get_add_actions(flatten=True)
    there = set(zip(*(actions.column(f"partition.{name}").to_pylist() for name in names), strict=True))
    rowless = []
    for key in partition.keys:
        (terms,) = _predicate(asset_name, partition, key, expr, columns).groups
        values = {term.column: term.values[0] for term in terms if isinstance(term, OneOf)}
        if len(values) < len(terms):
            return None
        if tuple(values[name] for name in names) not in there:
            rowless.append(key)
    return rowless


def _predicate(
    asset_name: str,
    partition: PartitionContext,
    key: PartitionKey,
    expr: PartitionExpr,
    columns: Sequence[Column],
) -> Predicate:
    from rivers_core.partitions import PartitionContext

    one = PartitionContext([key], partition.definition)
    return partition_predicate(asset_name, one, expr, columns)
