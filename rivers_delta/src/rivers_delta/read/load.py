"""From a handler and a context to a value."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import (
    InvalidMetadataError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
)
from rivers_delta.config.options import read_options
from rivers_delta.log.location import is_local, shown, table_root
from rivers_delta.log.partition_markers import absent_keys, is_unfinished
from rivers_delta.log.table import open_table
from rivers_delta.partitions.filters import partition_predicate
from rivers_delta.read.scan import FeedScan, Scan, all_columns
from rivers_delta.types.registry import get_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core import InputContext
    from rivers_delta.config.options import DeltaOptions
    from rivers_delta.handler import DeltaIOHandler
    from rivers_delta.log.table import Table
    from rivers_delta.schema.encoding import Column
    from rivers_delta.types.hooks import TypeSpec


def load(handler: DeltaIOHandler, context: InputContext) -> Any:
    """The value that a context asks for.

    Args:
        handler: Where tables lie.
        context: Which asset and partition, for whom, as which type.

    Raises:
        NotMaterializedError: It was never written.
        InvalidMetadataError: A column or version that is asked for does not exist.
        RiversError: No table can be what the consumer asks for.
    """
    options = read_options(context.asset_name, context.asset_metadata)
    table = find(handler, context)
    columns = all_columns(table)
    predicate = None
    if context.partition is not None and options.partition_expr is not None:
        predicate = partition_predicate(
            context.asset_name, context.partition, options.partition_expr, columns
        )
    wanted = _selected(context, options, columns)
    types = get_types()
    adapter = types.adapter(_type(handler, context))
    if options.change_feed is not None:
        return adapter.read(FeedScan(table, wanted, predicate, options.change_feed))
    return adapter.read(Scan(table, wanted, predicate))


def find(handler: DeltaIOHandler, context: InputContext) -> Table:
    """The table of a context, with every partition at hand in it.

    Args:
        handler: Where tables lie.
        context: Which asset and partition.

    Raises:
        NotMaterializedError: The table, or a partition, was never written.
        PartitionValidationError: Nothing says in which column the partition is.
    """
    options = read_options(context.asset_name, context.asset_metadata)
    address = handler.address(context.asset_name, context.asset_metadata)
    table = open_table(address, handler.plain_storage_options(), options.version)
    if table is None or is_unfinished(table):
        raise NotMaterializedError(
            context.asset_name,
            partition=None if context.partition is None else context.partition.key,
            handler=type(handler).__name__,
            address=shown(address),
            nearest=lambda: _nearest(handler, address),
        )
    if context.partition is not None:
        _check_presence(handler, context, options, table)
    return table


def _check_presence(
    handler: DeltaIOHandler, context: InputContext, options: DeltaOptions, table: Table
) -> None:
    assert context.partition is not None
    if options.partition_expr is None:
        raise PartitionValidationError(
            f"Asset {context.asset_name!r} has partitions, and nothing says in which column their keys are; give it "
            "metadata={'delta/partition_expr': <column>}."
        )
    name, expr = context.asset_name, options.partition_expr
    absent = absent_keys(table, name, context.partition, expr, all_columns(table))
    if absent:
        raise NotMaterializedError(
            name,
            partition=", ".join(map(str, absent)),
            handler=type(handler).__name__,
            address=shown(handler.address(name, context.asset_metadata)),
        )


def _type(handler: DeltaIOHandler, context: InputContext) -> TypeSpec:
    """What to load: as the consumer says, else the producer's type, else the only library installed."""
    types = get_types()
    asked = types.for_hint(context.type_hint)
    if asked is not None:
        return asked
    if not types.can_load(context.type_hint) and not types.can_store(context.type_hint):
        hint = context.type_hint
        wanted = hint.__qualname__ if isinstance(hint, type) else hint
        raise RiversError(
            f"Asset {context.asset_name!r} is a table, which cannot be loaded as {wanted}; ask for "
            f"{', '.join(types.names)}, or for nothing in particular."
        )
    for name in (_recorded(context), handler.handler_config.default_type):
        known = types.for_name(name)
        if known is not None:
            return known
    return types.installed()


def _recorded(context: InputContext) -> str | None:
    """The type that was written, as the event recorded it."""
    event = context.upstream
    facts = getattr(event, "typed_metadata", None) or {}
    recorded = facts.get("delta/type")
    return None if recorded is None else str(recorded.raw_value())


def _selected(context: InputContext, options: DeltaOptions, columns: Sequence[Column]) -> tuple[Column, ...]:
    if options.columns is None:
        return tuple(columns)
    by_name = {column.name: column for column in columns}
    for name in options.columns:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise InvalidMetadataError(
                f"'delta/columns' asks for {name!r}, which asset {context.asset_name!r} has not{hint}; it has "
                f"{', '.join(map(repr, by_name))}."
            )
    return tuple(by_name[name] for name in options.columns)


def _nearest(handler: DeltaIOHandler, address: str) -> str | None:
    """A table beside the one that is not there; only looked for on this machine."""
    root = table_root(handler.table_uri)
    if not is_local(root) or not os.path.isdir(root):
        return None
    names = [
        entry.name
        for entry in os.scandir(root)
        if entry.path != address and os.path.isdir(os.path.join(entry.path, "_delta_log"))
    ]
    close = difflib.get_close_matches(os.path.basename(address), names, n=1, cutoff=0.4)
    return f"table {close[0]!r} under {root!r}" if close else None
