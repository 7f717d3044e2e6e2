"""Trying again: whether, for what reason, and after what wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rivers.definitions.error_text import error_text

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import Step


def is_failure(error: BaseException, step: Step) -> bool:
    """Whether a step failed, so that it may be tried again and others go on; anything else ends the run.

    A cancellation is one unless it comes from outside, from whoever runs the step on an event loop.

    Args:
        error: What was raised.
        step: The step.
    """
    if not isinstance(error, asyncio.CancelledError):
        return isinstance(error, Exception)
    task = asyncio.current_task() if step.needs_loop else None
    return task is None or not task.cancelling()


async def may_retry(
    step: Step, run: Run, error: BaseException, attempt: int, asset: str | None = None
) -> bool:
    """Ask the policy of a step about a failure; if it allows another attempt, record that and wait as it says.

    Args:
        step: The step that failed.
        run: The run; its policy counts for steps that have none.
        error: What was raised.
        attempt: The attempt that failed, from 1.
        asset: The output that could not be written, if it was that.

    Returns:
        Whether to try again, now.
    """
    policy = step.retry or run.retry
    reason = policy.should_retry(error, attempt) if policy is not None else None
    if policy is None or reason is None:
        return False
    delay = policy.delay(attempt)
    what = f"writing {asset!r} failed" if asset is not None else "failed"
    message = f"{reason.name}: {what}, attempt {attempt} of {policy.max_retries + 1}: {error_text(error)}"
    run.record("StepRetry", step, asset=asset, attempt=attempt, message=message)
    if step.needs_loop:
        await asyncio.sleep(delay)
    elif delay:
        time.sleep(delay)
    return True
