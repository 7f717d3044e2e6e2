"""Progress of a run: the state of its steps, as a live table on a terminal, else as one line per event."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic_ns, strftime
from typing import TYPE_CHECKING, Final, Literal

from rivers.exceptions import StorageError
from rivers.inspection.events import stored_size
from rivers.inspection.handlers import storing_handler
from rivers_cli.humanize import format_duration, format_size
from rivers_cli.output import create_console, escape_control, is_terminal
from rivers_cli.run.interrupts import is_interruption
from rivers_core.authoring import shown_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import RenderableType
    from rich.live import Live

    from rivers.graph.plan import Step
    from rivers.storage import Event, RunningStep
    from rivers_cli.run.request import RunRequest

State = Literal["waiting", "running", "done", "failed", "skipped", "stopped"]

_TO_STORE: Final = "rivers/to_store"
"""Metadata of `StepSkipped` when a step skips its fresh partitions: the number of values that it will store."""
_REFRESHES_PER_SECOND: Final = 8
_PLACES_NS: Final = 500_000_000
_LONG_RUN: Final = 60
_RESERVED_LINES: Final = 4  # lines of the terminal that are not for steps

_MARKS: Final[dict[State, tuple[str, str]]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "yellow"),
    "stopped": ("–", "yellow"),
}


@dataclass(slots=True)
class StepProgress:
    """Progress of one step.

    Attributes:
        step: Name of the step.
        name: Name for users.
        handler: Handlers that store its outputs.
        upstream: Names of the steps that come before it.
        expected: Number of values to store.
        stored: Number of values stored so far.
        size: Bytes stored so far; None if the handler does not report them.
        duration_ns: Longest time that a value took.
        state: Current state.
        message: Why it failed, was skipped or is retried.
        failures: Message of each failed partition key; None without partitions.
    """

    step: str
    name: str
    handler: str
    upstream: tuple[str, ...]
    expected: int
    stored: int = 0
    size: int | None = None
    duration_ns: int = 0
    state: State = "waiting"
    message: str = ""
    failures: dict[str | None, str] = field(default_factory=dict)

    def fail(self, key: str | None, message: str) -> None:
        """Set the state, and a message that names the partition keys that failed.

        Args:
            key: Partition key of the failure, None without partitions.
            message: Its message.
        """
        self.state = "failed"
        self.failures.setdefault(key, message)
        first, text = next(iter(self.failures.items()))
        keys = shown_keys([str(failed) for failed in self.failures])
        if len(self.failures) > 1:
            text = f"{len(self.failures)} partition keys ({keys}); the first: {text}"
        elif first is not None:
            text = f"partition key {keys}: {text}"
        self.message = text


class Progress:
    """Steps of a run with their progress, updated by events.

    Args:
        request: The run.
        redact: Removes credentials from messages.
    """

    def __init__(self, request: RunRequest, redact: Callable[[str], str]) -> None:
        self._redact = redact
        plan = request.plan
        self.steps = {
            step.name: StepProgress(
                step.name,
                step.owner,
                _handler_names(step),
                plan.after[step.name],
                request.expected[step.name],
            )
            for step in plan.steps
        }
        is_local = request.executor is None or request.executor.reach == "process"
        self._request = None if is_local else request
        self._is_sequential = is_local and not plan.needs_loop
        self._lock = Lock()
        self._start_next()

    def update(self, event: Event) -> StepProgress | None:
        """Apply an event, and return the step that it is about, if any."""
        step = self.steps.get(event.step or "")
        if step is None:
            return None
        with self._lock:
            self._apply(step, event)
            self._start_next()
        return step

    def message_of(self, event: Event) -> str:
        """Return the message of an event without credentials."""
        return self._redact(event.message) if event.message else ""

    def count(self, state: State) -> int:
        """Return the number of steps in a state."""
        return sum(step.state == state for step in self.steps.values())

    def names(self, state: State) -> list[str]:
        """Return the names of the assets in a state, in the order of the plan."""
        return list(dict.fromkeys(step.name for step in self.steps.values() if step.state == state))

    def places(self) -> dict[str, str] | None:
        """Return where steps run now, by name of the step, without short ones; None if they run in this process."""
        if self._request is None:
            return None
        running: list[RunningStep] = []
        with suppress(StorageError):  # the run reports it
            running = self._request.repository.storage.get_running_steps(self._request.run_id)
        places: dict[str, list[str]] = {}
        for call in running:
            places.setdefault(call.step, []).append(call.place)
        return {name: ", ".join(dict.fromkeys(calls)) for name, calls in places.items()}

    def _apply(self, step: StepProgress, event: Event) -> None:
        if event.event_type == "Materialization":
            step.stored += 1
            size = stored_size(event)
            step.size = step.size if size is None else (step.size or 0) + size
            step.duration_ns = max(step.duration_ns, event.duration_ns or 0)
            if step.state not in (
                "failed",
                "skipped",
            ):  # some of its other partition keys failed or were skipped
                step.state, step.message = ("done" if step.stored >= step.expected else "running"), ""
        elif event.event_type == "StepFailure" and is_interruption(event):
            step.state, step.message = "stopped", ""
        elif event.event_type == "StepFailure":
            step.fail(event.partition_key, self.message_of(event))
        elif event.event_type == "StepSkipped" and (to_store := event.typed_metadata.get(_TO_STORE)):
            step.expected = int(to_store.raw_value())
        elif event.event_type == "StepSkipped":
            step.state, step.message = "skipped", self.message_of(event)
        elif event.event_type == "StepRetry":
            step.message = f"retrying after: {self.message_of(event)}"

    def _start_next(self) -> None:
        """Mark steps as running; no event says so, but a step starts when those before it have finished."""
        for step in self.steps.values():
            if step.state == "waiting" and all(self._is_finished(name) for name in step.upstream):
                step.state = "running"
            if step.state == "running" and self._is_sequential:
                return

    def _is_finished(self, name: str) -> bool:
        return self.steps[name].state not in ("waiting", "running")


class SilentView(nullcontext[None]):
    """View that prints nothing.

    Args:
        progress: The run.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def update(self, event: Event) -> None:
        """Apply an event."""
        self._progress.update(event)


