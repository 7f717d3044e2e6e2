"""Whether a table or partition was ever written: known from the log, so that one written with no rows is there too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_delta.columns import PARTITION_HINT
from rivers_delta.partitions import partition_predicate, presence_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core.partitions import PartitionContext, PartitionKey
    from rivers_delta.columns import Column
    from rivers_delta.partition_expr import PartitionExpr
    from rivers_delta.tables import Table

WRITTEN = 1
DELETED = 0
UNFINISHED = "rivers/unfinished"
PARTITIONED = "rivers/partitioned"


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
    return [
        key for key in partition.keys if table.transaction_version(presence_id(asset_name, key)) != WRITTEN
    ]


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
    from rivers_core.partitions import PartitionContext

    absent = []
    for key in unmarked_keys(table, asset_name, partition):
        one = PartitionContext([key], partition.definition)
        predicate = partition_predicate(asset_name, one, expr, columns)
        batches = table.scan(columns=[predicate.columns[0]], predicate=predicate.sql())
        if not any(batch.num_rows for batch in batches):
            absent.append(key)
    return absent
