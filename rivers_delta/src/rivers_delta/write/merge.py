"""Merge: operations for deltalake, with quoted identifiers and limited to the partition that is written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from rivers_core import MetadataValue
from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.config.merge_config import WhenMatchedDelete, WhenNotMatchedBySourceDelete
from rivers_delta.partitions.predicates import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake.table import TableMerger

    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.partitions.predicates import Predicate

_METRICS: Final = {
    "delta/source_rows": "num_source_rows",
    "delta/rows_inserted": "num_target_rows_inserted",
    "delta/rows_updated": "num_target_rows_updated",
    "delta/rows_deleted": "num_target_rows_deleted",
    "delta/rows_copied": "num_target_rows_copied",
}
"""Metadata of a merge, and the statistics of deltalake it comes from."""


_TOKEN: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\w+|\S""")
_TEXT: Final = re.compile(r"""(?:\bdate|\btimestamp)?\s*'(?:[^']|'')*'|^-?\d+(?:\.\d+)?$""", re.IGNORECASE)
"""Texts, and a term that is a number: both may be bounds of BETWEEN."""
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)


def merge_predicate(predicate: str, target_alias: str, partition: Predicate | None) -> str:
    """Return which rows match; in a partition, only rows of it.

    Args:
        predicate: The user's SQL.
        target_alias: Name of the table in SQL.
        partition: The rows of the partition; None for a whole table.
    """
    return predicate if partition is None else f"({predicate}) AND ({partition.sql(target_alias)})"


def source_keys(config: MergeConfig) -> dict[str, bool]:
    """Return the columns of the source that identify a row of the table.

    Args:
        config: The configuration.

    Returns:
        The columns, and whether a null in them equals another one. None if the predicate compares the source in another
        way than with equalities of columns, and for custom merges, whose operations decide what a repeated key means.
    """
    if config.merge_type == "custom" or config.predicate is None:
        return {}
    keys: dict[str, bool] = {}
    source = re.compile(rf"""(?<![\w."`]){config.source_alias}\s*\.|["`]{config.source_alias}["`]\s*\.""")
    for term in _terms(config.predicate):
        key = _key(term, config)
        if key is not None:
            keys |= key
            continue
        names = _TEXT.sub("", term)
        if names and (f"{config.target_alias}." not in names or source.search(names) or _OR.search(names)):
            return {}
    return keys


def _key(term: str, config: MergeConfig) -> dict[str, bool] | None:
    """Return the source column that a term equates with a table column; None if it does something else."""
    match = re.fullmatch(
        r"(.+?)\s*(<=>|==?|\bIS\s+NOT\s+DISTINCT\s+FROM\b)\s*(.+)", term, re.IGNORECASE | re.DOTALL
    )
    if match is None:
        return None
    first, operator, second = match.groups()
    for one, other in ((first, second), (second, first)):
        source, target = _source_column(one, config.source_alias), _source_column(other, config.target_alias)
        if source is not None and target is not None:
            return {source: operator.strip("=") != ""}
    return None


def _terms(predicate: str) -> list[str]:
    """Return the terms of a conjunction, also those of conjunctions in parentheses."""
    terms, depth, start = [], 0, 0
    for match in _TOKEN.finditer(predicate):
        token = match[0]
        depth += (token == "(") - (token == ")")
        if depth == 0 and token.casefold() == "and":
            terms.append(predicate[start : match.start()].strip())
            start = match.end()
    terms.append(predicate[start:].strip())
    if len(terms) > 1:
        return [inner for term in terms for inner in _terms(term)]
    (term,) = terms
    return _terms(term[1:-1]) if _is_wrapped(term) else [term]


def _is_wrapped(term: str) -> bool:
    """Return whether the parenthesis at the start of a term is closed at its end."""
    depth = 0
    for match in _TOKEN.finditer(term):
        depth += (match[0] == "(") - (match[0] == ")")
        if depth == 0:
            return match[0] == ")" and match.end() == len(term) and term.startswith("(")
    return False


def add_operations(
    merger: TableMerger,
    config: MergeConfig,
    columns: Sequence[str],
    target_columns: Sequence[str],
    partition: Predicate | None,
) -> TableMerger:
    """Add the operations of a configuration to a merge.

    Args:
        merger: The merge.
        config: The configuration.
        columns: The columns of the source.
        target_columns: The columns of the table.
        partition: The rows of the partition; others count as matched by nothing and stay unchanged.
    """
    operations = config.resolved()

    def assignments(operation: Any) -> dict[str, str]:
        updates = getattr(operation, "updates", None)
        if updates is None:
            names = _whole_row(operation, config, columns, target_columns)
            return {identifier(name): identifier(name, config.source_alias) for name in names}
        return {
            identifier(_column(name, "updates", (config.target_alias,), target_columns)): expression
            for name, expression in updates.items()
        }

    def within_partition(predicate: str | None) -> str | None:
        if partition is None:
            return predicate
        rows = partition.sql(config.target_alias)
        return rows if predicate is None else f"({predicate}) AND ({rows})"

    for operation in _in_order(
        operations.when_matched_delete, operations.when_matched_update, operations.when_matched_update_all
    ):
        if isinstance(operation, WhenMatchedDelete):
            merger.when_matched_delete(operation.predicate)
        else:
            merger.when_matched_update(assignments(operation), operation.predicate)
    for operation in _in_order(operations.when_not_matched_insert, operations.when_not_matched_insert_all):
        merger.when_not_matched_insert(assignments(operation), operation.predicate)
    for operation in _in_order(
        operations.when_not_matched_by_source_delete, operations.when_not_matched_by_source_update
    ):
        predicate = within_partition(operation.predicate)
        if isinstance(operation, WhenNotMatchedBySourceDelete):
            merger.when_not_matched_by_source_delete(predicate)
        else:
            merger.when_not_matched_by_source_update(assignments(operation), predicate)
    return merger


