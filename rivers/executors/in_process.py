"""The default executor: steps run in this process, in order; asynchronous ones overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.execution.retries import is_failure
from rivers.execution.step import execute_step
from rivers.executors.base import Executor
from rivers.executors.overlapping import run_overlapping
from rivers_core.awaitables import run_sync

if TYPE_CHECKING:
    from rivers.execution.run import Run


class InProcess(Executor):
    """Runs each step in the calling thread: the fastest, and the one that a debugger can enter.

    Steps with something asynchronous in them run on an event loop of their own while the others go on, also
    when the caller is inside a running loop (a notebook).
    """

    def execute(self, run: Run) -> None:
        """Run the plan; see `Executor.execute`."""
        if run.plan.needs_loop:
            run_overlapping(run)
        else:
            run_sync(_in_order(run))


async def _in_order(run: Run) -> None:
    """Every step after the other, as one coroutine: to start one for each step would cost more than to await it."""
    for step in run.plan.steps:
        if not run.may_start(step):
            continue
        try:
            await execute_step(step, run)
        except BaseException as error:
            if not is_failure(error, step):
                raise
            run.fail(step, error)
            if run.stop_at_failure:
                return
        else:
            run.finished.add(step.name)
