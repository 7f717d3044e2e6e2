"""Channel to the processes that run steps, implemented by executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from rivers.definitions.retry import FailureReason
from rivers.exceptions import ExecutionError

if TYPE_CHECKING:
    from rivers.definitions.retry import Compute
    from rivers.execution.run import Run
    from rivers.executors.remote.messages import StepRequest


class LostStepError(ExecutionError):
    """The process that ran a step ended, or cannot be reached, before it reported.

    Args:
        message: Which process it was, and how it ended.
        reason: `INFRASTRUCTURE`, or `OUT_OF_MEMORY` where that is known, or `TIMEOUT` if it was ended for that.
    """

    def __init__(self, message: str, reason: FailureReason = FailureReason.INFRASTRUCTURE) -> None:
        super().__init__(message)
        self.failure_reason = reason


class Channel(ABC):
    """Processes that run the steps of one repository; opened on first use and closed by `shutdown()`.

    Attributes:
        max_concurrent: Number of requests that may be sent at once; None for no limit.
        finishes_running: Whether a canceled run lets running steps finish; otherwise it interrupts them at once.
        limits_time: Whether a request's time limit counts from the start of its step, and `send` or the process that
            runs it enforces the limit; otherwise `send` is cancelled after that time.
        reports_start: Whether it calls `StepRequest.started`; until then a step is not shown as running.
        default_compute: Machine resources of steps that declare none, from which a retry may escalate.
    """

    max_concurrent: int | None = None
    limits_time: ClassVar[bool] = False
    reports_start: ClassVar[bool] = False
    finishes_running: ClassVar[bool] = True
    default_compute: Compute | None = None

    def open_run(self, run: Run) -> None:
        """Prepare for the requests of a run, before its first step.

        Args:
            run: The run.

        Raises:
            RiversError: No request can be sent; the run ends without a step.
        """
        return

    def close_run(self, run: Run) -> None:
        """Release what the requests of a run needed, after its end was recorded, however it ended."""
        return

    @abstractmethod
    async def send(self, request: StepRequest) -> bytes:
        """Run one attempt of a step elsewhere and return its encoded report.

        The process that receives the request calls `rivers.executors.remote.worker.run_request`. Cancelling this
        coroutine ends the step, if that is possible.

        Args:
            request: The request; only `encoded` has to be sent, the other fields describe it.

        Raises:
            LostStepError: The process ended before it reported.
            RiversError: The request cannot be sent: no process can be reached, or code is missing there.
        """

    def withdraw(self, run_id: str) -> None:
        """Take back the requests of a run whose steps have not started elsewhere, since the run ends early.

        Their `send` raises `NotRunError`. A channel that queues nothing does not override this.

        Args:
            run_id: Identifier of the run.
        """
        return

    def interrupt(self) -> None:
        """End all running steps at once, from any thread: their `send` raises `LostStepError`."""
        return

    @abstractmethod
    def close(self) -> None:
        """Tear down resources in the processes and end them."""
