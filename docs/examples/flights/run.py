"""Run the flights pipeline, and print a summary of the stored values. `make demo` runs this script."""

from __future__ import annotations

import os
import sys
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


class ProgressPlugin:
    """Plugin with three hooks: the engine calls them when a run starts, and when it stores or loads a value."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("starting", total=None)
        self.done: set[str] = set()
        self.loaded: list[str] = []

    @hookimpl
    def rivers_run_start(self, step_names: list[str]) -> None:
        """Set the number of steps."""
        self.progress.update(self.task, total=len(step_names))

    @hookimpl
    def rivers_output_stored(self, context: rs.OutputContext) -> None:
        """Advance the progress bar; called once per value or partition."""
        self.done.add(context.asset_name)
        self.progress.update(self.task, description=context.asset_name, completed=len(self.done))

    @hookimpl
    def rivers_input_loaded(self, context: rs.InputContext) -> None:
        """Remember the name of the loaded asset."""
        self.loaded.append(context.asset_name)


def run_with_progress(
    console: Console, repo: rs.CodeRepository, **options: Any
) -> tuple[rs.RunResult, list[str]]:
    """Run with a progress bar; return the result and the names of the loaded assets."""
    columns = (
        TextColumn("[bold]{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        plugin = ProgressPlugin(progress)
        registry = get_registry()
        registry.register(plugin, "flights-progress")
        try:
            result = repo.materialize(**options)
        finally:
            registry.unregister("flights-progress")
    return result, plugin.loaded


def summary(repo: rs.CodeRepository, run_id: str) -> Table:
    """Return a table with one row per asset, from the events of the run."""
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
            type(repo.io_handler_for_output(asset)).__name__ if stored[0].handler else "none (writes a file)"
        )
        table.add_row(asset, handler, *figures(stored))
    return table


def figures(stored: list[Event]) -> list[str]:
    """Return rows, size, time and version of an asset as text, added up over its partitions."""
    facts = [{name: value.raw_value() for name, value in event.typed_metadata.items()} for event in stored]
    rows = sum(fact.get("rows", 0) for fact in facts)
    seconds = max(event.duration_ns or 0 for event in stored) / 1e9
    version = f"{len(stored)} partitions" if len(stored) > 1 else (stored[0].data_version or "")[:12]
    size = format_size(sum(fact.get("size_bytes", 0) for fact in facts))
    return [f"{rows:,}" if rows else "", size, f"{seconds:.2f} s", version]


def format_size(size: float) -> str:
    """Return a number of bytes as text, in kB or MB."""
    unit, divisor = ("MB", 1e6) if size >= 1e6 else ("kB", 1e3)
    return f"{size / divisor:,.1f} {unit}"


def version(repo: rs.CodeRepository, asset: str) -> str | None:
    """Return the data version of the stored value of an asset."""
    event = repo.storage.get_latest_materialization(asset)
    return event.data_version if event else None


def main() -> None:
    """Run all assets, then one asset alone."""
    console = Console(highlight=False)
    console.print(f"\n[bold]A year of flights out of New York[/bold]: {len(ASSETS)} assets, three handlers\n")
    with repository(HERE) as repo:
        result, _ = run_with_progress(console, repo, partition_key=ALL_MONTHS)
        console.print(summary(repo, result.run_id))
        console.print(f"\n[bold green]{repo.load_node(ANSWER, type_hint=str)}[/bold green]\n")
        first = version(repo, ANSWER)

    # the new repository has an empty in-memory handler, so the inputs are loaded from disk
    with repository(HERE) as repo:
        _, loaded = run_with_progress(console, repo, selection=[ANSWER])
        same = "the same" if version(repo, ANSWER) == first else "another"
    console.print(
        f"Once more, [bold]{ANSWER}[/bold] alone: it loaded {', '.join(loaded)} and has {same} data version.\n"
    )

    here = Path(os.path.relpath(HERE))
    console.print("Where to look next:")
    console.print(f"  {here / 'reports' / 'punctuality.html'}   the report, for your browser")
    console.print(f"  {here / 'flights'}   the pipeline: raw, tables, answers")
    console.print(f"  {here / 'README.md'}   a walk through the example")
    console.print(
        f"\nSee it in the browser: [bold]cd {here} && {Path(sys.executable).parent / 'rivers'} ui[/bold]",
        soft_wrap=True,  # in one line, to be copied
    )


if __name__ == "__main__":
    main()
