"""In-process executor, the default: steps run in order in this process; asynchronous steps overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.execution.retries import is_failure
from rivers.execution.step import run_step
from rivers.executors.base import Executor
from rivers.executors.scheduler import run_overlapping

if TYPE_CHECKING:
    from rivers.execution.run import Run


class InProcess(Executor):
    """Runs each step in the calling thread: the fastest executor, and the one that a debugger can step into.

    If any step or handler is asynchronous, these steps run on an event loop in another thread while the others go on;
    this also works when the caller is inside a running loop, such as a notebook.
    """

    def execute(self, run: Run) -> None:
        """Run the plan; see `Executor.execute`."""
        if run.plan.needs_loop or run.elsewhere:
            run_overlapping(run)
        else:
            _run_in_order(run)


def _run_in_order(run: Run) -> None:
    for step in run.plan.steps:
        if not run.may_start(step):
            continue
        try:
            run_step(step, run)
        except BaseException as error:
            if not is_failure(error, step):
                raise
            run.fail(step, error)
            if run.stop_at_failure:
                return
        else:
            run.finished.add(step.name)
