"""What the history of a project says, in the words of the tables that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_cli import amounts

if TYPE_CHECKING:
    from rivers.storage import Event, RunRecord

SHORT_ID = 8


def run_document(run: RunRecord) -> dict[str, Any]:
    """A run for programs."""
    return {
        "run_id": run.run_id,
        "status": run.status,
        "started": amounts.iso(run.start_time),
        "ended": None if run.end_time is None else amounts.iso(run.end_time),
        "job": run.job,
        "selection": None if run.selection is None else list(run.selection),
        "partition": run.partition_key,
        "steps": list(run.steps),
        "tags": dict(run.tags),
        "message": run.message,
    }


def run_row(run: RunRecord) -> tuple[str, ...]:
    """A run as a row: id, status, start, duration, what it ran, message."""
    took = "" if run.duration_ns is None else amounts.duration(run.duration_ns)
    message = (run.message or "").partition("\n")[0]
    return run.run_id[:SHORT_ID], run.status, amounts.moment(run.start_time), took, asked_for(run), message


def asked_for(run: RunRecord) -> str:
    """What a run was to do: a job, some assets, everything."""
    if run.job is not None:
        what = f"job {run.job}"
    elif run.selection is None:
        what = f"everything ({len(run.steps)})"
    else:
        what = ", ".join(run.selection[:3]) + (
            f" and {len(run.selection) - 3} more" if len(run.selection) > 3 else ""
        )
    return f"{what} [{run.partition_key}]" if run.partition_key else what


def event_document(event: Event) -> dict[str, Any]:
    """An event for programs."""
    return {
        "event": event.event_type,
        "at": amounts.iso(event.timestamp),
        "run_id": event.run_id,
        "asset": event.asset_key,
        "partition": event.partition_key,
        "step": event.step,
        "attempt": event.attempt,
        "handler": event.handler,
        "data_version": event.data_version,
        "code_version": event.code_version,
        "inputs": dict(event.input_data_versions),
        "duration_s": None if event.duration_ns is None else event.duration_ns / 1e9,
        "message": event.message,
        "tags": dict(event.tags),
        "metadata": dict(event.metadata),
    }


def event_row(event: Event) -> tuple[str, ...]:
    """An event as a row: time, event, asset with partition, handler, version, size, duration, message."""
    size = amounts.stored_bytes(event)
    return (
        amounts.moment(event.timestamp),
        event.event_type,
        f"{event.asset_key or ''}{f' [{event.partition_key}]' if event.partition_key and event.asset_key else ''}",
        event.handler or "",
        (event.data_version or "")[:12],
        "" if size is None else amounts.size(size),
        "" if event.duration_ns is None else amounts.duration(event.duration_ns),
        (event.message or "").partition("\n")[0],
    )
