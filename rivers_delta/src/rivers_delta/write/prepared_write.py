"""Prepared write: the columns of a value checked against the table, and its rows ready to stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rivers_core import PartitionContext
from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta.log.location import is_local
from rivers_delta.log.partition_markers import is_marked_partitioned, partition_columns
from rivers_delta.partitions.filters import (
    partition_predicate,
    refuse_inexact_columns,
    refuse_long_folders,
)
from rivers_delta.schema import compatibility
from rivers_delta.schema.encoding import Encoding, encode
from rivers_delta.write.batches import Batches
from rivers_delta.write.merge import assigned_columns, source_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers_core import PartitionKey
    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.config.options import SchemaMode
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column
    from rivers_delta.write.request import WriteRequest

_FEED_PROPERTY: Final = "delta.enableChangeDataFeed"
_FEED_COLUMNS: Final = frozenset(["_change_type", "_commit_version", "_commit_timestamp"])


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """One attempt of a write.

    Args:
        request: The request.
        table: The table; None if it has to be created.
        encoding: How the columns of the value are stored.
        columns: The columns of the table after the write.
        schema_mode: Whether the write changes the columns of the table.
        predicate: The rows of the partitions; None for a whole table.
        batches: The rows.
    """

    request: WriteRequest
    table: Table | None
    encoding: Encoding
    columns: Sequence[Column]
    schema_mode: SchemaMode | None
    predicate: Predicate | None
    batches: Batches


def prepare_write(
    request: WriteRequest, table: Table | None, wanted: PartitionContext | None
) -> PreparedWrite:
    """Open a value, and check its columns against the table.

    Args:
        request: The request.
        table: The table; None if it has to be created.
        wanted: The keys whose rows are stored while others are skipped; None for all.

    Raises:
        AssetOutputValidationError: A column cannot be stored, or does not fit the table.
        PartitionValidationError: The partition does not fit the table.
    """
    settings, adapter, value = request.settings, request.adapter, request.value
    existing = () if table is None else table.columns()
    is_replaced = settings.mode == "create_or_replace" or settings.schema_mode == "overwrite"
    reader = adapter.open(value)
    try:
        encoding = encode(
            adapter.schema(value, reader),
            adapter.extras(value, reader),
            adapter.categories(value, reader),
            () if is_replaced else existing,
        )
        fit = _check(request, table, encoding, existing)
        predicate = _predicate(request, request.partition, encoding, fit.columns)
        kept = _predicate(request, wanted, encoding, fit.columns)
        partitions = _predicates_by_key(request, encoding, fit.columns)
    except BaseException:
        # The traceback keeps local variables alive, and a reader may keep a database connection.
        del reader
        raise
    expr = request.partition_expr
    batches = Batches(
        request.subject,
        reader,
        fit.encoding,
        predicate,
        marked=expr.columns if expr is not None and predicate is not None and table is None else (),
        source=adapter.source,
        kept=kept,
        required=fit.required,
        unique=_merge_keys(request.merge, fit.encoding),
        partitions=partitions,
        register=request.context.register_partitions,
    )
    return PreparedWrite(request, table, encoding, fit.columns, fit.schema_mode, predicate, batches)


@dataclass(frozen=True, slots=True)
class _Fit:
    """How a value fits a table.

    Args:
        encoding: The casts and hints to apply.
        columns: The columns of the table after the write.
        schema_mode: Whether the write changes them.
        required: Columns that must not be null.
    """

    encoding: Encoding
    columns: Sequence[Column]
    schema_mode: SchemaMode | None
    required: Sequence[str] = ()


def _check(
    request: WriteRequest, table: Table | None, encoding: Encoding, existing: Sequence[Column]
) -> _Fit:
    settings = request.settings
    if encoding.problems:
        raise _column_error(request, encoding.problems, "Cast or drop these columns.")
    is_new = table is None or settings.mode == "create_or_replace"
    properties: Mapping[str, str | None] = (
        settings.new_table_properties() if table is None or is_new else table.metadata().configuration
    )
    problems = _change_feed_problems(encoding, properties)
    if problems:
        advice = f"Rename these columns, or create the table without {_FEED_PROPERTY!r}."
        raise _column_error(request, problems, advice)
    if table is None or is_new:
        return _Fit(encoding, encoding.columns, settings.schema_mode)
    _check_partitioning(request, table)
    if request.merge is not None:
        return _fit_merge(request, request.merge, encoding, existing)
    return _fit(request, encoding, existing)


def _fit(request: WriteRequest, encoding: Encoding, existing: Sequence[Column]) -> _Fit:
    """Check columns that are appended, or that replace rows."""
    schema_mode = request.settings.schema_mode
    replaces = request.settings.mode == "overwrite" and request.partition is None
    if replaces and schema_mode == "overwrite":
        return _Fit(encoding, existing, schema_mode)
    may_grow = schema_mode == "merge"
    replaces = replaces and not may_grow
    problems = compatibility.mismatches(encoding, existing, may_grow=may_grow, replaces=replaces)
    if problems:
        raise _column_error(
            request,
            problems,
            "Cast the columns, or use 'delta/schema_mode': 'merge' to add columns, or 'overwrite' to replace all "
            "columns in mode 'overwrite'.",
        )
    if replaces and compatibility.has_other_variants(encoding, existing):
        return _Fit(encoding, existing, "overwrite")
    names = [(column.name, column.name) for column in existing]
    fitted = compatibility.fitted(encoding, existing, names)
    return _Fit(fitted, existing, schema_mode, _required(encoding, existing))


def _fit_merge(
    request: WriteRequest, merge: MergeConfig, encoding: Encoding, existing: Sequence[Column]
) -> _Fit:
    """Check the columns that a merge writes; a custom merge may have others, for its predicates."""
    own, names = [column.name for column in encoding.columns], [column.name for column in existing]
    may_grow = request.settings.schema_mode == "merge"
    assigned = assigned_columns(merge, own, [*dict.fromkeys([*names, *own])] if may_grow else names)
    may_be_null = not merge.error_on_type_mismatch
    problems = compatibility.merge_mismatches(
        encoding, existing, assigned, may_grow=may_grow, may_be_null=may_be_null
    )
    if merge.inserts_everything:
        problems += compatibility.missing_values(encoding, existing)
    if problems:
        is_unknown = any("is not in the table" in problem for problem in problems)
        adds = ", or use 'delta/schema_mode': 'merge' to add them" if is_unknown else ""
        advice = f"Cast before merging, and drop columns that the table does not have{adds}."
        raise _column_error(request, problems, advice)
    required = () if merge.merge_type == "custom" else _required(encoding, existing)
    fitted = compatibility.fitted(encoding, existing, assigned, may_be_null=may_be_null)
    return _Fit(fitted, existing, request.settings.schema_mode, required)


def _merge_keys(merge: MergeConfig | None, encoding: Encoding) -> list[str]:
    """Return the given columns whose values identify a row of a merge, and must not occur twice."""
    keys = [] if merge is None else source_keys(merge)
    return keys if set(keys) <= {column.name for column in encoding.columns} else []


def _required(encoding: Encoding, existing: Sequence[Column]) -> list[str]:
    """Return the given columns that must not be null in the table."""
    given = {column.name for column in encoding.columns}
    return [column.name for column in existing if column.name in given and not column.stored.nullable]


def _predicate(
    request: WriteRequest,
    partition: PartitionContext | None,
    encoding: Encoding,
    columns: Sequence[Column],
) -> Predicate | None:
    expr = request.partition_expr
    if partition is None or expr is None:
        return None
    given = {column.name for column in encoding.columns}
    missing = [name for name in expr.columns if name not in given]
    if missing:
        problems = [f"column {name!r} of 'delta/partition_expr' is missing" for name in missing]
        raise _column_error(request, problems, "Add it.")
    is_stored = set(expr.columns) <= {column.name for column in columns}
    stored = columns if is_stored else encoding.columns
    refuse_inexact_columns(request.context.asset_name, expr, stored)
    return partition_predicate(request.context.asset_name, partition, expr, stored)


def _predicates_by_key(
    request: WriteRequest, encoding: Encoding, columns: Sequence[Column]
) -> dict[PartitionKey, Predicate]:
    """Return the rows of each key of a value for several partitions; nothing for other values."""
    partition = request.partition
    if partition is None or partition.is_single:
        return {}
    singles = ((key, PartitionContext([key], partition.definition)) for key in partition.keys)
    predicates = ((key, _predicate(request, single, encoding, columns)) for key, single in singles)
    return {key: predicate for key, predicate in predicates if predicate is not None}


def _column_error(request: WriteRequest, problems: Sequence[str], advice: str) -> AssetOutputValidationError:
    return AssetOutputValidationError(
        f"Cannot store {request.subject}; nothing was written: {'; '.join(problems)}. {advice}"
    )


def _change_feed_problems(encoding: Encoding, properties: Mapping[str, str | None]) -> list[str]:
    """Return one message for each column that has the name of a column of the change feed."""
    if (properties.get(_FEED_PROPERTY) or "").lower() != "true":
        return []
    return [
        f"column {column.name!r} has the name of a column that the change feed of the table adds"
        for column in encoding.columns
        if column.name.casefold() in _FEED_COLUMNS
    ]


def _check_partitioning(request: WriteRequest, table: Table) -> None:
    """Refuse a value without partition that would replace all partitions, and a key without a possible folder."""
    settings, partition, expr = request.settings, request.partition, request.partition_expr
    if partition is not None:
        if expr is not None and is_local(settings.root):
            folders = table.metadata().partition_columns
            refuse_long_folders(request.context.asset_name, partition, expr, folders)
        return
    merge = request.merge
    replaces_by_merge = merge is not None and merge.merge_type == "replace_delete_unmatched"
    if settings.mode != "overwrite" and not replaces_by_merge:
        return
    columns = partition_columns(table)
    if columns or is_marked_partitioned(table):
        by = f" by {', '.join(map(repr, columns))}" if columns else ""
        raise PartitionValidationError(
            f"Cannot store {request.subject}: it has no partition, and table {settings.shown_address!r} is partitioned"
            f"{by}, so that replacing its rows would drop all partitions; nothing was written. Restore the partitions "
            "of the asset, or replace the table with 'delta/mode': 'create_or_replace'."
        )
