"""Commits of a write: create a table, append to it, replace rows, or merge into it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from arro3.core import RecordBatchReader
from deltalake import (
    BloomFilterProperties,
    ColumnProperties,
    CommitProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError

from rivers_core.exceptions import ConflictError
from rivers_delta.compat import (
    LOST_TO_COMPACTION,
    has_removed_twice,
    post_commit_hooks,
    without_rounded_bounds,
)
from rivers_delta.log.location import conflicting_table
from rivers_delta.log.partition_markers import (
    UNFINISHED_TABLE,
    is_unfinished,
    next_version,
    unmarked_keys,
    write_markers,
)
from rivers_delta.log.table import CREATION, open_table
from rivers_delta.partitions.filters import folder_columns
from rivers_delta.write.merge import add_operations, merge_metrics, merge_predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from arro3.core.types import ArrowStreamExportable

    from rivers_core import InputContext, OutputContext
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.partition_markers import AppTransaction
    from rivers_delta.log.table import Table
    from rivers_delta.schema.encoding import Column
    from rivers_delta.write.request import PreparedWrite

_WRITER_DEFAULTS: Final[dict[str, Any]] = {"compression": "SNAPPY", "statistics_truncate_length": 64}
_STRICT_ATTEMPTS: Final = 3
"""Attempts to replace a table that refuse every concurrent commit; later ones accept appends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a write.

    Args:
        table: The table after it.
        is_written: Whether there was a commit.
        is_repeated: Whether an earlier attempt, whose answer was lost, had made the commit.
        schema: The columns of the value; None if they were not needed.
        metrics: Statistics of a merge.
        data_version: What is stored now; None if it has to be looked up.
    """

    table: Table
    is_written: bool = True
    is_repeated: bool = False
    schema: pa.Schema | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None


def commit(prepared: PreparedWrite, attempt: int) -> Outcome:
    """Commit a prepared write; `attempt` is the number of the attempt."""
    table, request = prepared.table, prepared.request
    mode, schema_mode = request.settings.mode, prepared.fit.schema_mode
    metrics: Mapping[str, Any] = {}
    version = None if request.partition is None else next_version(table)
    if table is None and (request.merge is None or request.merge.inserts_everything):
        _create(prepared, prepared.batches.open(), _markers(prepared))
        table = _created_table(prepared)
    elif table is None:
        # A merge that does more than insert is not one commit with the creation: its table is absent until it merges.
        _create(prepared, prepared.batches.empty(), [UNFINISHED_TABLE])
        table = _created_table(prepared)
        metrics = _merge(prepared, table)
    elif mode == "merge":
        metrics = _merge(prepared, table)
    elif mode == "create_or_replace" or (mode == "overwrite" and prepared.predicate is None):
        _replace(prepared, table, attempt)
    elif prepared.predicate is not None and mode == "overwrite":
        _write(prepared, table, mode=mode, schema_mode=schema_mode, predicate=prepared.predicate.sql())
    else:
        _write(
            prepared, table, mode="append", schema_mode=None if schema_mode == "overwrite" else schema_mode
        )
    if version is None:
        version = table.version()
    # Mode `ignore` writes some of the partitions, and the others have other versions.
    stored = None if mode == "ignore" else f"{table.metadata().id}@{version}"
    return Outcome(table, schema=prepared.fit.encoding.schema(), metrics=metrics, data_version=stored)


def commit_info(context: OutputContext | InputContext) -> dict[str, str]:
    """Return what the log records about the author of a commit."""
    metadata = {"rivers.asset": context.asset_name}
    if context.run_id is not None:
        metadata["rivers.run_id"] = context.run_id
    if context.partition is not None:
        metadata["rivers.partition"] = ",".join(map(str, context.partition.keys))
    return metadata


def commit_properties(
    settings: TableSettings,
    info: Mapping[str, str],
    markers: Iterable[AppTransaction] = (),
    max_retries: int | None = None,
) -> CommitProperties:
    """Return the properties of one commit for deltalake.

    Args:
        settings: The table, with the user's properties.
        info: Entries of this handler in the commit's metadata.
        markers: Application transactions.
        max_retries: How often deltalake may retry; None leaves it to the user or to deltalake.
    """
    properties, now = settings.commit_properties, time.time_ns() // 1_000_000
    return CommitProperties(
        custom_metadata={**info, **properties.get("custom_metadata", {})},
        max_commit_retries=properties.get("max_commit_retries") if max_retries is None else max_retries,
        app_transactions=[
            *(
                Transaction(marker.app_id, marker.version, now if marker.expires else None)
                for marker in markers
            ),
            *(Transaction(*given) for given in properties.get("app_transactions", ())),
        ],
    )


def writer_properties(settings: TableSettings, columns: Iterable[Column]) -> WriterProperties | None:
    """Return the properties of the Parquet writer for deltalake; None if there are none.

    Properties that are not set keep deltalake's defaults: deltalake (up to 1.6) writes without compression as soon as
    any property is set.

    Args:
        settings: The table, with the user's properties.
        columns: The columns to write; some need separate properties. Of two with one name, the last one counts.
    """
    arguments = without_rounded_bounds(settings.writer_properties, [column.stored for column in columns])
    if not arguments:
        return None
    if arguments.get("default_column_properties") is not None:
        arguments["default_column_properties"] = _column_properties(arguments["default_column_properties"])
    if arguments.get("column_properties"):
        arguments["column_properties"] = {
            name: _column_properties(column) for name, column in arguments["column_properties"].items()
        }
    given = {name: item for name, item in arguments.items() if item is not None}
    return WriterProperties(**given if "compression_level" in given else {**_WRITER_DEFAULTS, **given})


def _column_properties(properties: Mapping[str, Any]) -> ColumnProperties:
    arguments = dict(properties)
    if arguments.get("bloom_filter_properties") is not None:
        arguments["bloom_filter_properties"] = BloomFilterProperties(**arguments["bloom_filter_properties"])
    return ColumnProperties(**arguments)


def _create(prepared: PreparedWrite, rows: ArrowStreamExportable, markers: Sequence[AppTransaction]) -> None:
    """Create the table; of concurrent writers one succeeds, and the others see a conflict."""
    request, settings = prepared.request, prepared.request.settings
    nested = conflicting_table(settings.address, settings.storage_options)
    if nested is not None:
        raise ConflictError(
            f"Cannot store {request.subject} at {settings.shown_address!r}; nothing was written: {nested!r} is already "
            "a table, and vacuuming a table removes files of tables in it. Use another table_uri for one of them."
        )
    folders: list[str] = []
    if request.partition is not None and request.partition_expr is not None:
        folders = folder_columns(
            request.partition, request.partition_expr, prepared.fit.encoding.columns, settings.root
        )
    with _log_folder(settings):
        _write(
            prepared,
            settings.address,
            rows,
            markers,
            max_retries=0,
            mode="error",
            partition_by=folders or None,
            configuration=settings.new_table_properties(),
            storage_options=settings.storage_options,
        )


@contextmanager
def _log_folder(settings: TableSettings) -> Iterator[None]:
    """Create the folder of the log before data files, so that a killed write does not look like a lost log."""
    address = settings.address
    if not settings.is_local:
        from rivers_delta.log.remote_files import remote_files

        with remote_files(address, settings.storage_options).open_output_stream(CREATION) as file:
            file.write(b"\n")
        yield
        return
    log = os.path.join(address, "_delta_log")
    os.makedirs(log, exist_ok=True)
    try:
        yield
    except BaseException:
        if os.listdir(address) == ["_delta_log"] and not os.listdir(log):
            os.rmdir(log)
            os.rmdir(address)
        raise


def _created_table(prepared: PreparedWrite) -> Table:
    """Return the table as this write created it, even if others have committed since."""
    settings = prepared.request.settings
    table = open_table(settings, version=0)
    assert table is not None
    return table


def _replace(prepared: PreparedWrite, table: Table, attempt: int) -> None:
    """Replace all rows, and fail if there was another commit in between.

    deltalake itself would accept such a commit, also a compaction, whose rows would stay next to the new ones. To
    succeed among frequent appends it may do so after a few attempts; the commits in between are then examined.
    """
    settings, before = prepared.request.settings, table.version()
    arguments: dict[str, Any] = {"schema_mode": prepared.fit.schema_mode}
    if settings.mode == "create_or_replace":
        configuration = settings.new_table_properties()
        arguments = {"schema_mode": "overwrite", "partition_by": [], "configuration": configuration}
    keeps_schema = arguments["schema_mode"] != "overwrite"
    is_conditional = prepared.request.context.expected_version is not None
    accepts_appends = (
        keeps_schema and not is_conditional and (_STRICT_ATTEMPTS < attempt < settings.config.max_attempts)
    )
    _write(prepared, table, max_retries=None if accepts_appends else 0, mode="overwrite", **arguments)
    if accepts_appends and has_removed_twice(table.read_commit, table.version(), before):
        raise CommitFailedError(LOST_TO_COMPACTION)


def _write(
    prepared: PreparedWrite,
    target: Table | str,
    rows: ArrowStreamExportable | None = None,
    markers: Sequence[AppTransaction] | None = None,
    max_retries: int | None = None,
    **arguments: Any,
) -> None:
    """Write rows in one commit; by default those of the value, with all its markers."""
    settings = prepared.request.settings
    write_deltalake(
        target,
        prepared.batches.open() if rows is None else rows,
        writer_properties=_writer_properties(prepared),
        commit_properties=_commit_properties(prepared, markers, max_retries),
        post_commithook_properties=post_commit_hooks(prepared.table),
        target_file_size=settings.config.target_file_size,
        **arguments,
    )


def _merge(prepared: PreparedWrite, table: Table) -> dict[str, Any]:
    """Merge the rows, and return the statistics."""
    request, merge = prepared.request, prepared.request.merge
    assert merge is not None
    assert merge.predicate is not None
    before = table.version()
    may_grow = request.settings.schema_mode == "merge"
    merger = table.merge(
        prepared.batches.open(),
        predicate=merge_predicate(merge.predicate, merge.target_alias, prepared.predicate),
        source_alias=merge.source_alias,
        target_alias=merge.target_alias,
        merge_schema=may_grow,
        error_on_type_mismatch=merge.error_on_type_mismatch,
        writer_properties=_writer_properties(prepared),
        commit_properties=_commit_properties(prepared),
        post_commithook_properties=post_commit_hooks(prepared.table),
    )
    source = [column.name for column in prepared.fit.encoding.columns]
    target = [column.name for column in prepared.fit.columns]
    target = [*dict.fromkeys([*target, *source])] if may_grow else target
    metrics = add_operations(merger, merge, source, target, prepared.predicate).execute()
    if table.version() == before and _lacks_markers(prepared, table):
        # deltalake makes no commit without a change, and the partition would count as never written.
        nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
        _write(prepared, table, nothing, mode="append")
    return merge_metrics(metrics)


def _lacks_markers(prepared: PreparedWrite, table: Table) -> bool:
    partition = prepared.request.partition
    if is_unfinished(table):
        return True
    return partition is not None and bool(
        unmarked_keys(table, prepared.request.context.asset_name, partition)
    )


def _markers(prepared: PreparedWrite) -> list[AppTransaction]:
    request = prepared.request
    return write_markers(request.context, request.settings.mode, prepared.table, request.app_id)


def _writer_properties(prepared: PreparedWrite) -> Any:
    """Return the properties for the columns of the table and of the value; those of the value take precedence."""
    columns = (*prepared.fit.columns, *prepared.fit.encoding.columns)
    return writer_properties(prepared.request.settings, columns)


def _commit_properties(
    prepared: PreparedWrite, markers: Sequence[AppTransaction] | None = None, max_retries: int | None = None
) -> CommitProperties:
    request = prepared.request
    metadata = {**commit_info(request.context), "rivers.type": request.type_name}
    markers = _markers(prepared) if markers is None else markers
    if request.context.expected_version is not None:
        max_retries = 0  # deltalake would accept commits in between, which may be to the same rows
    return commit_properties(request.settings, metadata, markers, max_retries)
