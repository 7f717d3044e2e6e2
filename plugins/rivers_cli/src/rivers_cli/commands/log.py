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
from rivers_cli.options import AsJson
from rivers_cli.output import Column, escape_control, print_document, print_table
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.inspection import Project
    from rivers.storage import Event, EventStorage, LogRecord


def log(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[ASSETS|RUN]",
            help="An asset, a selection such as group:x, or the start of a run's id; default: the latest run.",
        ),
    ] = None,
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
    """Show the events of an asset or a run, in chronological order.

    Examples:
      $ rivers log                 the latest run
      $ rivers log orders -m       an asset, with its metadata
      $ rivers log group:sales     the assets of a group
      $ rivers log 3f2a91c0        a run
      $ rivers log 3f2a91c0 --logs what its steps logged
      $ rivers log --export events.parquet
    """
    if (export is not None) + logs + metadata > 1:
        raise UsageError("--metadata, --logs and --export exclude each other.")
    if export is not None:
        _export(context.obj.project, target, export, as_json=as_json)
        return
    if logs:
        _show_logs(context.obj.project.storage(reading=True), target, limit, as_json=as_json)
        return
    events = _find_events(context.obj.project, target, limit)
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


def _export(project: Project, target: str | None, path: Path, *, as_json: bool) -> None:
    """Write events to a file, reading them in batches: all events, or those that a target selects."""
    from rivers_cli.export import export_documents

    events = _all_events(project.storage(reading=True))
    if target is not None:
        # reports a target without events, and decides whether it is a run
        selected = _find_events(project, target, 1)
        assets = {event.asset_key for event in selected}
        if _TERM.search(target) and not assets & {target}:
            assets.update(project.inspect().select(target) or ())
        is_run = bool(selected) and target not in assets and selected[0].run_id.startswith(target)
        run_id = selected[0].run_id if is_run else None
        events = (
            event
            for event in events
            if (event.run_id == run_id if run_id is not None else event.asset_key in assets)
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


def _find_events(project: Project, target: str | None, limit: int) -> list[Event]:
    storage: EventStorage = project.storage(reading=True)
    if target is None:
        latest = storage.get_runs(limit=1)
        return storage.get_events_for_run(latest[0].run_id, with_steps=False)[-limit:] if latest else []
    events = storage.get_events_for_asset(target, limit=limit, with_steps=False)
    if events:
        return events[::-1]
    run_ids = [run.run_id for run in storage.get_runs(limit=None) if target and run.run_id.startswith(target)]
    if len(run_ids) == 1:
        return storage.get_events_for_run(run_ids[0], with_steps=False)[-limit:]
    if not run_ids and _TERM.search(target):
        names = project.inspect().select(target) or ()
        events = [
            event
            for name in names
            for event in storage.get_events_for_asset(name, limit=limit, with_steps=False)
        ]
        return sorted(events, key=lambda event: event.id or 0)[-limit:]
    raise _not_found_error(storage, target, run_ids)


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
