"""A value on its way into a table: its columns checked against what is there, its rows against the partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_core.metadata.schema import NULLABLE
from rivers_delta.log.location import is_local, shown
from rivers_delta.log.partition_markers import is_marked_partitioned, partition_columns
from rivers_delta.partitions.filters import partition_predicate, refuse_long_folders
from rivers_delta.read.scan import all_columns
from rivers_delta.schema import compatibility
from rivers_delta.schema.encoding import Encoding, encode
from rivers_delta.write.batches import RowStream
from rivers_delta.write.merge import assigned_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arro3.core import RecordBatchReader

    from rivers_core import OutputContext, PartitionContext
    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.config.options import Mode, SchemaMode
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.config.properties import HandlerConfig
    from rivers_delta.log.ledger import Ledger
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column
    from rivers_delta.types.base import TypeAdapter

_FEED_PROPERTY: Final = "delta.enableChangeDataFeed"
_FEED_COLUMNS: Final = frozenset(["_change_type", "_commit_version", "_commit_timestamp"])


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Everything that a write needs to know; the handler's settings and the asset's options put together."""

    context: OutputContext
    value: Any
    adapter: TypeAdapter
    type_name: str
    address: str
    root: str
    mode: Mode
    schema_mode: SchemaMode | None
    partition_expr: PartitionExpr | None
    merge: MergeConfig | None
    configuration: Mapping[str, str]
    writer_properties: Mapping[str, Any] | None
    commit_properties: Mapping[str, Any] | None
    storage_options: Mapping[str, str] | None
    config: HandlerConfig
    ledger: Ledger


class Incoming:
    """The rows of one attempt, checked against the table that is there.

    Args:
        request: What, where and how.
        subject: The asset and partition, for messages.
        table: The table; None if it has to be made.
        wanted: The keys whose rows are stored, and the others passed over; None for all.

    Raises:
        AssetOutputValidationError: A column cannot be stored, or does not fit the table.
        PartitionValidationError: The partition and the table do not go together.
    """

    def __init__(
        self,
        request: WriteRequest,
        subject: str,
        table: Table | None,
        wanted: PartitionContext | None = None,
    ) -> None:
        self._subject = subject
        self.schema_mode: SchemaMode | None = request.schema_mode
        reader = request.adapter.open(request.value)
        try:
            there = () if table is None else all_columns(table)
            self.encoding = _encoding(request, reader, self._known(request, there))
            self.columns: Sequence[Column] = self.encoding.columns
            self._required: list[str] = []
            hinted = self._checked(request, table, there)
            self.belonging = self._predicate(request, request.context.partition)
            kept = self._predicate(request, wanted)
        except BaseException:
            # An error keeps what was at hand where it was raised, and a reader keeps the connection it reads from.
            del reader
            raise
        marked = request.partition_expr.columns if request.partition_expr and self.belonging else ()
        marks_needed = marked if table is None else ()
        self.rows = RowStream(
            subject,
            reader,
            hinted,
            self.belonging,
            marks_needed,
            request.adapter.source,
            kept,
            self._required,
        )

    @staticmethod
    def _known(request: WriteRequest, there: Sequence[Column]) -> Sequence[Column]:
        """The columns whose types columns of nulls get."""
        is_replaced = request.mode == "create_or_replace" or request.schema_mode == "overwrite"
        return () if is_replaced else there

    def _checked(self, request: WriteRequest, table: Table | None, there: Sequence[Column]) -> Encoding:
        """Check the columns by themselves and against the table's; which hints are written is what comes out."""
        self._refuse(list(self.encoding.faults), "Cast or drop what is named.")
        is_new = table is None or request.mode == "create_or_replace"
        configuration = request.configuration if table is None or is_new else table.metadata().configuration
        faults = _feed_faults(self.encoding, configuration)
        self._refuse(faults, f"Rename what is named, or make the table without {_FEED_PROPERTY!r}.")
        if table is None or is_new:
            return self.encoding
        self.columns = there
        _check_partitioning(request, self._subject, table)
        return self._fit(request) if request.merge is None else self._merged(request, request.merge)

    def _merged(self, request: WriteRequest, merge: MergeConfig) -> Encoding:
        """Check what a merge writes; a custom one may have further columns, for its predicates."""
        columns, names = self.encoding.columns, [column.name for column in self.columns]
        may_grow = request.schema_mode == "merge"
        own = [column.name for column in columns]
        assigned = assigned_columns(merge, own, [*dict.fromkeys([*names, *own])] if may_grow else names)
        faults = compatibility.merge_mismatches(
            self.encoding,
            self.columns,
            assigned,
            may_grow=may_grow,
            may_be_null=not merge.error_on_type_mismatch,
        )
        if merge.inserts_everything:
            faults += compatibility.missing_values(self.encoding, self.columns)
        adds = (
            ", or let 'delta/schema_mode': 'merge' add it"
            if any("is not in" in one for one in faults)
            else ""
        )
        self._refuse(faults, f"Cast before merging, and drop what the table has not{adds}.")
        self._require(() if merge.merge_type == "custom" else self.columns)
        return compatibility.fitted(
            self.encoding, self.columns, assigned, may_be_null=not merge.error_on_type_mismatch
        )

    def _fit(self, request: WriteRequest) -> Encoding:
        """Check the columns of what is added, or put in the place of something."""
        replaces = request.mode == "overwrite" and request.context.partition is None
        if replaces and request.schema_mode == "overwrite":
            return self.encoding
        may_grow = request.schema_mode == "merge"
        replaces = replaces and not may_grow
        faults = compatibility.mismatches(self.encoding, self.columns, may_grow=may_grow, replaces=replaces)
        self._refuse(faults, "Cast, or say what may change: 'delta/schema_mode' is 'merge' to add columns, and "
                     "'overwrite' to replace them all in mode 'overwrite'.")  # fmt: skip
        if replaces and compatibility.has_other_variants(self.encoding, self.columns):
            self.schema_mode = "overwrite"
            return self.encoding
        self._require(self.columns)
        names = [(column.name, column.name) for column in self.columns]
        return compatibility.fitted(self.encoding, self.columns, names)

    def _require(self, columns: Sequence[Column]) -> None:
        """Look for nulls where the table has none."""
        given = {column.name for column in self.encoding.columns}
        self._required = [
            one.name for one in columns if one.name in given and not one.stored.flags & NULLABLE
        ]

    def _predicate(self, request: WriteRequest, partition: PartitionContext | None) -> Predicate | None:
        expr = request.partition_expr
        if partition is None or expr is None:
            return None
        given = {column.name for column in self.encoding.columns}
        missing = [name for name in expr.columns if name not in given]
        if missing:
            self._refuse(
                [f"column {name!r} of 'delta/partition_expr' is missing" for name in missing], "Add it."
            )
        columns = (
            self.columns if set(expr.columns) <= {c.name for c in self.columns} else self.encoding.columns
        )
        return partition_predicate(request.context.asset_name, partition, expr, columns)

    def _refuse(self, faults: list[str], advice: str) -> None:
        if faults:
            raise AssetOutputValidationError(
                f"{self._subject} cannot be stored as it is; nothing was. {'; '.join(faults)}. {advice}"
            )


