"""Write request: the settings of a table, a context and a value, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta.errors import subject_of
from rivers_delta.log.partition_markers import write_id
from rivers_frames.registry import get_frame_types

if TYPE_CHECKING:
    from rivers_core import OutputContext, PartitionContext
    from rivers_delta.config.merge_config import MergeConfig
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.config.table_settings import TableSettings
    from rivers_frames.adapter import FrameAdapter


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One value to write.

    Args:
        settings: The table.
        context: Asset, partition and run.
        subject: Asset and partition, for messages.
        value: The value, as its adapter prepared it.
        adapter: Adapter of the value's type.
        type_name: The value's type.
        is_replayable: Whether the value can be read again for another attempt.
        merge: How rows are merged; None in other modes.
        partition: The partitions to write; None for a whole table.
        partition_expr: The columns that hold partition keys.
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
    partition: PartitionContext | None
    partition_expr: PartitionExpr | None
    app_id: str


def build_request(settings: TableSettings, context: OutputContext, value: Any) -> WriteRequest:
    """Build the request for a value.

    Args:
        settings: The table.
        context: Asset, partition and run.
        value: The value.

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
        type_name=spec.type_name,
        is_replayable=adapter.is_replayable(prepared),
        merge=settings.merge() if settings.mode == "merge" else None,
        partition=context.partition,
        partition_expr=settings.options.partition_expr,
        app_id=write_id(context),
    )
    if context.partition is not None:
        _check_partitioned(request)
    return request


def _check_partitioned(request: WriteRequest) -> None:
    settings = request.settings
    if request.partition_expr is None:
        raise PartitionValidationError(
            f"Asset {request.context.asset_name!r} has partitions, and no column for their keys, so that each would "
            "replace the others. Use metadata={'delta/partition_expr': <column>}, or {dimension: column} for several "
            "dimensions."
        )
    if settings.mode == "create_or_replace":
        raise PartitionValidationError(
            f"Cannot store {request.subject}: mode 'create_or_replace' replaces the table and would drop all other "
            "partitions. Use 'overwrite', which replaces only this partition."
        )
    if settings.schema_mode == "overwrite":
        raise PartitionValidationError(
            f"Cannot store {request.subject}: schema_mode 'overwrite' would change the columns of all other "
            "partitions. Use 'merge' to add columns."
        )
