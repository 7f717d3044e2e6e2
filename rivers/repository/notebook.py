"""Progress of a run in a Jupyter notebook."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from html import escape
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from rivers.execution.run import TO_STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.execution.run import Run
    from rivers.storage import Event

PROGRESS: Final = "RIVERS_PROGRESS"
"""Variable that switches progress bars in notebooks off, if it is 0."""

_LOG: Final = logging.getLogger("rivers.execution")
_SECONDS_BETWEEN_UPDATES: Final = 0.1


class Display(Protocol):
    """Output of a cell that is replaced; `IPython.display.DisplayHandle` is one."""

    def update(self, obj: Any, *, raw: bool) -> None:
        """Replace the output by a MIME bundle."""
        ...


class ProgressBar:
    """Progress of a run: an HTML progress bar with the number of steps, or of steps and partition keys.

    Args:
        run: The run.
        display: Where it is shown.
    """

    def __init__(self, run: Run, display: Display) -> None:
        self._display = display
        self._totals = {
            step.name: len(run.keys.get(step.name) or ("",))
            for step in run.plan.steps
            if step.name not in run.finished
        }
        self._ended: dict[str, set[str | None]] = {name: set() for name in self._totals}
        self._failures = 0
        self._latest = ""
        self._shown_at = 0.0
        self._lock = Lock()

    def update(self, event: Event) -> None:
        """Apply an event, and show the progress unless it was shown a moment ago."""
        step = event.step or ""
        if step not in self._totals:
            return
        with self._lock:
            self._apply(step, event)
            if monotonic() - self._shown_at >= _SECONDS_BETWEEN_UPDATES:
                self.show()

    def show(self) -> None:
        """Show the progress."""
        self._shown_at = monotonic()
        self._display.update(self.bundle(), raw=True)

    def bundle(self) -> dict[str, str]:
        """Return the progress as HTML and as text."""
        total = sum(self._totals.values())
        ended = sum(min(len(self._ended[name]), count) for name, count in self._totals.items())
        noun = "steps" if total == len(self._totals) else "steps and partition keys"
        text = f"{ended} of {total} {noun}"
        if self._failures:
            text += f", {self._failures} failed"
        if self._latest:
            text += f" · {self._latest}"
        bar = f'<progress value="{ended}" max="{total}" style="width: 20em"></progress>'
        return {"text/html": f"{bar} {escape(text)}", "text/plain": text}

    def _apply(self, step: str, event: Event) -> None:
        if event.event_type == "StepSkipped" and (left := event.typed_metadata.get(TO_STORE)):
            self._totals[step] = int(left.raw_value())
        elif event.event_type == "StepSkipped" and event.partition_key is None:
            self._totals[step] = len(self._ended[step])
        elif event.event_type in ("Materialization", "Observation", "StepFailure", "StepSkipped"):
            self._ended[step].add(event.partition_key)
            self._failures += event.event_type == "StepFailure"
            key = "" if event.partition_key is None else f" [{event.partition_key}]"
            self._latest = f"{event.asset_key or step}{key}"


@contextmanager
def notebook_progress(run: Run) -> Iterator[None]:
    """Show the progress of a run within the block, if this process is the kernel of a notebook.

    The display of IPython is used directly: rich needs ipywidgets for the same, and warns without it.
    """
    display = _new_display()
    if display is None:
        yield
        return
    bar = ProgressBar(run, display)
    with run.storage.watching(bar.update):
        _show(bar)
        try:
            yield
        finally:
            _show(bar)


def _new_display() -> Display | None:
    """Return an empty output of the current cell; None outside notebooks, where nothing is imported."""
    if "ipykernel" not in sys.modules or os.environ.get(PROGRESS) == "0":
        return None
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if getattr(get_ipython(), "kernel", None) is None:
        return None
    handle: Display = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return handle


def _show(bar: ProgressBar) -> None:
    try:
        bar.show()
    except Exception:  # such as a closed connection to the notebook
        _LOG.warning("progress could not be shown; the run continues", exc_info=True)
