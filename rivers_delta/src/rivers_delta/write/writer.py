"""Writer: store one value in one commit, trying again when another commit came first."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from rivers_core import MetadataValue, PartitionContext
from rivers_core.authoring import shown_keys
from rivers_core.exceptions import AssetOutputValidationError, ConflictError
from rivers_delta.log.partition_markers import (
    IDENTIFIED_MODES,
    absent_keys,
    data_version,
    is_unfinished,
)
from rivers_delta.log.protocol import refuse_unwritable
from rivers_delta.partitions.filters import partition_predicate
from rivers_delta.read.data_files import check_rewrite
from rivers_delta.write.commit import Outcome, commit
from rivers_delta.write.digests import record_digests
from rivers_delta.write.merge import insert_metrics
from rivers_delta.write.request import build_request, prepare_write
from rivers_delta.write.retry import commit_with_retries, is_conflict
from rivers_frames.one_shot import refuse_consumed, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_core import OutputContext
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table
    from rivers_delta.log.table_cache import TableCache, WriteHistory
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.write.request import WriteRequest

_CONSTRAINT: Final = "delta.constraints."
_INVARIANTS: Final = "delta.invariants"
_GENERATION: Final = "delta.generationExpression"
_VIOLATION: Final = re.compile(r"(?P<rows>\d+) rows failed validation check")


def write_output(
    settings: TableSettings,
    context: OutputContext,
    value: Any,
    cache: TableCache,
    type_name: str | None = None,
) -> None:
    """Store a value, and report it to the context.

    Args:
        settings: The table.
        context: Asset, partition and run.
        value: The value.
        cache: What the process knows of its tables.
        type_name: The type to record; None for that of the value.

    Raises:
        AssetOutputValidationError: A column cannot be stored, or does not fit the table.
        PartitionValidationError: Rows belong to another partition, or the partition does not fit the table.
        ConflictError: Other writers kept committing first, or existing rows forbid the write.
    """
    started = time.perf_counter()
    request = build_request(settings, context, value, type_name)
    history = cache.history(settings.address)
    outcome = commit_with_retries(
        "write",
        context,
        settings,
        partial(_attempt, request, history),
        table=cache.take(settings.address),
        is_replayable=request.is_replayable,
    )
    metadata: dict[str, Any] = {}
    if outcome.is_written:
        written = history.record(outcome.table, request.app_id)
        totals, rows = written.totals, written.rows
        metadata |= outcome.metrics or (insert_metrics(rows) if settings.mode == "merge" else {})
        if not request.is_replayable:
            remember(request.value, metadata.get("delta/source_rows", rows))
    else:
        totals, rows = history.totals_of(outcome.table), 0
        metadata["delta/repeated" if outcome.is_repeated else "delta/ignored"] = True
    table = outcome.table
    schema = (
        pa.schema([column.given for column in table.columns()]) if outcome.schema is None else outcome.schema
    )
    context.add_output_metadata(
        {
            "delta/table_uri": settings.shown_address,
            "delta/mode": settings.mode,
            "delta/version": table.version(),
            "delta/type": request.type_name,
            "delta/num_rows": MetadataValue.int(totals.rows),
            "delta/rows_written": MetadataValue.int(rows),
            "delta/size_bytes": MetadataValue.int(totals.bytes),
            "delta/write_duration_s": MetadataValue.float_(time.perf_counter() - started),
            "rivers/schema": MetadataValue.schema(schema),
            **metadata,
        }
    )
    context.offer_content_version(
        outcome.data_version or data_version(table, context.asset_name, context.partition)
    )
    if settings.config.digests and outcome.is_written:
        record_digests(settings, context, table)
    cache.keep(settings.address, table)


def _attempt(request: WriteRequest, history: WriteHistory, table: Table | None, number: int) -> Outcome:
    wanted = None
    if table is not None:
        refuse_unwritable(table, request.subject)
        if _rewrites_files(request, table):
            check_rewrite(table, request.subject, _concerned_rows(request, table))
    if _is_repeated(request, table, history, number) and table is not None:
        return Outcome(table, is_written=False, is_repeated=True)
    if table is not None and request.settings.mode in {"error", "ignore"}:
        existing, wanted = _existing(request, table)
        if existing and request.settings.mode == "ignore":
            return Outcome(table, is_written=False)
        if existing:
            raise _exists_error(request, table, existing)
    if not request.is_replayable:
        refuse_consumed(request.subject, request.value, request.adapter)
    prepared = prepare_write(request, table, wanted)
    if not request.is_replayable:
        remember(request.value, None)
    try:
        return commit(prepared, number)
    except BaseException as error:
        prepared.batches.close()
        failure = prepared.batches.failure
        if failure is not None and not is_conflict(error):
            raise failure from None
        violation = _constraint_error(request, table, error)
        if violation is not None:
            raise violation from error
        raise


def _rewrites_files(request: WriteRequest, table: Table) -> bool:
    """Return whether existing rows end up in new files, as those of other keys in the same file."""
    if request.settings.mode == "merge":
        return True
    if request.settings.mode != "overwrite" or request.partition_expr is None:
        return False
    return not set(request.partition_expr.columns) <= set(table.metadata().partition_columns)


def _concerned_rows(request: WriteRequest, table: Table) -> Predicate | None:
    """Return the rows that a change concerns, where files of other partitions stay as they are; None for all."""
    partition, expr = request.partition, request.partition_expr
    if partition is None or expr is None or not set(expr.columns) <= set(table.metadata().partition_columns):
        return None
    return partition_predicate(request.context.asset_name, partition, expr, table.columns())


def _constraint_error(request: WriteRequest, table: Table | None, error: BaseException) -> Exception | None:
    """Return an error that names the constraints of the table, if rows violate one."""
    match = _VIOLATION.search(str(error))
    if match is None or table is None:
        return None
    constraints = list(_constraints(table))
    if not constraints:
        return None
    which = "constraint" if len(constraints) == 1 else "one of the constraints"
    rows = "1 row violates" if match["rows"] == "1" else f"{match['rows']} rows violate"
    return AssetOutputValidationError(
        f"Cannot store {request.subject}; nothing was written: {rows} {which} "
        f"{', '.join(constraints)} of the table, or have nulls that it does not allow. Correct or drop these rows."
    )


def _constraints(table: Table) -> Iterator[str]:
    """Yield name and expression of each CHECK constraint, invariant and generated column."""
    for name, expression in table.metadata().configuration.items():
        if name.startswith(_CONSTRAINT):
            yield f"{name.removeprefix(_CONSTRAINT)!r} ({expression})"
    for field in table.schema().fields:
        if _INVARIANTS in field.metadata:
            invariant = json.loads(str(field.metadata[_INVARIANTS]))
            yield f"{field.name!r} ({invariant['expression']['expression']})"
        if _GENERATION in field.metadata:
            yield f"{field.name!r} (= {field.metadata[_GENERATION]})"


def _is_repeated(request: WriteRequest, table: Table | None, history: WriteHistory, number: int) -> bool:
    """Return whether this very write was committed before; checked only where repeating it changes the table.

    Raises:
        ConflictError: The value is based on another version than the stored one.
    """
    expected = request.context.expected_version
    if expected is not None:
        stored = stored_version_of(request.settings, request.context, table)
        if stored == expected:
            return request.settings.mode in IDENTIFIED_MODES and _is_committed(request, table, history)
        if _is_committed(request, table, history):
            return True
        raise ConflictError(
            f"Cannot store {request.subject}, table {request.settings.shown_address!r}; nothing was written: the value "
            f"is based on {f'version {expected}' if expected else 'nothing'}, and "
            f"{f'version {stored}' if stored else 'nothing'} is stored. Load it again, and run the step again."
        )
    if request.settings.mode not in IDENTIFIED_MODES or (request.context.run_id is None and number == 1):
        return False
    return _is_committed(request, table, history)


def _is_committed(request: WriteRequest, table: Table | None, history: WriteHistory) -> bool:
    return table is not None and history.is_committed(table, request.app_id)


def stored_version_of(settings: TableSettings, context: OutputContext, table: Table | None) -> str:
    """Return the version of what is stored; empty if nothing is.

    Args:
        settings: The table.
        context: Asset and partition.
        table: The open table; None if it does not exist.
    """
    partition, expr = context.partition, settings.options.partition_expr
    if table is None or is_unfinished(table):
        return ""
    if partition is not None and expr is not None:
        absent = absent_keys(table, context.asset_name, partition, expr, table.columns())
        if len(absent) == len(partition.keys):
            return ""
    return data_version(table, context.asset_name, partition)


def _existing(request: WriteRequest, table: Table) -> tuple[str, PartitionContext | None]:
    """Return the parts of a write that already exist, for messages, and the partitions that mode `ignore` writes."""
    partition, expr = request.partition, request.partition_expr
    if partition is None or expr is None:
        return "" if is_unfinished(table) else request.subject, None
    absent = absent_keys(table, request.context.asset_name, partition, expr, table.columns())
    if request.settings.mode == "ignore" and absent:
        return "", PartitionContext(absent, partition.definition)
    missing = set(absent)
    present = [key for key in partition.keys if key not in missing]
    if not missing or not present:
        return request.subject if present else "", None
    return f"{shown_keys([repr(str(key)) for key in present])} of {request.subject}", None


def _exists_error(request: WriteRequest, table: Table, existing: str) -> ConflictError:
    return ConflictError(
        f"Cannot store {request.subject}; nothing was written: {existing} already exists in table "
        f"{request.settings.shown_address!r} at version {table.version()}, and 'delta/mode' is 'error'. Delete it, or "
        "use another mode."
    )
