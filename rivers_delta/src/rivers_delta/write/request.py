"""Write request: a value checked against settings, partition and table before a commit is attempted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyarrow import types as pat

from rivers_core import PartitionContext
from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta.errors import subject_of
from rivers_delta.log.partition_markers import is_marked_partitioned, partition_columns, write_id
from rivers_delta.partitions.filters import (
    partition_predicate,
    refuse_inexact_columns,
    refuse_long_folders,
    refuse_long_objects,
)
from rivers_delta.schema import compatibility
from rivers_delta.schema.declarations import text_lengths
from rivers_delta.schema.encoding import Encoding, encode
from rivers_delta.write.batches import Batches
from rivers_delta.write.merge import assigned_columns, expressions, literal_text, source_keys
from rivers_frames.registry import get_frame_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from rivers_core import OutputContext, PartitionKey
    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.config.options import SchemaMode
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.declarations import TextLength
    from rivers_delta.schema.encoding import Column
    from rivers_frames.adapter import FrameAdapter

_FEED_PROPERTY: Final = "delta.enableChangeDataFeed"
_FEED_COLUMNS: Final = frozenset(["_change_type", "_commit_version", "_commit_timestamp"])


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One value to write, checked before anything is opened.

    Args:
        settings: The table.
        context: Asset, partition and run.
        subject: Asset and partition, for messages.
        value: The value, as its adapter prepared it.
        adapter: Adapter of the value's type.
        type_name: The value's type.
        is_replayable: Whether the value can be read again for another attempt.
        merge: How rows are merged; None in other modes.
        app_id: Identifier of the write in the transaction log.
    """

    settings: TableSettings
    context: OutputContext
    subject: str
    value: Any
    adapter: FrameAdapter
    type_name: str
    is_replayable: bool
    merge: MergeConfig | None
    app_id: str

    @property
    def partition(self) -> PartitionContext | None:
        """The partitions to write; None for a whole table."""
        return self.context.partition

    @property
    def partition_expr(self) -> PartitionExpr | None:
        """The columns that hold partition keys."""
        return self.settings.options.partition_expr

    def refusal(self, problems: Sequence[str], advice: str) -> AssetOutputValidationError:
        """Return the error for columns that cannot be stored."""
        return AssetOutputValidationError(
            f"Cannot store {self.subject}; nothing was written: {'; '.join(problems)}. {advice}"
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """Fit of the columns of a value to a table.

    Args:
        encoding: The casts and hints to apply.
        columns: The columns of the table after the write.
        schema_mode: Whether the write changes them.
        required: Columns that must not be null.
        lengths: Largest lengths of the texts in columns of the value.
    """

    encoding: Encoding
    columns: Sequence[Column]
    schema_mode: SchemaMode | None
    required: Sequence[str] = ()
    lengths: Mapping[str, Sequence[TextLength]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """One attempt of a write: its columns fit the table, its rows are ready to stream.

    Args:
        request: The request.
        table: The table; None if it has to be created.
        fit: How the columns are stored.
        predicate: The rows of the partitions; None for a whole table.
        batches: The rows.
    """

    request: WriteRequest
    table: Table | None
    fit: Fit
    predicate: Predicate | None
    batches: Batches


def build_request(
    settings: TableSettings, context: OutputContext, value: Any, type_name: str | None = None
) -> WriteRequest:
    """Build the request for a value.

    Args:
        settings: The table.
        context: Asset, partition and run.
        value: The value.
        type_name: The type to record; None for that of the value.

    Raises:
        AssetOutputValidationError: No adapter accepts the value, or a column cannot be represented in Arrow.
        PartitionValidationError: The options of the asset contradict its partitions.
        InvalidMetadataError: A merge has no predicate.
    """
    types = get_frame_types()
    spec = types.for_class(type(value))
    if spec is None:
        raise AssetOutputValidationError(
            f"Cannot store asset {context.asset_name!r}: the delta handler stores tables, got a "
            f"{type(value).__qualname__}; nothing was written. Return one of {', '.join(types.names)}, or an object "
            "with __arrow_c_stream__."
        )
    adapter = types.adapter(spec)
    try:
        prepared = adapter.prepare(value)
    except TypeError as error:
        raise AssetOutputValidationError(f"Cannot store asset {context.asset_name!r}: {error}.") from error
    request = WriteRequest(
        settings=settings,
        context=context,
        subject=subject_of(context),
        value=prepared,
        adapter=adapter,
        type_name=type_name or spec.type_name,
        is_replayable=adapter.is_replayable(prepared),
        merge=settings.merge() if settings.mode == "merge" else None,
        app_id=write_id(context),
    )
    if context.partition is not None:
        _check_partitioned(request)
    return request


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
        batches = Batches(
            request.subject,
            reader,
            fit.encoding,
            predicate,
            source=adapter.source,
            kept=_predicate(request, wanted, encoding, fit.columns),
            required=fit.required,
            lengths=fit.lengths,
            unique=_merge_keys(request.merge, fit.encoding),
            partitions=_predicates_by_key(request, encoding, fit.columns),
            register=request.context.register_partitions,
            marked=predicate.columns if predicate is not None and table is None else (),
        )
    except BaseException:
        # The traceback keeps local variables alive, and a reader may keep a database connection.
        del reader
        raise
    return PreparedWrite(request, table, fit, predicate, batches)


def _check_partitioned(request: WriteRequest) -> None:
    if request.partition_expr is None:
        raise PartitionValidationError(
            f"Asset {request.context.asset_name!r} has partitions, and no column for their keys, so that each would "
            "replace the others. Use metadata={'delta/partition_expr': <column>}, or {dimension: column} for several "
            "dimensions."
        )
    if request.settings.mode == "create_or_replace":
        raise PartitionValidationError(
            f"Cannot store {request.subject}: mode 'create_or_replace' replaces the table and would drop all other "
            "partitions. Use 'overwrite', which replaces only this partition."
        )
    if request.settings.schema_mode == "overwrite":
        raise PartitionValidationError(
            f"Cannot store {request.subject}: schema_mode 'overwrite' would change the columns of all other "
            "partitions. Use 'merge' to add columns."
        )


def _check(request: WriteRequest, table: Table | None, encoding: Encoding, existing: Sequence[Column]) -> Fit:
    settings = request.settings
    if encoding.problems:
        raise request.refusal(encoding.problems, "Cast or drop these columns.")
    is_new = table is None or settings.mode == "create_or_replace"
    properties: Mapping[str, str | None] = (
        settings.new_table_properties() if table is None or is_new else table.metadata().configuration
    )
    problems = _change_feed_problems(encoding, properties)
    if problems:
        advice = f"Rename these columns, or create the table without {_FEED_PROPERTY!r}."
        raise request.refusal(problems, advice)
    if table is None or is_new:
        return Fit(encoding, encoding.columns, settings.schema_mode)
    _check_partitioning(request, table)
    if request.merge is not None:
        return _fit_merge(request, request.merge, encoding, existing)
    return _fit(request, encoding, existing)


def _fit(request: WriteRequest, encoding: Encoding, existing: Sequence[Column]) -> Fit:
    """Check columns that are appended, or that replace rows."""
    schema_mode = request.settings.schema_mode
    replaces = request.settings.mode == "overwrite" and request.partition is None
    if replaces and schema_mode == "overwrite":
        return Fit(encoding, existing, schema_mode)
    may_grow = schema_mode == "merge"
    replaces = replaces and not may_grow
    problems = compatibility.mismatches(encoding, existing, may_grow=may_grow, replaces=replaces)
    if problems:
        raise request.refusal(
            problems,
            "Cast the columns, or use 'delta/schema_mode': 'merge' to add columns, or 'overwrite' to replace all "
            "columns in mode 'overwrite'.",
        )
    if replaces and compatibility.replaces_variants(encoding, existing):
        return Fit(encoding, existing, "overwrite")
    names = [(column.name, column.name) for column in existing]
    fitted = compatibility.fitted(encoding, existing, names)
    lengths = _lengths(request, existing, [(column.name, column.name) for column in encoding.columns])
    return Fit(fitted, existing, schema_mode, _required(encoding, existing), lengths)


def _fit_merge(
    request: WriteRequest, merge: MergeConfig, encoding: Encoding, existing: Sequence[Column]
) -> Fit:
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
        raise request.refusal(problems, advice)
    required = () if merge.merge_type == "custom" else _required(encoding, existing)
    fitted = compatibility.fitted(encoding, existing, assigned, may_be_null=may_be_null)
    lengths = _lengths(request, existing, assigned)
    _check_expressions(request, merge, existing)
    return Fit(fitted, existing, request.settings.schema_mode, required, lengths)


def _lengths(
    request: WriteRequest, existing: Sequence[Column], assigned: Iterable[tuple[str, str]]
) -> dict[str, list[TextLength]]:
    """Return the lengths that the table allows for texts of the value.

    Args:
        request: The request.
        existing: The columns of the table.
        assigned: Pairs of a column of the value and the column of the table it is written to.
    """
    target = {column.name: column for column in existing}
    lengths: dict[str, list[TextLength]] = {}
    for name, into in assigned:
        declared = target[into].declared if into in target else None
        if declared is None or not (declared.metadata or pat.is_nested(declared.type)):
            continue
        try:
            allowed = text_lengths(declared)
        except ValueError as error:
            problem = f"the type that another engine declares for column {into!r} cannot be checked ({error})"
            raise request.refusal([problem], "Write the table with the engine that created it.") from error
        if allowed:
            lengths.setdefault(name, []).extend(allowed)
    return lengths


def _check_expressions(request: WriteRequest, merge: MergeConfig, existing: Sequence[Column]) -> None:
    """Refuse SQL whose result may be longer than the text that a column of the table allows."""
    target = {column.name: column.declared for column in existing}
    for name, expression in expressions(merge, list(target)):
        declared = target[name]
        lengths = () if declared is None else text_lengths(declared)
        text = literal_text(expression)
        for length in lengths:
            if text is None or len(text) > length.maximum:
                raise request.refusal(
                    [
                        f"column {name!r} is {length.declared} in the table, and a merge sets it to {expression}"
                    ],
                    "Use a column of the value, whose lengths are checked, or a text that is short enough.",
                )


def _merge_keys(merge: MergeConfig | None, encoding: Encoding) -> dict[str, bool]:
    """Return the given columns whose values identify a row of a merge, and whether a null equals another one."""
    keys = {} if merge is None else source_keys(merge)
    return keys if {*keys} <= {column.name for column in encoding.columns} else {}


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
        raise request.refusal(problems, "Add it.")
    is_stored = {*expr.columns} <= {column.name for column in columns}
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
        if expr is not None:
            folders, name = table.metadata().partition_columns, request.context.asset_name
            if settings.is_local:
                refuse_long_folders(name, partition, expr, folders)
            else:
                refuse_long_objects(name, partition, expr, folders, settings.shown_address)
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
