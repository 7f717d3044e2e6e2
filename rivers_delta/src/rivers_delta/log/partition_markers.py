"""Whether a table or partition was ever written: known from the log, so that one written with no rows is there too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rivers_delta.log.known_transactions import transactions_of
from rivers_delta.partitions.filters import partition_predicate, presence_id
from rivers_delta.partitions.predicates import OneOf
from rivers_delta.schema.encoding import PARTITION_HINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core import PartitionContext, PartitionKey
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column

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
    known = transactions_of(table) if len(partition.keys) >= _MANY else None
    version_of = table.transaction_version if known is None else known.get
    return [key for key in partition.keys if version_of(presence_id(asset_name, key)) != WRITTEN]


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
    unmarked = unmarked_keys(table, asset_name, partition)
    there = _folders(table, expr) if len(unmarked) >= _MANY else None
    absent = []
    for key in unmarked:
        predicate = _predicate(asset_name, partition, key, expr, columns)
        if not _has_rows(table, predicate) if there is None else _values(predicate, expr) not in there:
            absent.append(key)
    return absent


def _has_rows(table: Table, predicate: Predicate) -> bool:
    batches = table.scan(columns=[predicate.columns[0]], predicate=predicate.sql())
    return any(batch.num_rows for batch in batches)


def _folders(table: Table, expr: PartitionExpr) -> set[tuple[Any, ...]] | None:
    """The values of which a table has folders with rows; None if its folders are of other columns."""
    if not set(expr.columns) <= set(table.metadata().partition_columns):
        return None
    actions = table.get_add_actions(flatten=True)
    return set(zip(*(actions.column(f"partition.{name}").to_pylist() for name in expr.columns), strict=True))


def _values(predicate: Predicate, expr: PartitionExpr) -> tuple[Any, ...]:
    """The values of one key, one for each column."""
    (terms,) = predicate.groups
    by_column = {term.column: term.values[0] for term in terms if isinstance(term, OneOf)}
    return tuple(by_column.get(name) for name in expr.columns)


def _predicate(
    asset_name: str,
    partition: PartitionContext,
    key: PartitionKey,
    expr: PartitionExpr,
    columns: Sequence[Column],
) -> Predicate:
    from rivers_core import PartitionContext

    one = PartitionContext([key], partition.definition)
    return partition_predicate(asset_name, one, expr, columns)
