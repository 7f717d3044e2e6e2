"""In-process executor, the default: steps run in order in this process; asynchronous steps overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import setting_error
from rivers.execution.fan_out import Streams, UpstreamFailedError
from rivers.execution.retries import NotRunError, is_failure
from rivers.execution.step import run_step
from rivers.executors.base import Executor
from rivers.executors.scheduler import run_overlapping

if TYPE_CHECKING:
    from rivers.execution.run import Run


class InProcess(Executor):
    """Runs each step in the calling thread: the fastest executor, and the one that a debugger can step into.

    If any step or handler is asynchronous, these steps run on an event loop in another thread while the others go on;
    this also works when the caller is inside a running loop, such as a notebook.

    Args:
        io_threads: Number of threads in which handlers store values while the next steps that do not need them run
            in the calling thread; 0 stores each value before the next step starts. At most `io_threads` + 1 results
            wait to be stored. A function must not change a value after it returned it.

    Raises:
        ConfigurationError: `io_threads` is not a whole number of 0 or more.

    Examples:
        >>> import rivers as rs
        >>> rs.Executor.in_process(io_threads=2)
        Executor.InProcess(io_threads=2)
    """

    io_threads: int = 0

    def __init__(self, *, io_threads: int = 0) -> None:
        if type(io_threads) is not int or io_threads < 0:
            raise setting_error(io_threads, int)(
                f"Executor.in_process: io_threads must be a whole number, 0 or more, got {io_threads!r}."
            )
        if io_threads:
            self.io_threads = io_threads

    def execute(self, run: Run) -> None:
        """Run the plan; see `Executor.execute`."""
        if self.io_threads or run.plan.needs_loop or run.elsewhere:
            run_overlapping(run, io_threads=self.io_threads)
        else:
            _run_in_order(run)


def _run_in_order(run: Run) -> None:
    streams = run.streams = Streams.of(run)
    for step in run.plan.steps if streams is None else streams.in_order():
        if not run.may_start(step):
            continue
        try:
            run_step(step, run)
        except NotRunError:
            continue
        except UpstreamFailedError as lost:
            run.give_up(step, str(lost))
        except BaseException as error:
            if not is_failure(error, step):
                raise
            run.fail(step, error)
            if run.stop_at_failure:
                return
        else:
            run.finished.add(step.name)
