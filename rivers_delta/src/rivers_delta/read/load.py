"""Loading: from the settings of a table and a context to a value."""

from __future__ import annotations

import difflib
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import (
    InvalidMetadataError,
    NotMaterializedError,
    PartitionValidationError,
    VersionNotFoundError,
)
from rivers_delta.config.options import parse_version
from rivers_delta.errors import library_errors, subject_of
from rivers_delta.log.partition_markers import absent_keys, data_version, is_unfinished
from rivers_delta.log.protocol import refuse_unreadable_feed
from rivers_delta.log.table import open_table
from rivers_delta.partitions.filters import partition_predicate
from rivers_delta.read.data_files import DataFiles
from rivers_delta.read.scan import ChangeFeedScan, Scan, supported_readers
from rivers_frames.registry import get_frame_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core import InputContext
    from rivers_delta.config.options import DeltaOptions
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column
    from rivers_frames.hooks import FrameTypeSpec


def load(settings: TableSettings, context: InputContext) -> Any:
    """Load the value that a context requests.

    Args:
        settings: The table.
        context: Asset, partition, consumer and requested type.

    Raises:
        NotMaterializedError: The table or partition was never written.
        InvalidMetadataError: A requested column or version does not exist.
        IntegrityError: A data file is missing or differs from the log.
        RiversError: The requested type is not a frame type, or no reader supports a feature of the table.
    """
    table = find_table(settings, context)
    options, columns = settings.options, table.columns()
    if options.version is None or context.version is not None:
        # An earlier version that the consumer requests is not an older value that was put back.
        context.register_loaded_version(data_version(table, context.asset_name, context.partition))
    predicate = requested_rows(settings, context, columns)
    selected = _selected(context, options, columns)
    types = get_frame_types()
    adapter = types.adapter(_type(settings, context))
    subject = subject_of(context)
    if options.change_feed is not None:
        refuse_unreadable_feed(table, subject)
        return adapter.read(ChangeFeedScan(table, selected, predicate, options.change_feed))
    files = DataFiles(table, predicate)
    files.check(subject)
    filtered = () if predicate is None else predicate.columns
    needed = [column for column in columns if column in selected or column.name in filtered]
    readers = supported_readers(table, files, needed, subject)
    errors = partial(library_errors, "read", context, settings)
    return adapter.read(Scan(table, selected, predicate, readers, errors))


def stored_version(settings: TableSettings, context: InputContext) -> str:
    """Return the version that `load` reports, after comparing the data files with the log.

    Raises:
        NotMaterializedError: The table or partition was never written.
        IntegrityError: A data file is missing or differs from the log.
    """
    table = find_table(settings, context)
    DataFiles(table, requested_rows(settings, context, table.columns())).check(subject_of(context))
    return data_version(table, context.asset_name, context.partition)


def requested_rows(
    settings: TableSettings, context: InputContext, columns: Sequence[Column]
) -> Predicate | None:
    """Return the rows of the requested partitions; None for a whole table."""
    expr = settings.options.partition_expr
    if context.partition is None or expr is None:
        return None
    return partition_predicate(context.asset_name, context.partition, expr, columns)


def find_table(settings: TableSettings, context: InputContext) -> Table:
    """Open the table of a context, and check that it has every requested partition.

    Args:
        settings: The table.
        context: Asset and partition.

    Raises:
        NotMaterializedError: The table or a partition was never written.
        VersionNotFoundError: The context requests a version that is not stored.
        PartitionValidationError: The asset does not name the column of its partitions.
    """
    if context.version is not None:
        return _find_version(settings, context, context.version)
    table = open_table(settings, settings.options.version)
    if table is None or is_unfinished(table):
        raise _not_materialized(settings, context)
    if context.partition is not None:
        absent = absent_partitions(settings, context, table)
        if absent:
            raise NotMaterializedError(
                context.asset_name,
                partition=", ".join(map(str, absent)),
                handler=settings.handler_name,
                address=settings.shown_address,
            )
    return table


