"""From a handler, a context and a value to a write, and from its outcome to metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rivers_core import MetadataValue
from rivers_core.exceptions import AssetOutputValidationError, InvalidMetadataError
from rivers_delta.config.merge_config import MergeConfig
from rivers_delta.config.options import read_options
from rivers_delta.log.location import shown, table_address, table_root
from rivers_delta.read.scan import all_columns
from rivers_delta.schema.encoding import schema_of
from rivers_delta.types.registry import get_types
from rivers_delta.write.prepared_write import WriteRequest

if TYPE_CHECKING:
    from rivers_core import OutputContext
    from rivers_delta.config.options import DeltaOptions
    from rivers_delta.handler import DeltaIOHandler
    from rivers_delta.write.commit import Outcome


_REMEMBERED: Final = "interval 30 days"


def request_for(handler: DeltaIOHandler, context: OutputContext, value: Any) -> WriteRequest:
    """Put the handler's settings and the asset's options together; the asset's go first.

    Args:
        handler: The settings.
        context: The asset and its options.
        value: What is to be stored.

    Raises:
        AssetOutputValidationError: No adapter knows the value, or a column of it cannot be said in Arrow.
        InvalidMetadataError: An option is wrong, or a merge has no predicate.
    """
    options = read_options(context.asset_name, context.asset_metadata)
    types = get_types()
    spec = types.for_class(type(value))
    if spec is None:
        raise AssetOutputValidationError(
            f"Asset {context.asset_name!r} returned a {type(value).__qualname__}, and the delta handler stores tables: "
            f"{', '.join(types.names)}, or anything with __arrow_c_stream__. Nothing was stored."
        )
    adapter = types.adapter(spec)
    try:
        prepared = adapter.prepare(value)
    except TypeError as error:
        raise AssetOutputValidationError(
            f"Asset {context.asset_name!r} cannot be stored: {error}."
        ) from error
    mode = options.mode or handler.mode
    root = table_root(handler.table_uri)
    address = table_address(root, context.asset_name, options.root_name)
    return WriteRequest(
        context=context,
        value=prepared,
        adapter=adapter,
        type_name=spec.type_name,
        address=address,
        root=root,
        mode=mode,
        schema_mode=options.schema_mode or handler.schema_mode,
        partition_expr=options.partition_expr,
        merge=_merge(handler, context, options) if mode == "merge" else None,
        configuration={
            "delta.checkpointInterval": str(handler.handler_config.checkpoint_interval),
            "delta.setTransactionRetentionDuration": _REMEMBERED,
            **(handler.table_config or {}),
            **(options.table_configuration or {}),
        },
        writer_properties={**(handler.writer_properties or {}), **(options.writer_properties or {})},
        commit_properties={**(handler.commit_properties or {}), **(options.commit_properties or {})},
        storage_options=handler.plain_storage_options(),
        config=handler.handler_config,
        ledger=handler.ledger(address),
    )


def report(request: WriteRequest, outcome: Outcome, seconds: float) -> None:
    """Tell the context what was stored, and under which version.

    Args:
        request: The write.
        outcome: What came of it.
        seconds: How long it took.
    """
    table, context, written = outcome.table, request.context, outcome.written
    totals = request.ledger.look(table) if written is None else written.totals
    facts: dict[str, Any] = {
        "delta/table_uri": shown(request.address),
        "delta/mode": request.mode,
        "delta/version": table.version(),
        "delta/type": request.type_name,
        "delta/num_rows": MetadataValue.int(totals.rows),
        "delta/rows_written": MetadataValue.int(0 if written is None else written.rows),
        "delta/size_bytes": MetadataValue.int(totals.bytes),
        "delta/write_duration_s": MetadataValue.float_(seconds),
        "rivers/schema": MetadataValue.schema(
            outcome.schema or schema_of(column.given for column in all_columns(table))
        ),
        **outcome.facts,
    }
    if outcome.is_repeated:
        facts["delta/repeated"] = True
    elif not outcome.is_written:
        facts["delta/ignored"] = True
    context.add_output_metadata(facts)
    context.offer_content_version(table.data_version())


def _merge(handler: DeltaIOHandler, context: OutputContext, options: DeltaOptions) -> MergeConfig:
    config = handler.merge_config or MergeConfig()
    merge_type = options.merge_type or config.merge_type
    if merge_type == "custom" and config.operations is None:
        raise InvalidMetadataError(
            f"Asset {context.asset_name!r}: 'delta/merge_type' is 'custom', and the handler has no merge_config with "
            "operations; give it MergeConfig(merge_type='custom', operations=MergeOperationsConfig(...))."
        )
    predicate = options.merge_predicate or config.predicate
    if not predicate:
        raise InvalidMetadataError(
            f"Asset {context.asset_name!r} is merged, and nothing says which rows match; give it metadata="
            "{'delta/merge_predicate': 's.id = t.id'}, or the handler a merge_config with a predicate."
        )
    operations = config.operations if merge_type == "custom" else None
    return replace(config, merge_type=merge_type, predicate=predicate, operations=operations)
