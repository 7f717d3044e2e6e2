"""Executor that runs steps in worker processes of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import setting_error
from rivers.executors import Executor, run_overlapping
from rivers_parallel.pool import WorkerPool, available_cpus

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import Step


class Parallel(Executor):
    """Runs synchronous steps in worker processes of this machine, and asynchronous ones on an event loop meanwhile.

    Workers are started on first use, once per repository, and reused until `shutdown()`. A step starts as soon as its
    inputs are stored. It loads them and stores its outputs in the worker; no value passes through this process. Steps
    whose handler keeps values in this process run here, with one warning that names them.

    Args:
        max_workers: Number of worker processes; None for the number of CPUs that this process may use (affinity and
            cgroup limits count).
        max_async_concurrent: Number of asynchronous steps that may run at once; None for no limit.

    Raises:
        ConfigurationError: An argument is not a positive whole number.

    Examples:
        >>> import rivers as rs
        >>> rs.Executor.parallel(max_workers=2)
        Executor.Parallel(max_workers=2)
    """

    reach = "host"
    keeps_process_local = True

    def __init__(self, max_workers: int | None = None, max_async_concurrent: int | None = None) -> None:
        self.max_workers = _positive("max_workers", max_workers)
        self.max_async_concurrent = _positive("max_async_concurrent", max_async_concurrent)

    def keeps(self, step: Step) -> bool:
        """Return whether the function of a step is asynchronous: it runs on the event loop of this process."""
        return step.is_async

    def execute(self, run: Run) -> None:
        """Run the plan; see `Executor.execute`."""
        run_overlapping(run, self.max_async_concurrent)

    def connect(self) -> WorkerPool:
        """Return a pool of workers, which are started when they are needed."""
        return WorkerPool(self.max_workers or available_cpus())


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise setting_error(value, int)(
            f"Executor.parallel: {name} must be a whole number, 1 or more, got {value!r}."
        )
    return value
