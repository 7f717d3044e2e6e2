"""Running a merge: every identifier quoted, and of a partition nothing but that partition touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.config.merge_config import WhenMatchedDelete, WhenNotMatchedBySourceDelete
from rivers_delta.partitions.predicates import identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake.table import TableMerger

    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.partitions.predicates import Predicate

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

    def assigned(operation: Any) -> dict[str, str]:
        updates = getattr(operation, "updates", None)
        if updates is not None:
            names = {name: _column(name, "sets", (config.target_alias,), target_columns) for name in updates}
            return {identifier(names[name]): expression for name, expression in updates.items()}
        return {
            identifier(name): identifier(name, config.source_alias)
            for name in _whole(operation, config, columns, target_columns)
        }

    def within(predicate: str | None) -> str | None:
        if belonging is None:
            return predicate
        partition = belonging.sql(config.target_alias)
        return partition if predicate is None else f"({predicate}) AND ({partition})"

    found = _by_turn(
        operations.when_matched_delete, operations.when_matched_update, operations.when_matched_update_all
    )
    for one in found:
        if isinstance(one, WhenMatchedDelete):
            merger.when_matched_delete(one.predicate)
        else:
            merger.when_matched_update(assigned(one), one.predicate)
    for one in _by_turn(operations.when_not_matched_insert, operations.when_not_matched_insert_all):
        merger.when_not_matched_insert(assigned(one), one.predicate)
    orphans = _by_turn(
        operations.when_not_matched_by_source_delete, operations.when_not_matched_by_source_update
    )
    for one in orphans:
        if isinstance(one, WhenNotMatchedBySourceDelete):
            merger.when_not_matched_by_source_delete(within(one.predicate))
        else:
            merger.when_not_matched_by_source_update(assigned(one), within(one.predicate))
    return merger


def assigned_columns(
    config: MergeConfig, columns: Sequence[str], target_columns: Sequence[str]
) -> list[tuple[str, str]]:
    """Which column of the source goes into which of the table as it is; what expressions compute is not looked into.

    Args:
        config: What to do.
        columns: The columns of the source.
        target_columns: The columns of the table.

    Raises:
        InvalidMetadataError: An operation names a column that is not there.
    """
    operations = config.resolved()
    pairs: list[tuple[str, str]] = []
    for whole in (*operations.when_matched_update_all, *operations.when_not_matched_insert_all):
        pairs += [(name, name) for name in _whole(whole, config, columns, target_columns)]
    singles: tuple[Any, ...] = (*operations.when_matched_update, *operations.when_not_matched_insert)
    for one in singles:
        for name, expression in one.updates.items():
            source = _source_column(expression, config.source_alias)
            if source is not None and source in columns:
                pairs.append((source, _column(name, "sets", (config.target_alias,), target_columns)))
    return list(dict.fromkeys(pairs))


def _whole(
    operation: Any, config: MergeConfig, columns: Sequence[str], target_columns: Sequence[str]
) -> list[str]:
    """The columns of the source that an operation on whole rows writes."""
    known = [*dict.fromkeys([*target_columns, *columns])]
    aliases = (config.source_alias, config.target_alias)
    left_out = {_column(name, "leaves out", aliases, known) for name in operation.except_cols or ()}
    return [name for name in columns if name not in left_out]


def _source_column(expression: str, alias: str) -> str | None:
    """The column of the source that an expression is, if it is nothing more than one."""
    found = re.fullmatch(rf'\s*{alias}\.(?:"((?:[^"]|"")+)"|`([^`]+)`|(\w+))\s*', expression)
    if found is None:
        return None
    quoted, ticked, bare = found.groups()
    return quoted.replace('""', '"') if quoted else ticked or bare


def _by_turn(*kinds: Sequence[Any]) -> list[Any]:
    """Operations in the order in which a row tries them: what is for every row comes last."""
    return sorted((one for kind in kinds for one in kind), key=lambda one: one.predicate is None)


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


def _column(name: str, does: str, aliases: Sequence[str], known: Sequence[str]) -> str:
    """A column that is there, which may be written with an alias in front.

    Raises:
        InvalidMetadataError: There is no such column.
    """
    bare = name
    for alias in aliases:
        bare = bare.removeprefix(f"{alias}.")
    for candidate in (name, bare, bare.strip('`"')):
        if candidate in known:
            return candidate
    raise InvalidMetadataError(
        f"The merge {does} the column {name!r}, which is missing from the table.{did_you_mean(bare, known)} It has "
        f"{', '.join(map(repr, known))}."
    )
