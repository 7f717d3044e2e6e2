"""Run the flights pipeline, show what was stored where, and answer one question. `make demo` starts this."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import rivers as rs
from flights.definitions import ASSETS, repository
from rivers.storage import Event
from rivers_core.hooks import hookimpl
from rivers_core.plugins import get_registry

HERE = Path(__file__).parent
ANSWER = "advice"
ALL_MONTHS = rs.PartitionKeyRange.single("2013-01", "2013-12")


class Watcher:
    """A plugin of three hooks: the engine tells it what is stored and loaded while a run goes on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("starting", total=None)
        self.done: set[str] = set()
        self.loaded: list[str] = []

    @hookimpl
    def rivers_run_start(self, step_names: list[str]) -> None:
        """Now it is known how many steps there are."""
        self.progress.update(self.task, total=len(step_names))

    @hookimpl
    def rivers_output_stored(self, context: rs.OutputContext) -> None:
        """A step stored its value (or one partition of it)."""
        self.done.add(context.asset_name)
        self.progress.update(self.task, description=context.asset_name, completed=len(self.done))

    @hookimpl
    def rivers_input_loaded(self, context: rs.InputContext) -> None:
        """A step loaded a value."""
        self.loaded.append(context.asset_name)


def watched(console: Console, repo: rs.CodeRepository, **options: Any) -> tuple[rs.RunResult, list[str]]:
    """Run with a progress bar; the result, and the names of the values that were loaded."""
    columns = (
        TextColumn("[bold]{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        watcher = Watcher(progress)
        registry = get_registry()
        registry.register(watcher, "flights-progress")
        try:
            result = repo.materialize(**options)
        finally:
            registry.unregister("flights-progress")
    return result, watcher.loaded


def summary(repo: rs.CodeRepository, run_id: str) -> Table:
    """One row per asset of the run, from the events it left."""
    events: dict[str, list[Event]] = defaultdict(list)
    for event in repo.storage.get_events_for_run(run_id):
        if event.event_type == "Materialization" and event.asset_key:
            events[event.asset_key].append(event)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("asset", "handler"):
        table.add_column(title)
    for title in ("rows", "stored", "time"):
        table.add_column(title, justify="right")
    table.add_column("data version")
    for asset, stored in events.items():
        handler = (
            type(repo.io_handler_for_output(asset)).__name__ if stored[0].handler else "none: writes itself"
        )
        table.add_row(asset, handler, *figures(stored))
    return table


def figures(stored: list[Event]) -> list[str]:
    """Rows, bytes, time and version of an asset, whether it was stored whole or in partitions."""
    facts = [{name: value.raw_value() for name, value in event.typed_metadata.items()} for event in stored]
    rows = sum(fact.get("rows", 0) for fact in facts)
    seconds = max(event.duration_ns or 0 for event in stored) / 1e9
    version = f"{len(stored)} partitions" if len(stored) > 1 else (stored[0].data_version or "")[:12]
    size = readable(sum(fact.get("size_bytes", 0) for fact in facts))
    return [f"{rows:,}" if rows else "", size, f"{seconds:.2f} s", version]


def readable(size: float) -> str:
    """A number of bytes as people say it."""
    unit, divisor = ("MB", 1e6) if size >= 1e6 else ("kB", 1e3)
    return f"{size / divisor:,.1f} {unit}"


def version(repo: rs.CodeRepository, asset: str) -> str | None:
    """The version of the data that is stored for an asset."""
    event = repo.storage.get_latest_materialization(asset)
    return event.data_version if event else None


def main() -> None:
    """The demo: everything once, then one asset alone."""
    console = Console(highlight=False)
    console.print(f"\n[bold]A year of flights out of New York[/bold]: {len(ASSETS)} assets, three handlers\n")
    with repository(HERE) as repo:
        result, _ = watched(console, repo, partition_key=ALL_MONTHS)
        console.print(summary(repo, result.run_id))
        console.print(f"\n[bold green]{repo.load_node(ANSWER, type_hint=str)}[/bold green]\n")
        first = version(repo, ANSWER)

    # A new repository knows nothing of the values that the first one had in memory: it loads from the store.
    with repository(HERE) as repo:
        _, loaded = watched(console, repo, selection=[ANSWER])
        same = "the same" if version(repo, ANSWER) == first else "another"
    console.print(
        f"Once more, [bold]{ANSWER}[/bold] alone: it loaded {', '.join(loaded)} and has {same} data version.\n"
    )

    here = Path(os.path.relpath(HERE))
    console.print("Where to look next:")
    console.print(f"  {here / 'reports' / 'punctuality.html'}   the report, for your browser")
    console.print(f"  {here / 'flights'}   the pipeline: raw, tables, answers")
    console.print(f"  {here / 'README.md'}   its story, and what to try")


if __name__ == "__main__":
    main()
