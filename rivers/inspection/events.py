"""Runs, events and log records as JSON documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers.storage import Event, RunRecord
    from rivers.storage.records import LogRecord


def format_iso(timestamp: int) -> str:
    """Format a timestamp in nanoseconds as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(timestamp // 1000 / 1_000_000, UTC).isoformat(timespec="microseconds")


def stored_size(event: Event) -> int | None:
    """Return the number of bytes that a handler reported: its metadata `size_bytes` or `<handler>/size_bytes`."""
    for name, value in event.typed_metadata.items():
        if name.rpartition("/")[2] == "size_bytes":
            raw = value.raw_value()
            return raw if isinstance(raw, int) else None
    return None


def run_document(run: RunRecord) -> dict[str, Any]:
    """Return a run as a JSON document."""
    return {
        "run_id": run.run_id,
        "status": run.status,
        "started": format_iso(run.start_time),
        "ended": None if run.end_time is None else format_iso(run.end_time),
        "job": run.job_name,
        "selection": None if run.selection is None else list(run.selection),
        "partition": run.partition_key,
        "steps": list(run.node_names),
        "tags": dict(run.tags),
        "message": run.message,
    }


def event_document(event: Event) -> dict[str, Any]:
    """Return an event as a JSON document."""
    return {
        "event": event.event_type,
        "at": format_iso(event.timestamp),
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
        "tags": [tag if isinstance(tag, str) else list(tag) for tag in event.tags],
        "metadata": dict(event.metadata),
    }


def log_document(record: LogRecord) -> dict[str, Any]:
    """Return a record that a step logged as a JSON document."""
    return {
        "at": format_iso(record.timestamp),
        "run_id": record.run_id,
        "step": record.step,
        "asset": record.asset_key,
        "partition": record.partition_key,
        "attempt": record.attempt,
        "level": record.level,
        "message": record.message,
    }
