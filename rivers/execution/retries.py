"""Decide whether a failed step is retried, and wait before the next attempt."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rivers.definitions.error_text import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import Step
    from rivers_core.partitions import PartitionKey


def is_failure(error: BaseException, step: Step) -> bool:
    """Return whether an error fails its step, which may be retried; any other exception ends the run.

    A cancellation is a failure of the step unless the event loop cancels the task that runs it.

    Args:
        error: The exception.
        step: The step.
    """
    if not isinstance(error, asyncio.CancelledError):
        return isinstance(error, Exception)
    task = asyncio.current_task() if step.needs_loop else None
    return task is None or not task.cancelling()


async def may_retry(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    error: BaseException,
    attempt: int,
    asset: str | None = None,
) -> bool:
    """Apply the retry policy of a step to a failure; record a retry and wait for the delay of the policy.

    Args:
        step: The step that failed.
        run: The run; its policy applies to steps without one.
        keys: The partition keys of the failed call.
        error: The exception.
        attempt: Number of the failed attempt, from 1.
        asset: The output whose write failed, None if the function failed.

    Returns:
        Whether to start another attempt now.
    """
    policy = step.retry or run.retry
    reason = policy.should_retry(error, attempt) if policy is not None else None
    if policy is None or reason is None:
        return False
    delay = policy.delay(attempt)
    what = f"writing {asset!r} failed" if asset is not None else "failed"
    message = f"{reason.name}: {what}, attempt {attempt} of {policy.max_retries + 1}: {error_text(error)}"
    run.record("StepRetry", step, keys=keys, asset=asset, attempt=attempt, message=message)
    if step.needs_loop:
        await asyncio.sleep(delay)
    elif delay:
        time.sleep(delay)
    return True