def assigned_columns(
    config: MergeConfig, columns: Sequence[str], target_columns: Sequence[str]
) -> list[tuple[str, str]]:
    """Return pairs of a source column and the table column it is written to; SQL expressions are not analyzed.

    Args:
        config: The configuration.
        columns: The columns of the source.
        target_columns: The columns of the table.

    Raises:
        InvalidMetadataError: An operation names an unknown column.
    """
    operations = config.resolved()
    pairs: list[tuple[str, str]] = []
    for operation in (*operations.when_matched_update_all, *operations.when_not_matched_insert_all):
        pairs += [(name, name) for name in _whole_row(operation, config, columns, target_columns)]
    single: tuple[Any, ...] = (*operations.when_matched_update, *operations.when_not_matched_insert)
    for name, expression in (update for operation in single for update in operation.updates.items()):
        source = _source_column(expression, config.source_alias)
        if source is not None and source in columns:
            pairs.append((source, _column(name, "updates", (config.target_alias,), target_columns)))
    return list(dict.fromkeys(pairs))


def expressions(config: MergeConfig, target_columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each table column that is set to SQL other than a column of the source, and the SQL.

    Args:
        config: The configuration.
        target_columns: The columns of the table.

    Raises:
        InvalidMetadataError: An operation names an unknown column.
    """
    operations = config.resolved()
    kinds: tuple[Any, ...] = (
        *operations.when_matched_update,
        *operations.when_not_matched_insert,
        *operations.when_not_matched_by_source_update,
    )
    for name, expression in (update for operation in kinds for update in operation.updates.items()):
        if _source_column(expression, config.source_alias) is None:
            yield _column(name, "updates", (config.target_alias,), target_columns), expression


def literal_text(expression: str) -> str | None:
    """Return the text that an expression consists of; empty for null, None for other SQL.

    Args:
        expression: The SQL.
    """
    match = re.fullmatch(r"\s*(?:'((?:[^']|'')*)'|null)\s*", expression, re.IGNORECASE)
    return None if match is None else (match[1] or "").replace("''", "'")


def merge_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statistics of a merge as metadata.

    Args:
        metrics: The statistics of deltalake.
    """
    counts = {name: int(metrics[key]) for name, key in _METRICS.items() if key in metrics}
    written = counts["delta/rows_inserted"] + counts["delta/rows_updated"]
    return counts | {
        "delta/rows_written": written,
        "delta/num_output_rows": MetadataValue.int(int(metrics["num_output_rows"])),
        "delta/merge_stats": json.dumps(dict(metrics)),
    }


def insert_metrics(rows: int) -> dict[str, Any]:
    """Return the statistics of a merge that created the table.

    Args:
        rows: The rows of the table.
    """
    inserted = {"num_source_rows": rows, "num_target_rows_inserted": rows, "num_output_rows": rows}
    return merge_metrics(dict.fromkeys(_METRICS.values(), 0) | inserted)


def _whole_row(
    operation: Any, config: MergeConfig, columns: Sequence[str], target_columns: Sequence[str]
) -> list[str]:
    """Return the source columns that an operation on whole rows writes."""
    known = [*dict.fromkeys([*target_columns, *columns])]
    aliases = (config.source_alias, config.target_alias)
    omitted = {_column(name, "omits", aliases, known) for name in operation.except_cols or ()}
    return [name for name in columns if name not in omitted]


def _source_column(expression: str, alias: str) -> str | None:
    """Return the source column if an expression is nothing but a column."""
    match = re.fullmatch(rf'\s*{alias}\.(?:"((?:[^"]|"")+)"|`([^`]+)`|(\w+))\s*', expression)
    if match is None:
        return None
    quoted, ticked, bare = match.groups()
    return quoted.replace('""', '"') if quoted else ticked or bare


def _in_order(*kinds: Sequence[Any]) -> list[Any]:
    """Return operations in the order in which a row tries them: those for every row come last."""
    return sorted(
        (operation for kind in kinds for operation in kind), key=lambda operation: operation.predicate is None
    )


def _column(name: str, verb: str, aliases: Sequence[str], known: Sequence[str]) -> str:
    """Return an existing column, whose name may have an alias in front.

    Raises:
        InvalidMetadataError: The column does not exist.
    """
    bare = name
    for alias in aliases:
        bare = bare.removeprefix(f"{alias}.")
    for candidate in (name, bare, bare.strip('`"')):
        if candidate in known:
            return candidate
    raise InvalidMetadataError(
        f"The merge {verb} column {name!r}, which is not in the table.{did_you_mean(bare, known)} The table has "
        f"{', '.join(map(repr, known))}."
    )
