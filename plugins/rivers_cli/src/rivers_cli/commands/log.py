"""`rivers log`: show events of the event log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rivers.inspection.events import event_document, log_document, stored_size
from rivers_cli.commands.runs import find_run, several_runs
from rivers_cli.errors import UsageError
from rivers_cli.humanize import format_duration, format_size, format_time
from rivers_cli.options import AsJson, Exclude, select_assets
from rivers_cli.output import Column, escape_control, print_document, print_table
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.inspection import Project
    from rivers.storage import Event, EventStorage, LogRecord


def log(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ASSETS|RUN]",
            help="Assets, as names, globs, group:x, ..., or the start of a run's id; default: the latest run.",
        ),
    ] = None,
    exclude: Exclude = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of events or records.")
    ] = 50,
    metadata: Annotated[
        bool, typer.Option("--metadata", "-m", help="Show the metadata of each event.")
    ] = False,
    logs: Annotated[
        bool, typer.Option("--logs", help="Show what the steps of a run logged with context.log instead.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write all events, or all of ASSETS or RUN, to a file: .jsonl or .parquet.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of assets or a run, in chronological order.

    Examples:
      $ rivers log                 the latest run
      $ rivers log orders -m       an asset, with its metadata
      $ rivers log group:sales     the assets of a group
      $ rivers log "raw_*" orders --exclude raw_old
      $ rivers log 3f2a91c0        a run
      $ rivers log 3f2a91c0 --logs what its steps logged
      $ rivers log --export events.parquet
    """
    if (export is not None) + logs + metadata > 1:
        raise UsageError("--metadata, --logs and --export exclude each other.")
    project: Project = context.obj.project
    if logs:
        if exclude or len(targets or ()) > 1:
            raise UsageError("--logs shows the log records of one run. Omit the assets and --exclude.")
        target = targets[0] if targets else None
        _show_logs(project.storage(reading=True), target, limit, as_json=as_json)
        return
    storage = project.storage(reading=True)
    run_id, names = _find(project, storage, targets or [], exclude or [])
    if export is not None:
        _export(storage, run_id, names, export, as_json=as_json)
        return
    events = _find_events(storage, run_id, names, limit)
    if as_json:
        print_document([event_document(event) for event in events])
        return
    if not events:
        print("No events.")
        return
    columns = [
        Column("Time"), Column("Event"), Column("Asset", wraps=True), Column("Handler", optional=1),
        Column("Version", optional=4), Column("Size", right=True, optional=3),
        Column("Duration", right=True, optional=2), Column("Message", wraps=True),
    ]  # fmt: skip
    rows = [_row(event) for event in events]
    used = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    print_table([columns[index] for index in used], [[row[index] for index in used] for row in rows])
    if metadata:
        for event in events:
            _print_metadata(event)


def _find(
    project: Project, storage: EventStorage, targets: list[str], exclude: list[str]
) -> tuple[str | None, Sequence[str] | None]:
    """Return the run, or the assets, that the arguments select; neither without arguments.

    The project is imported only for a selection: assets that it no longer has are in the event log.

    Raises:
        UsageError: A name is neither that of an asset nor the start of a run's id.
    """
    if not targets and not exclude:
        return None, None
    if not exclude and all(storage.get_events_for_asset(name, limit=1) for name in targets):
        return None, targets
    if len(targets) == 1 and not exclude:
        (target,) = targets
        run_ids = [run.run_id for run in storage.get_runs(limit=None) if run.run_id.startswith(target)]
        if len(run_ids) == 1:
            return run_ids[0], None
        if run_ids or not _TERM.search(target):
            raise _not_found_error(storage, target, run_ids)
    return None, select_assets(project.inspect(), targets, exclude) or ()


def _find_events(
    storage: EventStorage, run_id: str | None, names: Sequence[str] | None, limit: int
) -> list[Event]:
    """Return the newest events of a run or of assets, by default of the latest run, in chronological order."""
    if names is not None:
        events = [
            event
            for name in names
            for event in storage.get_events_for_asset(name, limit=limit, with_steps=False)
        ]
        return sorted(events, key=lambda event: event.id or 0)[-limit:]
    if run_id is None:
        latest = storage.get_runs(limit=1)
        run_id = latest[0].run_id if latest else None
    return [] if run_id is None else storage.get_events_for_run(run_id, with_steps=False)[-limit:]


def _export(
    storage: EventStorage, run_id: str | None, names: Sequence[str] | None, path: Path, *, as_json: bool
) -> None:
    """Write events to a file, reading them in batches: all events, or those of a run or of assets."""
    from rivers_cli.export import export_documents

    assets = None if names is None else set(names)
    events = (
        event
        for event in _all_events(storage)
        if (run_id is None or event.run_id == run_id) and (assets is None or event.asset_key in assets)
    )
    documents = ({"id": event.id, "timestamp": event.timestamp, **event_document(event)} for event in events)
    count = export_documents(documents, path)
    if as_json:
        print_document({"file": str(path), "events": count})
    else:
        print(f"{counted(count, 'event')} written to {path}.")


def _all_events(storage: EventStorage) -> Iterator[Event]:
    cursor = 0
    while events := storage.get_events_after(cursor):
        yield from events
        cursor = events[-1].id or 0


def _show_logs(storage: EventStorage, target: str | None, limit: int, *, as_json: bool) -> None:
    """Show the last log records of a run, by default of the latest one."""
    run = next(iter(storage.get_runs(limit=1)), None) if target is None else find_run(storage, target)
    records = [] if run is None else storage.get_run_logs(run.run_id)[-limit:]
    if as_json:
        print_document([log_document(record) for record in records])
    elif not records:
        print("No log records.")
    else:
        columns = [Column("Time"), Column("Level"), Column("Step"), Column("Message", wraps=True)]
        print_table(columns, [_log_row(record) for record in records])


def _log_row(record: LogRecord) -> tuple[str, ...]:
    key = f" [{record.partition_key}]" if record.partition_key else ""
    return format_time(record.timestamp), record.level, f"{record.step}{key}", record.message


_TERM: Final = re.compile(r"[+*?\[\s]|^(group|tag|kind|handler):")


def _not_found_error(storage: EventStorage, target: str, run_ids: list[str]) -> UsageError:
    from rivers.graph.findings import suggest

    if run_ids:
        return UsageError(several_runs(target, run_ids))
    names = [record.asset_key for record in storage.get_asset_records() if record.last_event]
    hint = suggest(target, names) if names else " The event log is empty."
    return UsageError(f"No asset and no run {target!r} in the event log.{hint}")


def _row(event: Event) -> tuple[str, ...]:
    size = stored_size(event)
    return (
        format_time(event.timestamp),
        event.event_type,
        _asset(event) if event.asset_key else "",
        event.handler or "",
        (event.data_version or "")[:12],
        "" if size is None else format_size(size),
        "" if event.duration_ns is None else format_duration(event.duration_ns),
        (event.message or "").partition("\n")[0],
    )


def _asset(event: Event) -> str:
    return f"{event.asset_key} [{event.partition_key}]" if event.partition_key else str(event.asset_key)


def _print_metadata(event: Event) -> None:
    if event.metadata:
        print(f"\n{_asset(event)}, run {event.run_id}:")
        for name, text in event.metadata:
            print(f"  {name}: {escape_control(text)}".rstrip().replace("\n", "\n    "))
