"""Commits of a write: create a table, append to it, replace rows, or merge into it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from arro3.core import RecordBatchReader
from deltalake import PostCommitHookProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from rivers_core.exceptions import ConflictError
from rivers_delta.config.properties import commit_properties, writer_properties
from rivers_delta.log.location import conflicting_table, is_local
from rivers_delta.log.partition_markers import (
    UNFINISHED_TABLE,
    is_unfinished,
    unmarked_keys,
    write_markers,
)
from rivers_delta.log.table import open_table
from rivers_delta.partitions.filters import folder_columns
from rivers_delta.write.merge import add_operations, merge_metrics, merge_predicate
from rivers_delta.write.retry import LOST_TO_COMPACTION, has_removed_twice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from arro3.core.types import ArrowStreamExportable
    from deltalake import CommitProperties

    from rivers_delta.config.properties import AppTransaction
    from rivers_delta.log.table import Table
    from rivers_delta.write.prepared_write import PreparedWrite

_COMMITS_PER_CLEANUP: Final = 100
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
    """

    table: Table
    is_written: bool = True
    is_repeated: bool = False
    schema: pa.Schema | None = None
    metrics: Mapping[str, int] = field(default_factory=dict)


def commit(prepared: PreparedWrite, attempt: int) -> Outcome:
    """Commit a prepared write.

    Args:
        prepared: The write.
        attempt: The number of the attempt.
    """
    table, mode = prepared.table, prepared.request.settings.mode
    if table is None:
        return _create(prepared)
    if mode == "merge":
        return _merge(prepared, table)
    if mode == "create_or_replace" or (mode == "overwrite" and prepared.predicate is None):
        _replace(prepared, table, attempt)
    elif prepared.predicate is not None and mode == "overwrite":
        predicate = prepared.predicate.sql()
        _put(prepared, table, mode="overwrite", schema_mode=prepared.schema_mode, predicate=predicate)
    else:
        schema_mode = None if prepared.schema_mode == "overwrite" else prepared.schema_mode
        _put(prepared, table, mode="append", schema_mode=schema_mode)
    return Outcome(table, schema=prepared.encoding.schema())


def _create(prepared: PreparedWrite) -> Outcome:
    """Create the table with the rows in it; a merge that does more than insert gets an empty table first."""
    merge = prepared.request.merge
    if merge is None or merge.inserts_everything:
        _create_table(prepared, prepared.batches.open(), _markers(prepared, None))
        return Outcome(_created_table(prepared), schema=prepared.encoding.schema())
    _create_table(prepared, prepared.batches.empty(), [UNFINISHED_TABLE])
    return _merge(prepared, _created_table(prepared))


def _create_table(
    prepared: PreparedWrite, rows: ArrowStreamExportable, markers: Sequence[AppTransaction]
) -> None:
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
            request.partition, request.partition_expr, prepared.encoding.columns, settings.root
        )
    with _log_folder(settings.address):
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
def _log_folder(address: str) -> Iterator[None]:
    """Create the folder of the log before data files, so that a killed write does not look like a lost log."""
    if not is_local(address):
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
    table = open_table(settings.address, settings.storage_options, version=0)
    assert table is not None
    return table


def _replace(prepared: PreparedWrite, table: Table, attempt: int) -> None:
    """Replace all rows, and fail if there was another commit in between.

    deltalake itself would accept such a commit, also a compaction, whose rows would stay next to the new ones. To
    succeed among frequent appends it may do so after a few attempts; the commits in between are then examined.
    """
    settings, before = prepared.request.settings, table.version()
    arguments: dict[str, Any] = {"schema_mode": prepared.schema_mode}
    if settings.mode == "create_or_replace":
        arguments = {
            "schema_mode": "overwrite",
            "partition_by": [],
            "configuration": settings.new_table_properties(),
        }
    keeps_schema = arguments["schema_mode"] != "overwrite"
    accepts_appends = keeps_schema and _STRICT_ATTEMPTS < attempt < settings.config.max_attempts
    _put(prepared, table, max_retries=None if accepts_appends else 0, mode="overwrite", **arguments)
    if accepts_appends and has_removed_twice(table, before):
        raise CommitFailedError(LOST_TO_COMPACTION)


def _put(prepared: PreparedWrite, table: Table, max_retries: int | None = None, **arguments: Any) -> None:
    _write(prepared, table, prepared.batches.open(), _markers(prepared, table), max_retries, **arguments)


def _write(
    prepared: PreparedWrite,
    target: Table | str,
    rows: ArrowStreamExportable,
    markers: Sequence[AppTransaction],
    max_retries: int | None = None,
    **arguments: Any,
) -> None:
    settings = prepared.request.settings
    write_deltalake(
        target,
        rows,
        writer_properties=writer_properties(settings.writer_properties, _stored_columns(prepared)),  # type: ignore[arg-type]
        commit_properties=_commit_properties(prepared, markers, max_retries),
        post_commithook_properties=_post_commit_hooks(prepared),
        target_file_size=settings.config.target_file_size,
        **arguments,
    )


def _merge(prepared: PreparedWrite, table: Table) -> Outcome:
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
        writer_properties=writer_properties(request.settings.writer_properties, _stored_columns(prepared)),
        commit_properties=_commit_properties(prepared, _markers(prepared, table)),
        post_commithook_properties=_post_commit_hooks(prepared),
    )
    source = [column.name for column in prepared.encoding.columns]
    existing = [column.name for column in prepared.columns]
    target = [*dict.fromkeys([*existing, *source])] if may_grow else existing
    metrics = add_operations(merger, merge, source, target, prepared.predicate).execute()
    if table.version() == before:
        _mark_unchanged(prepared, table)
    return Outcome(table, schema=prepared.encoding.schema(), metrics=merge_metrics(metrics))


def _mark_unchanged(prepared: PreparedWrite, table: Table) -> None:
    """Commit the markers of a merge that changed no row: deltalake makes no commit without a change."""
    request = prepared.request
    partition = request.partition
    is_marked = partition is None or not unmarked_keys(table, request.context.asset_name, partition)
    if is_marked and not is_unfinished(table):
        return
    nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
    _write(prepared, table, nothing, _markers(prepared, table), mode="append")


def _markers(prepared: PreparedWrite, table: Table | None) -> list[AppTransaction]:
    request = prepared.request
    return write_markers(
        request.context.asset_name, request.partition, request.settings.mode, table, request.app_id
    )


def _stored_columns(prepared: PreparedWrite) -> list[pa.Field]:
    """Return the columns of the table and of the value; those of the value take precedence."""
    return [column.stored for column in (*prepared.columns, *prepared.encoding.columns)]


def _commit_properties(
    prepared: PreparedWrite, markers: Sequence[AppTransaction], max_retries: int | None = None
) -> CommitProperties:
    request, context = prepared.request, prepared.request.context
    metadata = {"rivers.asset": context.asset_name, "rivers.type": request.type_name}
    if context.run_id is not None:
        metadata["rivers.run_id"] = context.run_id
    if context.partition is not None:
        metadata["rivers.partition"] = ",".join(map(str, context.partition.keys))
    return commit_properties(request.settings.commit_properties, metadata, markers, max_retries)


def _post_commit_hooks(prepared: PreparedWrite) -> PostCommitHookProperties:
    """Create checkpoints as the table requires; remove expired log files every 100 commits.

    deltalake (up to 1.6) looks for expired files after every commit, and reads the age of each file in the log.
    """
    table = prepared.table
    is_due = table is not None and (table.version() + 1) % _COMMITS_PER_CLEANUP == 0
    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=None if is_due else False)
