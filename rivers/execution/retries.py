"""Decide whether a failed step is retried, and wait before the next attempt."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

from rivers.definitions.error_text import error_text
from rivers.definitions.retry import FailureReason, classify
from rivers_core.metadata import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import Step
    from rivers_core.partitions import PartitionKey

MAX_UPDATES: Final = 10
"""Attempts of a step that continues its own stored value, while other processes replace that value."""

CANCELLATION_SECONDS: Final = 0.1
"""A waiting coroutine notices after this time that its run was canceled."""

CONFLICT: Final = "CONFLICT"
"""Begins the message of a retry that another writer caused, which uses up no attempt of the retry policy."""

_MAX_UPDATE_PAUSE_S: Final = 0.25


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


class NotRunError(BaseException):
    """A call was not started, or was abandoned, because the run ends; not a failure of its step."""


class RetryElsewhere(Exception):  # noqa: N818 not an error
    """A failed attempt may be repeated, by the process that asked for it.

    Args:
        delay: Seconds to wait before the next attempt.
        error: Why the attempt failed.
    """

    def __init__(self, delay: float, error: BaseException) -> None:
        super().__init__(delay)
        self.delay = delay
        self.error = error
        self.reason = classify(error)


def record_failure(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, error: BaseException, attempt: int
) -> None:
    """Record that a call of a step failed, under the name of each output that is missing.

    Args:
        step: The step that failed.
        run: The run.
        keys: The partition keys of the failed call.
        error: The exception.
        attempt: Number of the failed attempt, from 1.
    """
    classes = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    metadata = {
        "rivers/failure_reason": MetadataValue.text(classify(error).value),
        "rivers/exc_type": MetadataValue.json(classes),
    }
    message, duration_ns = error_text(error), run.duration_of(step, keys)
    for name in _affected(step, run, keys):
        run.record(
            "StepFailure",
            step,
            keys=keys,
            asset=name,
            attempt=attempt,
            message=message,
            metadata=metadata,
            duration_ns=duration_ns,
        )


def _affected(step: Step, run: Run, keys: Sequence[PartitionKey] | None) -> list[str]:
    """Return the assets and nodes whose values are missing when a call of a step fails."""
    if step.is_multi:
        return [output.name for output in run.missing_outputs(step, keys)] or [step.owner]
    return list(dict.fromkeys((step.name, step.owner)))  # the last node of a graph is also the graph


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
        Whether to start another attempt now; not if the run is canceled before the delay has passed.

    Raises:
        RetryElsewhere: The function failed, and the run leaves retries to another process.
    """
    delay = retry_delay(step, run, keys, error, attempt, asset)
    if delay is None:
        return False
    if run.retries_elsewhere and asset is None:
        raise RetryElsewhere(delay, error)
    return await _pause(step, run, delay)


def retry_delay(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    error: BaseException,
    attempt: int,
    asset: str | None = None,
) -> float | None:
    """Return the seconds before the next attempt and record the retry; None if there is none. See `may_retry`."""
    policy = step.retry or run.retry
    reason = policy.should_retry(error, attempt) if policy is not None else None
    if policy is None or reason is None or run.is_canceled:
        return None
    delay = policy.delay(attempt)
    what = f"writing {asset!r} failed" if asset is not None else "failed"
    message = f"{reason.name}: {what}, attempt {attempt} of {policy.max_retries + 1}: {error_text(error)}"
    metadata = _retry_metadata(attempt, reason, delay)
    # repeating only the write is not another attempt of the function
    duration_ns = run.duration_of(step, keys) if asset is None else None
    for name in _affected(step, run, keys) if asset is None else (asset,):
        run.record(
            "StepRetry",
            step,
            keys=keys,
            asset=name,
            attempt=attempt,
            message=message,
            metadata=metadata,
            duration_ns=duration_ns,
        )
    if asset is None:
        run.end_call(step, keys)
    return delay


async def may_rerun(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, error: BaseException, conflicts: int
) -> bool:
    """Decide whether a step runs again whose own stored value was replaced after it was loaded.

    This is not a failure of the step, and does not use up attempts of its retry policy.

    Args:
        step: The step that lost the race.
        run: The run.
        keys: The partition keys of the call.
        error: The `ConflictError` of the handler.
        conflicts: Number of lost races of this call.

    Returns:
        Whether to start another attempt now.
    """
    if conflicts >= MAX_UPDATES:
        error.add_note(f"{MAX_UPDATES} attempts lost against other writers")
        return False
    # random, so that processes that collided do not collide again
    delay = random.uniform(0, min(0.002 * 2**conflicts, _MAX_UPDATE_PAUSE_S))
    message = f"{CONFLICT}: attempt {conflicts} of {MAX_UPDATES}: {error_text(error)}"
    metadata = _retry_metadata(conflicts, FailureReason.ERROR, delay)
    run.record(
        "StepRetry",
        step,
        keys=keys,
        attempt=conflicts,
        message=message,
        metadata=metadata,
        duration_ns=run.duration_of(step, keys),
    )
    return await _pause(step, run, delay)


def _retry_metadata(attempt: int, reason: FailureReason, delay: float) -> dict[str, MetadataValue]:
    return {
        "rivers/attempt": MetadataValue.text(str(attempt)),
        "rivers/failure_reason": MetadataValue.text(reason.value),
        "rivers/next_delay_ms": MetadataValue.text(str(round(delay * 1000))),
    }


async def _pause(step: Step, run: Run, seconds: float) -> bool:
    """Wait, and return whether the run goes on."""
    if step.needs_loop:
        return await sleep_unless_canceled(run, seconds)
    if seconds:
        run.pause(seconds)
    return not run.is_canceled


async def sleep_unless_canceled(run: Run, seconds: float) -> bool:
    """Wait on the event loop, until the run is canceled at the latest; return whether it goes on."""
    end = time.monotonic() + seconds
    while not run.is_canceled and (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, CANCELLATION_SECONDS))
    return not run.is_canceled
