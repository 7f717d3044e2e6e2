"""How far a run is, kept up to date by its events."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal

from rivers_cli.amounts import stored_bytes
from rivers_cli.handlers import kept_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.graph.plan import Step
    from rivers.storage import Event
    from rivers_cli.running.request import Prepared

State = Literal["waiting", "running", "done", "failed", "skipped", "stopped"]

TO_STORE: Final = "rivers/to_store"
"""What a step says that leaves out the partitions that are fresh: how many values it is still to store."""
_STOPS: Final = ("KeyboardInterrupt", "SystemExit", "Terminated", "CancelledError")


@dataclass(slots=True)
class Line:
    """One step.

    Attributes:
        name: What users call it.
        handler: Who keeps its value.
        after: Names of the steps that come before it.
        expected: How many values it is to store.
        stored: How many it has stored.
        size: How many bytes that were; None if its handler does not say.
        duration_ns: How long it took so far.
        message: Why it failed or was skipped, or is tried again.
    """

    name: str
    handler: str
    after: tuple[str, ...]
    expected: int
    stored: int = 0
    size: int | None = None
    duration_ns: int = 0
    state: State = "waiting"
    message: str = ""


class Progress:
    """The steps of a run and how each is doing.

    Args:
        prepared: What is going to run.
        without_secrets: Takes credentials out of messages.
    """

    def __init__(self, prepared: Prepared, without_secrets: Callable[[str], str]) -> None:
        self._without_secrets = without_secrets
        plan = prepared.plan
        self.lines = {
            step.name: Line(step.owner, _handler(step), plan.after[step.name], prepared.expected[step.name])
            for step in plan.steps
        }
        self._in_order = _is_in_order(prepared)
        self._lock = Lock()
        self._mark_running()

    def note(self, event: Event) -> Line | None:
        """Take in what happened.

        Args:
            event: Any event of the run.

        Returns:
            The step that it is about, as it is now.
        """
        line = self.lines.get(event.step or "")
        if line is None:
            return None
        with self._lock:
            self._take(line, event)
            self._mark_running()
        return line

    def message_of(self, event: Event) -> str:
        """What an event says, without the credentials of what the run uses."""
        return self._without_secrets(event.message) if event.message else ""

    def count(self, state: State) -> int:
        """How many steps are in a state."""
        return sum(line.state == state for line in self.lines.values())

    def names(self, state: State) -> list[str]:
        """Names of the assets in a state, in the order of the plan."""
        return list(dict.fromkeys(line.name for line in self.lines.values() if line.state == state))

    def _take(self, line: Line, event: Event) -> None:
        if event.event_type == "Materialization":
            line.stored += 1
            size = stored_bytes(event)
            line.size = line.size if size is None else (line.size or 0) + size
            line.duration_ns = max(line.duration_ns, event.duration_ns or 0)
            line.state, line.message = ("done" if line.stored >= line.expected else "running"), ""
        elif event.event_type == "StepFailure":
            line.state, line.message = (
                ("stopped", "") if is_stop(event) else ("failed", self.message_of(event))
            )
        elif event.event_type == "StepSkipped" and (left := event.typed_metadata.get(TO_STORE)) is not None:
            line.expected = int(left.raw_value())
        elif event.event_type == "StepSkipped":
            line.state, line.message = "skipped", self.message_of(event)
        elif event.event_type == "StepRetry":
            line.message = f"again after: {self.message_of(event)}"

    def _mark_running(self) -> None:
        """No event tells that a step starts: it does when those before it are over, if it is its turn."""
        for line in self.lines.values():
            if line.state == "waiting" and all(self._is_over(name) for name in line.after):
                line.state = "running"
            if line.state == "running" and self._in_order:
                return

    def _is_over(self, name: str) -> bool:
        return self.lines[name].state in ("done", "failed", "skipped", "stopped")


def is_stop(event: Event) -> bool:
    """Whether a step failed only because somebody stopped the run."""
    return (event.message or "").partition(":")[0] in _STOPS


def _handler(step: Step) -> str:
    return ", ".join(dict.fromkeys(kept_by(output)[0] for output in step.outputs))


def _is_in_order(prepared: Prepared) -> bool:
    """Whether steps run one at a time, in the order of the plan."""
    return not prepared.plan.needs_loop and (
        prepared.executor is None or prepared.executor.reach == "process"
    )
