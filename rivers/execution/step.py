"""Execute one step: load its inputs, call its function, store its outputs, record events."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter_ns
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
from rivers.definitions.error_text import error_text
from rivers.definitions.hook import HookContext
from rivers.execution.inputs import load_input, load_own_value
from rivers.execution.lineage import History, awaited_versions
from rivers.execution.outputs import Storing, WriteFailedError
from rivers.execution.results import closed, named_results
from rivers.execution.retries import is_failure, may_retry
from rivers_core.awaitables import await_result, resolve_awaitable
from rivers_core.exceptions import OneShotValueError
from rivers_core.partitions import PartitionContext
from rivers_core.redaction import redact_error

if TYPE_CHECKING:
    from rivers.definitions.hook import Hook
    from rivers.execution.run import Run
    from rivers.graph.plan import Step

_LOG = logging.getLogger("rivers.execution")


async def execute_step(step: Step, run: Run) -> None:
    """Execute one step, with the retries that its policy allows.

    This is the only code that runs steps, under every executor. It never suspends unless the step
    `needs_loop`, so that `run_sync` can run it without an event loop.

    Args:
        step: The bound step.
        run: The run of the step, which records its events.

    Raises:
        Exception: The error of the last attempt, after its event was recorded and failure hooks were called. The
            same applies to a `CancelledError` that the step raised itself.
    """
    attempt = 1
    while True:
        try:
            value, stored = await _attempt(step, run, attempt)
            break
        except WriteFailedError as failure:
            _failed(step, run, failure.error, attempt)
            raise failure.error from failure.error.__cause__
        except BaseException as error:
            if not is_failure(error, step):  # an interrupt ends the run: its events show at which step
                run.record("StepFailure", step, attempt=attempt, message=error_text(error))
                raise
            reason = error.__cause__ if isinstance(error, OneShotValueError) else None
            if await may_retry(step, run, reason or error, attempt):
                attempt += 1
                continue
            _failed(step, run, error, attempt)
            raise
    if step.success_hooks:
        _call_hooks(step.success_hooks, _hook_context(step, run, "success", value, None, stored), run)


async def _attempt(step: Step, run: Run, attempt: int) -> tuple[Any, Storing]:
    started = perf_counter_ns()
    versions: list[tuple[str, str]] = []
    arguments: dict[str, Any] = dict(step.constants)
    context = None
    if step.context_parameter is not None:
        context = arguments[step.context_parameter] = _context(step, run)
    for loaded in step.inputs:
        arguments[loaded.parameter] = await load_input(loaded, step, run, versions)
    if step.own_value is not None:
        arguments[step.own_value.parameter] = await load_own_value(step.own_value, step, run)
    for parameter, name in step.resources:
        arguments[parameter] = run.resources[name]
    if step.needs_loop:
        returned = await _called(step, arguments)
    else:
        try:
            returned = step.function(**arguments)
        except StopIteration as stop:
            raise _out_of_items(step) from stop
        # a plain function may return the coroutine of an asynchronous one; only this test costs next to nothing
        if type(returned) is CoroutineType:
            returned = resolve_awaitable(returned)
    if step.awaited:
        versions += awaited_versions(step, run.keys.get(step.name, ()), History(run.storage, run.latest))
    storing = Storing(step, run, context, versions, attempt, started)
    if step.is_multi:
        try:
            async for output, result in named_results(step, run.plan.outputs_of(step), returned):
                await storing.store(output, result)
        finally:
            await closed(returned)
    else:
        for output in step.outputs:
            await storing.store(output, returned)
    return returned, storing


async def _called(step: Step, arguments: dict[str, Any]) -> Any:
    """What the function gives on an event loop; in a thread if it might block that."""
    if step.is_async:
        returned = step.function(**arguments)
    else:
        returned = await asyncio.to_thread(_blocking, step, arguments)
    return await await_result(returned)


def _blocking(step: Step, arguments: dict[str, Any]) -> Any:
    try:
        return step.function(**arguments)
    except StopIteration as stop:
        raise _out_of_items(step) from stop


def _out_of_items(step: Step) -> RuntimeError:
    """Return a replacement for StopIteration, which neither a coroutine nor a future can raise."""
    return RuntimeError(f"StopIteration left the function of {step.name!r}: next() found nothing more")


def _context(step: Step, run: Run) -> AssetExecutionContext[Any] | TaskExecutionContext[Any]:
    keys = run.keys.get(step.name)
    partition = None if keys is None else PartitionContext(keys, step.partitions_def)
    config = run.configs.get(step.name)
    if step.context_is_task:
        return TaskExecutionContext(step.name, step.outputs[0].tags, partition, config, run.run_id)
    output = step.outputs[0]
    return AssetExecutionContext(
        step.name,
        list(step.definition.tags or ()),
        list(output.kinds),
        output.group,
        output.code_version,
        dict(output.metadata),
        partition,
        step.is_multi,
        [wanted.name for wanted in run.plan.outputs_of(step)],
        config,
        run.run_id,
    )


def _failed(step: Step, run: Run, error: BaseException, attempt: int) -> None:
    run.record("StepFailure", step, attempt=attempt, message=error_text(error))
    if step.failure_hooks:
        _call_hooks(step.failure_hooks, _hook_context(step, run, "failure", None, error, None), run)


def _hook_context(
    step: Step, run: Run, hook_type: Any, output: Any, error: BaseException | None, storing: Storing | None
) -> HookContext:
    metadata = storing.recorded_metadata if storing is not None else None
    return HookContext(step.owner, run.run_id, hook_type, output, error, metadata)


def _call_hooks(hooks: tuple[Hook, ...], context: HookContext, run: Run) -> None:
    for hook in hooks:
        try:
            resolve_awaitable(hook(context))
        except (Exception, asyncio.CancelledError) as error:
            _LOG.error(
                "hook %r of asset %r raised; the step is not affected",
                hook.name,
                context.asset_name,
                exc_info=redact_error(error, run.without_secrets),
            )
