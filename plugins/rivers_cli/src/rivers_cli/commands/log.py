"""`rivers log`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rivers_cli.options import AsJson

if TYPE_CHECKING:
    from rivers.storage import Event, EventStorage


def log(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[ASSET|RUN]", help="An asset, or a run by the beginning of its id; else the last run."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many events at most.")] = 50,
    metadata: Annotated[
        bool, typer.Option("--metadata", "-m", help="Show the metadata of each event too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what happened to an asset or in a run, in the order in which it happened.

    Examples:
      $ rivers log                 the last run
      $ rivers log orders -m       an asset, with its metadata
      $ rivers log 3f2a91c0        a run
    """
    from rivers_cli.history import event_document, event_row
    from rivers_cli.output import Column, print_document, print_table

    events = _events(context.obj.project.storage(reading=True), target, limit)
    if as_json:
        print_document([event_document(event) for event in events])
        return
    if not events:
        print("Nothing has happened yet.")
        return
    columns = [
        Column("When"), Column("Event"), Column("Asset", wraps=True), Column("Handler", spare=1),
        Column("Version", spare=4), Column("Size", right=True, spare=3), Column("Took", right=True, spare=2),
        Column("Message", wraps=True),
    ]  # fmt: skip
    rows = [event_row(event) for event in events]
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    print_table([columns[index] for index in kept], [[row[index] for index in kept] for row in rows])
    if metadata:
        _print_metadata(events)


def _events(storage: EventStorage, target: str | None, limit: int) -> list[Event]:
    if target is None:
        last = storage.get_runs(limit=1)
        return storage.get_events_for_run(last[0].run_id)[-limit:] if last else []
    of_asset = storage.get_events_for_asset(target, limit=limit)
    if of_asset:
        return of_asset[::-1]
    runs = [run.run_id for run in storage.get_runs(limit=None) if run.run_id.startswith(target)]
    if len(runs) == 1:
        return storage.get_events_for_run(runs[0])[-limit:]
    raise _unknown(storage, target, runs)


def _unknown(storage: EventStorage, target: str, runs: list[str]) -> Exception:
    from rivers.graph.findings import suggest
    from rivers_cli.problems import UsageProblemError

    if runs:
        return UsageProblemError(
            f"{len(runs)} runs begin with {target!r}: {', '.join(runs[:5])}. Write more of it."
        )
    known = [record.asset_key for record in storage.get_asset_records()]
    hint = suggest(target, known) if known else " Nothing has run yet."
    return UsageProblemError(f"No asset and no run {target!r} in the event log.{hint}")


def _print_metadata(events: list[Event]) -> None:
    from rivers_cli.output import printable

    for event in events:
        if event.metadata:
            partition = f" [{event.partition_key}]" if event.partition_key else ""
            print(f"\n{event.asset_key}{partition}, run {event.run_id}:")
            for name, text in event.metadata:
                first, *more = printable(text).splitlines() or [""]
                print(f"  {name}: {first}")
                for line in more:
                    print(f"    {line}")