def _encoding(request: WriteRequest, reader: RecordBatchReader, there: Sequence[Column]) -> Encoding:
    adapter, value = request.adapter, request.value
    schema = adapter.schema(value, reader)
    return encode(schema, adapter.extras(value, reader), adapter.categories(value, reader), there)


def _feed_faults(encoding: Encoding, configuration: Mapping[str, str | None]) -> list[str]:
    """One sentence for each column that would be taken for one of the change feed's own."""
    if (configuration.get(_FEED_PROPERTY) or "").lower() != "true":
        return []
    return [
        f"column {column.name!r} is called like one that the change feed of the table adds"
        for column in encoding.columns
        if column.name.casefold() in _FEED_COLUMNS
    ]


def _check_partitioning(request: WriteRequest, subject: str, table: Table) -> None:
    """Refuse to replace all partitions by a value that knows of none, and a key that its folder cannot have."""
    partition, expr = request.context.partition, request.partition_expr
    if partition is not None and expr is not None and is_local(request.root):
        refuse_long_folders(request.context.asset_name, partition, expr, table.metadata().partition_columns)
    replaces = request.mode == "overwrite" or (
        request.merge is not None and request.merge.merge_type == "replace_delete_unmatched"
    )
    if request.context.partition is not None or not replaces:
        return
    columns = partition_columns(table)
    if columns or is_marked_partitioned(table):
        by = f" (by {', '.join(map(repr, columns))})" if columns else ""
        raise PartitionValidationError(
            f"{subject} has no partition, and table {shown(request.address)!r} has{by}: replacing its rows would drop "
            "those of all partitions, and nothing was stored. Give the asset its partitions back, or replace the table "
            "with 'delta/mode': 'create_or_replace'."
        )
