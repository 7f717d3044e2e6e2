"""`rivers runs`: list runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rivers_cli.humanize import format_duration, format_iso, format_time
from rivers_cli.options import AsJson
from rivers_cli.output import Column, print_document, print_table

if TYPE_CHECKING:
    from rivers.storage import RunRecord

_SHORT_ID: Final = 8
_SHOWN_ASSETS: Final = 3


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of runs.")] = 20,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", help="Only runs that are running, success, failure, canceled or interrupted."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest first.

    Examples:
      $ rivers runs
      $ rivers runs --status failure --limit 5
    """
    records = context.obj.project.storage(reading=True).get_runs(limit=limit, status=status)
    if as_json:
        print_document([run_document(run) for run in records])
    elif not records:
        print("No runs." if status is None else f"No runs with status {status}.")
    else:
        columns = [
            Column("Run"), Column("Status"), Column("Started"), Column("Duration", right=True, optional=1),
            Column("Selection", wraps=True), Column("Message", wraps=True),
        ]  # fmt: skip
        print_table(columns, [_row(run) for run in records])


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


def _row(run: RunRecord) -> tuple[str, ...]:
    duration = "" if run.duration_ns is None else format_duration(run.duration_ns)
    message = (run.message or "").partition("\n")[0]
    return run.run_id[:_SHORT_ID], run.status, format_time(run.start_time), duration, _selection(run), message


def _selection(run: RunRecord) -> str:
    """Return what the run was to execute: a job, some assets, all assets."""
    if run.job_name is not None:
        text = f"job {run.job_name}"
    elif run.selection is None:
        text = f"all ({len(run.node_names)})"
    else:
        more = len(run.selection) - _SHOWN_ASSETS
        text = ", ".join(run.selection[:_SHOWN_ASSETS]) + (f" and {more} more" if more > 0 else "")
    return f"{text} [{run.partition_key}]" if run.partition_key else text