class LineView(nullcontext[None]):
    """View that prints one line per event, for files and pipes.

    Args:
        progress: The run.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._width = max((len(step.name) for step in progress.steps.values()), default=0)

    def update(self, event: Event) -> None:
        """Apply and print an event."""
        step = self._progress.update(event)
        if step is None:
            return
        name = f"{event.asset_key or step.name}{f' [{event.partition_key}]' if event.partition_key else ''}"
        text = _describe(event, self._progress.message_of(event))
        print(escape_control(f"{strftime('%H:%M:%S')}  {name:<{self._width}}  {text}"), flush=True)


class TableView(AbstractContextManager[None]):
    """View that shows a live table with a row per step.

    Args:
        progress: The run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = monotonic_ns()
        self._places: dict[str, str] | None = None
        self._places_at = 0
        self._console = create_console()
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
        self._console.print(self._table(is_final=True))

    def update(self, event: Event) -> None:
        """Apply an event; the next refresh shows it."""
        self._progress.update(event)

    def _table(self, *, is_final: bool = False) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=12)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=not is_final, overflow="fold" if is_final else "ellipsis", min_width=10)
        steps = list(self._progress.steps.values())
        places = None if is_final else self._current_places()
        for step in _final_steps(steps) if is_final else self._visible_steps(steps):
            table.add_row(*_row(step, None if places is None else places.get(step.step, "queued")))
        if not is_final:
            elapsed = format_duration(monotonic_ns() - self._started)
            finished = len(steps) - self._progress.count("waiting") - self._progress.count("running")
            table.add_row("", f"{finished} of {len(steps)}", "", "", elapsed, "Ctrl-C stops", style="dim")
        return table

    def _current_places(self) -> dict[str, str] | None:
        """Return where steps run, asking the storage only as often as a run reports it."""
        now = monotonic_ns()
        if now - self._places_at > _PLACES_NS:
            self._places, self._places_at = self._progress.places(), now
        return self._places

    def _visible_steps(self, steps: list[StepProgress]) -> list[StepProgress]:
        """Return the steps that fit the terminal, around the running ones."""
        room = max(self._console.height - _RESERVED_LINES, 3)
        first_running = next((i for i, step in enumerate(steps) if step.state == "running"), len(steps))
        start = max(0, min(first_running - room // 2, len(steps) - room))
        return steps[start : start + room]


View = SilentView | LineView | TableView


def create_view(progress: Progress, *, silent: bool) -> View:
    """Create the view that fits stdout."""
    if silent:
        return SilentView(progress)
    return TableView(progress) if is_terminal() else LineView(progress)


def _row(step: StepProgress, place: str | None) -> tuple[RenderableType, ...]:
    from rich.text import Text

    mark, style = _MARKS[step.state]
    message = step.message or (place if place and step.state == "running" else "")
    name = f"{step.name} ({step.stored} of {step.expected})" if step.expected > 1 else step.name
    return (
        Text(mark, style),
        Text(name, style if step.state == "failed" else ""),
        Text(step.handler),
        Text("" if step.size is None else format_size(step.size)),
        Text(format_duration(step.duration_ns) if step.duration_ns else ""),
        Text(escape_control(message), style),
    )


def _final_steps(steps: list[StepProgress]) -> list[StepProgress]:
    """Return the steps that stay on the screen: all, or those of a long run that were not stored."""
    return steps if len(steps) <= _LONG_RUN else [step for step in steps if step.state != "done"]


def _describe(event: Event, message: str) -> str:
    if event.event_type == "Materialization":
        size = stored_size(event)
        parts = [
            f"stored with {event.handler}" if event.handler else "materialized",
            "" if size is None else format_size(size),
            format_duration(event.duration_ns or 0),
        ]
        return "  ".join(part for part in parts if part)
    if is_interruption(event):
        return "stopped"
    labels = {"StepFailure": "failed: ", "StepSkipped": "skipped: ", "StepRetry": "retrying after: "}
    return f"{labels.get(event.event_type, f'{event.event_type} ')}{message}".rstrip()


def _handler_names(step: Step) -> str:
    return ", ".join(dict.fromkeys(storing_handler(output)[0] for output in step.outputs))
