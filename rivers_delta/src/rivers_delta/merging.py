"""Running a merge: every identifier quoted, and of a partition nothing but that partition touched."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.predicates import identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake.table import TableMerger

    from rivers_delta.merge import MergeConfig
    from rivers_delta.predicates import Predicate

METRICS = {
    "delta/source_rows": "num_source_rows",
    "delta/rows_inserted": "num_target_rows_inserted",
    "delta/rows_updated": "num_target_rows_updated",
    "delta/rows_deleted": "num_target_rows_deleted",
    "delta/rows_copied": "num_target_rows_copied",
}
"""The statistics of a merge that become metadata, and what deltalake calls them."""


def merge_predicate(predicate: str, target_alias: str, belonging: Predicate | None) -> str:
    """Which rows match; within a partition, only rows of it.

    Args:
        predicate: As the user wrote it.
        target_alias: What the table is called.
        belonging: The partition; None for a whole table.
    """
    return predicate if belonging is None else f"({predicate}) AND ({belonging.sql(target_alias)})"


def add_operations(
    merger: TableMerger,
    config: MergeConfig,
    columns: Sequence[str],
    target_columns: Sequence[str],
    belonging: Predicate | None,
) -> TableMerger:
    """Add what the configuration says to a merge.

    Args:
        merger: The merge.
        config: What to do.
        columns: The columns of the source.
        target_columns: The columns of the table.
        belonging: The partition; rows outside of it count as matched by nobody and are left alone.
    """
    operations = config.resolved()

    def quoted(updates: dict[str, str]) -> dict[str, str]:
        return {
            identifier(_column(name, config.target_alias, target_columns)): expression
            for name, expression in updates.items()
        }

    def whole(excepted: Sequence[str] | None) -> dict[str, str]:
        return {
            identifier(name): identifier(name, config.source_alias)
            for name in columns
            if name not in (excepted or ())
        }

    def within(predicate: str | None) -> str | None:
        if belonging is None:
            return predicate
        partition = belonging.sql(config.target_alias)
        return partition if predicate is None else f"({predicate}) AND ({partition})"

    for update in operations.when_matched_update:
        merger.when_matched_update(quoted(update.updates), update.predicate)
    for update_all in operations.when_matched_update_all:
        merger.when_matched_update(whole(update_all.except_cols), update_all.predicate)
    for delete in operations.when_matched_delete:
        merger.when_matched_delete(delete.predicate)
    for insert in operations.when_not_matched_insert:
        merger.when_not_matched_insert(quoted(insert.updates), insert.predicate)
    for insert_all in operations.when_not_matched_insert_all:
        merger.when_not_matched_insert(whole(insert_all.except_cols), insert_all.predicate)
    for orphan_update in operations.when_not_matched_by_source_update:
        merger.when_not_matched_by_source_update(
            quoted(orphan_update.updates), within(orphan_update.predicate)
        )
    for orphan_delete in operations.when_not_matched_by_source_delete:
        merger.when_not_matched_by_source_delete(within(orphan_delete.predicate))
    return merger


def described(metrics: dict[str, Any]) -> dict[str, int]:
    """The statistics of a merge as metadata.

    Args:
        metrics: What deltalake returned.
    """
    facts = {name: int(metrics[key]) for name, key in METRICS.items() if key in metrics}
    return facts | {"delta/rows_written": facts["delta/rows_inserted"] + facts["delta/rows_updated"]}


def inserted(rows: int) -> dict[str, int]:
    """The statistics of a merge into a table that it made.

    Args:
        rows: How many it has.
    """
    return dict.fromkeys(METRICS, 0) | {"delta/source_rows": rows, "delta/rows_inserted": rows}


def _column(name: str, alias: str, known: Sequence[str]) -> str:
    """A column of the table, which may be written with the alias in front.

    Raises:
        InvalidMetadataError: The table has no such column.
    """
    bare = name.removeprefix(f"{alias}.")
    for candidate in (name, bare, bare.strip('`"')):
        if candidate in known:
            return candidate
    close = difflib.get_close_matches(bare, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InvalidMetadataError(
        f"The merge sets the column {name!r}, which the table has not{hint}; it has {', '.join(map(repr, known))}."
    )