def _not_materialized(settings: TableSettings, context: InputContext) -> NotMaterializedError:
    return NotMaterializedError(
        context.asset_name,
        partition=None if context.partition is None else context.partition.key,
        handler=settings.handler_name,
        address=settings.shown_address,
        nearest=lambda: _nearest_table(settings),
    )


def _find_version(settings: TableSettings, context: InputContext, text: str) -> Table:
    """Open the version that a context requests: `<table id>@<number>`, a number or a timestamp."""
    table_id, _, number = text.rpartition("@")
    try:
        version = parse_version(number)
    except (TypeError, ValueError) as error:
        raise _no_such_version(settings, context, f"it {error}") from None
    try:
        table = open_table(settings, version)
    except InvalidMetadataError as error:
        raise _no_such_version(settings, context, str(error).rstrip(".")) from error
    if table is None and open_table(settings) is None:
        raise _not_materialized(settings, context)
    if table is None:
        raise _no_such_version(settings, context, "the log of the table no longer reaches back to it")
    if table_id not in ("", str(table.metadata().id)):
        raise _no_such_version(settings, context, f"the table has another id, {table.metadata().id}")
    if context.partition is not None and absent_partitions(settings, context, table):
        raise _no_such_version(settings, context, f"the table did not have it at version {table.version()}")
    absent = DataFiles(table, requested_rows(settings, context, table.columns())).absent()
    if absent:
        removed = f"{len(absent)} of its data files were removed, such as {absent[0]!r}"
        raise _no_such_version(settings, context, removed)
    return table


def _no_such_version(settings: TableSettings, context: InputContext, reason: str) -> VersionNotFoundError:
    return VersionNotFoundError(
        f"Could not load version {context.version!r} of {subject_of(context)}, table {settings.shown_address!r}: "
        f"{reason}. Use one that `rivers versions {context.asset_name}` lists."
    )


def absent_partitions(settings: TableSettings, context: InputContext, table: Table) -> list[Any]:
    """Return the requested partition keys that were never written.

    Args:
        settings: The table.
        context: Asset and partition.
        table: The open table.

    Raises:
        PartitionValidationError: The asset does not name the column of its partitions.
    """
    expr = settings.options.partition_expr
    assert context.partition is not None
    if expr is None:
        raise PartitionValidationError(
            f"Asset {context.asset_name!r} has partitions, and no column for their keys. Use metadata="
            "{'delta/partition_expr': <column>}."
        )
    return absent_keys(table, context.asset_name, context.partition, expr, table.columns())


def _type(settings: TableSettings, context: InputContext) -> FrameTypeSpec:
    """Return the type to load: the consumer's, else the recorded one, else the default, else an installed one."""
    return get_frame_types().for_loading(
        context.type_hint,
        f"asset {context.asset_name!r}",
        recorded=_recorded_type(context),
        default=settings.config.default_type,
    )


def _recorded_type(context: InputContext) -> str | None:
    """Return the type of the written value, as the event recorded it."""
    metadata = getattr(context.upstream, "typed_metadata", None) or {}
    recorded = metadata.get("delta/type")
    return None if recorded is None else str(recorded.raw_value())


def _selected(context: InputContext, options: DeltaOptions, columns: Sequence[Column]) -> tuple[Column, ...]:
    if options.columns is None:
        return tuple(columns)
    by_name = {column.name: column for column in columns}
    for name in options.columns:
        if name not in by_name:
            raise InvalidMetadataError(
                f"Asset {context.asset_name!r}: column {name!r} of 'delta/columns' not found."
                f"{did_you_mean(name, by_name)} The table has {', '.join(map(repr, by_name))}."
            )
    return tuple(by_name[name] for name in options.columns)


def _nearest_table(settings: TableSettings) -> str | None:
    """Return the local table whose name is nearest to the one that was not found."""
    root = settings.root
    if not settings.is_local or not os.path.isdir(root):
        return None
    names = [
        entry.name
        for entry in os.scandir(root)
        if entry.path != settings.address and os.path.isdir(os.path.join(entry.path, "_delta_log"))
    ]
    close = difflib.get_close_matches(os.path.basename(settings.address), names, n=1, cutoff=0.4)
    return f"table {close[0]!r} under {root!r}" if close else None
