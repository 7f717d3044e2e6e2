"""Showing a run: a table that lives while somebody looks at it, a line for each event otherwise."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from time import monotonic_ns, strftime
from typing import TYPE_CHECKING, Final, Protocol

from rivers_cli import amounts
from rivers_cli.output import console, is_terminal, printable
from rivers_cli.running.progress import is_stop

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType
    from rich.live import Live

    from rivers.storage import Event
    from rivers_cli.running.progress import Line, Progress, State

_REFRESHES_PER_SECOND: Final = 8
_LONG: Final = 60
_FRAME: Final = 4  # lines of the terminal that are not for steps

_MARKS: Final[dict[State, tuple[str, str]]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "yellow"),
    "stopped": ("–", "yellow"),
}


class View(Protocol):
    """What shows a run; entered before it starts, left when it is over."""

    def note(self, event: Event) -> None:
        """Show what happened."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view_of(progress: Progress, *, silent: bool) -> View:
    """The view that fits where this command prints to."""
    if silent:
        return _Silent(progress)
    return LiveTable(progress) if is_terminal() else PlainLog(progress)


class _Silent(nullcontext[None]):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def note(self, event: Event) -> None:
        self._progress.note(event)


class PlainLog(nullcontext[None]):
    """One line per event, for files and for those who read them.

    Args:
        progress: The run.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._width = max((len(line.name) for line in progress.lines.values()), default=0)

    def note(self, event: Event) -> None:
        """Print what happened."""
        line = self._progress.note(event)
        if line is None:
            return
        name = f"{event.asset_key or line.name}{f' [{event.partition_key}]' if event.partition_key else ''}"
        told = _told(event, self._progress.message_of(event))
        print(printable(f"{strftime('%H:%M:%S')}  {name:<{self._width}}  {told}"), flush=True)


class LiveTable(AbstractContextManager[None]):
    """A table with a row per step, redrawn while the run goes on.

    Args:
        progress: The run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = monotonic_ns()
        self._console = console()
        self._live: Live | None = None

    def __enter__(self) -> None:
        from rich.live import Live

        self._started = monotonic_ns()
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
        )
        self._live.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._console.print(self._table(whole=True))

    def note(self, event: Event) -> None:
        """Take in what happened; the table shows it at its next turn."""
        self._progress.note(event)

    def _table(self, *, whole: bool = False) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=12)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=not whole, overflow="fold" if whole else "ellipsis", min_width=10)
        lines = list(self._progress.lines.values())
        for line in _worth_keeping(lines) if whole else self._window(lines):
            table.add_row(*self._row(line))
        if not whole:
            elapsed = amounts.duration(monotonic_ns() - self._started)
            over = len(lines) - self._progress.count("waiting") - self._progress.count("running")
            table.add_row("", f"{over} of {len(lines)}", "", "", elapsed, "Ctrl-C stops", style="dim")
        return table

    def _row(self, line: Line) -> tuple[RenderableType, ...]:
        from rich.text import Text

        mark, style = _MARKS[line.state]
        name = f"{line.name} ({line.stored} of {line.expected})" if line.expected > 1 else line.name
        return (
            Text(mark, style),
            Text(name, style if line.state == "failed" else ""),
            Text(line.handler),
            Text("" if line.size is None else amounts.size(line.size)),
            Text(amounts.duration(line.duration_ns) if line.duration_ns else ""),
            Text(printable(line.message), style),
        )

    def _window(self, lines: list[Line]) -> list[Line]:
        """As many rows as fit, around those that are running."""
        room = max(self._console.height - _FRAME, 3)
        first_running = next((i for i, line in enumerate(lines) if line.state == "running"), len(lines))
        start = max(0, min(first_running - room // 2, len(lines) - room))
        return lines[start : start + room]


def _worth_keeping(lines: list[Line]) -> list[Line]:
    """What stays on the screen: everything, or of a long run what did not go well."""
    return lines if len(lines) <= _LONG else [line for line in lines if line.state != "done"]


def _told(event: Event, message: str) -> str:
    if event.event_type == "Materialization":
        size = amounts.stored_bytes(event)
        parts = [
            f"stored with {event.handler}" if event.handler else "materialized",
            "" if size is None else amounts.size(size),
            amounts.duration(event.duration_ns or 0),
        ]
        return "  ".join(part for part in parts if part)
    if is_stop(event):
        return "stopped"
    words = {"StepFailure": "failed: ", "StepSkipped": "skipped: ", "StepRetry": "tried again after: "}
    return f"{words.get(event.event_type, f'{event.event_type} ')}{message}".rstrip()


def say(text: str) -> None:
    """Tell something about the run as a whole, on stderr."""
    print(printable(text, sys.stderr), file=sys.stderr, flush=True)
