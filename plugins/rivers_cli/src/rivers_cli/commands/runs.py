"""`rivers runs`: list runs, cancel one, remove old ones."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rivers.graph.findings import suggest
from rivers.inspection.events import run_document
from rivers_cli.errors import UsageError
from rivers_cli.humanize import format_duration, format_time
from rivers_cli.lazy_group import Command, Group
from rivers_cli.options import AsJson
from rivers_cli.output import Column, print_document, print_table
from rivers_core.authoring import counted
from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers.storage import EventStorage, RunRecord

_SHORT_ID: Final = 8
_SHOWN_ASSETS: Final = 3
_STATUSES: Final = ("running", "success", "failure", "canceled", "interrupted")


app = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of runs.")] = 20,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only runs that are running, success, failure, canceled or interrupted.",
            autocompletion=lambda incomplete: [name for name in _STATUSES if name.startswith(incomplete)],
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest first.

    Examples:
      $ rivers runs
      $ rivers runs --status failure --limit 5
      $ rivers runs cancel 3f2a91c0
      $ rivers runs prune --older-than 90
    """
    if context.invoked_subcommand is not None:
        return
    if status is not None and status.lower() not in (*_STATUSES, "started"):
        raise UsageError(f"--status: status {status!r} not found.{suggest(status.lower(), _STATUSES)}")
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


@app.command("cancel", cls=Command)
def cancel(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or its start.")],
) -> None:
    """Ask the process of a run to end it.

    It starts no further step and no retry, and the run ends as canceled; `rivers materialize --resume RUN` continues
    it. A function that is running finishes, except in Kubernetes, where its Job is deleted.

    Examples:
      $ rivers runs cancel 3f2a91c0
    """
    storage = context.obj.project.storage(reading=True)
    record = find_run(storage, run)
    if not storage.request_cancellation(record.run_id):
        raise RiversError(f"Run {record.run_id} has ended already, with status {record.status}.")
    print(f"Requested the cancellation of run {record.run_id}.")


@app.command("prune", cls=Command)
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=0, metavar="COUNT", help="Runs that stay, the most recently started ones."
        ),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Remove only runs that ended before this."),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Apply the plan; by default it is only printed.")
    ] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum/--no-vacuum", help="Return the space to the file system afterwards.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Remove runs that have ended, with their events and log records, by count and age.

    The latest materialization of each asset and partition stays, with what it was made from; stored values are not
    touched. With both limits, a run is removed if it exceeds both. By default only the plan is printed; --run applies
    it. A removed run cannot be resumed.

    Examples:
      $ rivers runs prune --keep 1000
      $ rivers runs prune --older-than 90 --run
    """
    if keep is None and older_than is None:
        raise UsageError("rivers runs prune requires --keep or --older-than.")
    storage = context.obj.project.storage(reading=True)
    age = None if older_than is None else timedelta(days=older_than)
    pruned = storage.prune_runs(keep=keep, older_than=age, dry_run=not run)
    if run and vacuum and (pruned.runs or pruned.event_count):
        storage.vacuum()
    if as_json:
        print_document(
            {
                "dry_run": not run,
                "runs": [run_document(item) for item in pruned.runs],
                "events": pruned.event_count,
                "kept_events": pruned.kept_event_count,
                "log_records": pruned.log_count,
            }
        )
        return
    print(
        f"{counted(len(pruned.runs), 'run')}, {counted(pruned.event_count, 'event')} and "
        f"{counted(pruned.log_count, 'log record')} {'removed' if run else 'to remove'}; "
        f"{counted(pruned.kept_event_count, 'event')} of these runs kept."
    )
    if not run:
        print("Dry run, nothing was changed. Use --run to apply.")


def find_run(storage: EventStorage, start: str) -> RunRecord:
    """Return the run whose id begins with a text.

    Raises:
        UsageError: There is no such run, or more than one.
    """
    exact = storage.get_run(start)
    # an empty text, such as a variable that is not set, would match every run
    records = [run for run in storage.get_runs(limit=None) if start and run.run_id.startswith(start)]
    if exact is None and len(records) != 1:
        if not records:
            raise UsageError(f"Run {start!r} not found in the event log. 'rivers runs' lists the runs.")
        raise UsageError(several_runs(start, [run.run_id for run in records]))
    return exact or records[0]


def several_runs(start: str, run_ids: list[str]) -> str:
    """Return the message about an ambiguous start of a run's id."""
    return f"{len(run_ids)} runs start with {start!r}: {', '.join(run_ids[:5])}. Use a longer prefix."


def _row(run: RunRecord) -> tuple[str, ...]:
    duration = "" if run.duration_ns is None else format_duration(run.duration_ns)
    message = (run.message or "").partition("\n")[0]
    return run.run_id[:_SHORT_ID], run.status, format_time(run.start_time), duration, _selection(run), message


def _selection(run: RunRecord) -> str:
    """Return the selection of a run: a job, some assets, all assets."""
    if run.job_name is not None:
        text = f"job {run.job_name}"
    elif run.selection is None:
        text = f"all ({len(run.node_names)})"
    else:
        more = len(run.selection) - _SHOWN_ASSETS
        text = ", ".join(run.selection[:_SHOWN_ASSETS]) + (f" and {more} more" if more > 0 else "")
    return f"{text} [{run.partition_key}]" if run.partition_key else text
