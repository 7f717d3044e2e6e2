"""A value on its way into a table: its columns checked against what is there, its rows against the partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta import compatibility
from rivers_delta.columns import Encoding, encode
from rivers_delta.location import is_local, shown
from rivers_delta.partitions import partition_predicate, refuse_long_folders
from rivers_delta.presence import is_marked_partitioned, partition_columns
from rivers_delta.read import all_columns
from rivers_delta.streams import RowStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers_core.contexts import OutputContext
    from rivers_core.partitions import PartitionContext
    from rivers_delta.columns import Column
    from rivers_delta.ledger import Ledger
    from rivers_delta.merge import MergeConfig
    from rivers_delta.options import Mode, SchemaMode
    from rivers_delta.partition_expr import PartitionExpr
    from rivers_delta.predicates import Predicate
    from rivers_delta.settings import HandlerConfig
    from rivers_delta.tables import Table
    from rivers_delta.types.base import TypeAdapter


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
        reader = request.adapter.open(request.value)
        schema = request.adapter.schema(request.value, reader)
        self.encoding: Encoding = encode(schema, request.adapter.extras(request.value, reader))
        self._subject = subject
        self._refuse(list(self.encoding.faults), "Cast or drop what is named.")
        self.columns: Sequence[Column] = self.encoding.columns
        self.schema_mode: SchemaMode | None = request.schema_mode
        hinted = self.encoding
        if table is not None and request.mode != "create_or_replace":
            self.columns = all_columns(table)
            _check_partitioning(request, subject, table)
            hinted = self._fit(request)
        self.belonging = self._predicate(request, request.context.partition)
        kept = self._predicate(request, wanted)
        marked = request.partition_expr.columns if request.partition_expr and self.belonging else ()
        marks_needed = marked if table is None else ()
        self.rows = RowStream(
            subject, reader, hinted, self.belonging, marks_needed, request.adapter.source, kept
        )

    def _fit(self, request: WriteRequest) -> Encoding:
        """Check the columns against the table's; which hints are written is what comes out."""
        if request.mode == "merge":
            self._refuse(compatibility.merge_mismatches(self.encoding, self.columns), "Cast before merging.")
            return compatibility.without_known_hints(self.encoding, self.columns)
        replaces = request.mode == "overwrite" and request.context.partition is None
        if replaces and request.schema_mode == "overwrite":
            return self.encoding
        may_grow = request.schema_mode == "merge"
        faults = compatibility.mismatches(self.encoding, self.columns, may_grow=may_grow)
        self._refuse(faults, "Cast, or say what may change: 'delta/schema_mode' is 'merge' to add columns, and "
                     "'overwrite' to replace them all in mode 'overwrite'.")  # fmt: skip
        if replaces and not may_grow and compatibility.has_other_variants(self.encoding, self.columns):
            self.schema_mode = "overwrite"
            return self.encoding
        return compatibility.without_known_hints(self.encoding, self.columns)

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
