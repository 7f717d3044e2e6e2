"""Partition filters as text, for programs that maintain tables without this handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.exceptions import PartitionValidationError
from rivers_delta.partitions.filters import key_dimensions
from rivers_delta.partitions.predicates import identifier, literal

if TYPE_CHECKING:
    from datetime import datetime

    from rivers_core import PartitionContext
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.partitions.filters import Dimension

Filter = tuple[str, str, str]


def filters(expr: PartitionExpr | None, partition: PartitionContext | None) -> list[list[Filter]]:
    """Return one list of terms for each key: column, operator and text.

    Args:
        expr: The columns that hold the keys.
        partition: The keys and their definition.

    Raises:
        PartitionValidationError: One of them is missing, or there is no column for a dimension.
    """
    if partition is None:
        raise PartitionValidationError("Partition filters require a partition, got None.")
    if expr is None:
        raise PartitionValidationError("Partition filters require 'delta/partition_expr' in the metadata.")
    dimensions = (key_dimensions(key, partition.definition, expr) for key in partition.keys)
    return [[term for dimension in key for term in _terms(dimension)] for key in dimensions]


def predicate(groups: list[list[Filter]]) -> str:
    """Return filters as SQL.

    Args:
        groups: As `filters` returns them.
    """
    columns = {term[:2] for group in groups for term in group}
    if len(columns) == 1 and len(groups) > 1 and next(iter(columns))[1] == "=":
        values = ", ".join(literal(text) for [(_, _, text)] in groups)
        return f"{identifier(next(iter(columns))[0])} IN ({values})"
    terms = [
        " AND ".join(f"{identifier(column)} {operator} {literal(text)}" for column, operator, text in group)
        for group in groups
    ]
    return terms[0] if len(terms) == 1 else " OR ".join(f"({term})" for term in terms)


def _terms(dimension: Dimension) -> list[Filter]:
    (key,) = dimension.keys
    window = dimension.window(key)
    if window is None:
        return [(dimension.column, "=", key)]
    has_times = any(moment.time() != moment.min.time() for moment in window)
    start, end = (_iso(moment) if has_times else moment.date().isoformat() for moment in window)
    return [(dimension.column, ">=", start), (dimension.column, "<", end)]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="auto" if moment.second or moment.microsecond else "minutes")
