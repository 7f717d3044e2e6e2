"""Execute one step: load its inputs, call its function, store its outputs, record events."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter_ns
from types import CoroutineType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
from rivers.definitions.error_text import error_text
from rivers.definitions.hook import HookContext
from rivers.definitions.results import Output, PartitionedOutput, Result
from rivers.execution.fan_out import UpstreamFailedError, finish_streams, load_collected, map_elements
from rivers.execution.handler_calls import without_secrets
from rivers.execution.inputs import load_input, load_own_value, load_plain, versions_to_replace
from rivers.execution.lineage import awaited_versions
from rivers.execution.outputs import FirstWrite, LostUpdateError, Storing, WriteFailedError, store_plain
from rivers.execution.redaction import redact_error
from rivers.execution.results import closed, named_results
from rivers.execution.retries import NotRunError, is_failure, may_rerun, may_retry, record_failure
from rivers.execution.run import CANCELED
from rivers.execution.step_logs import StepLogs, keeping_records
from rivers.execution.time_limit import TimeLimit
from rivers_core.awaitables import await_result, resolve_awaitable, run_sync
from rivers_core.contexts import InputContext
from rivers_core.exceptions import OneShotValueError
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from rivers.definitions.hook import Hook, HookType
    from rivers.execution.outputs import Expected
    from rivers.execution.run import Run
    from rivers.graph.plan import Step, StoredOutput
    from rivers.storage import Event
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionKey

    Stored = tuple[StoredOutput, Any, Mapping[str, MetadataValue] | None]
    Call = Callable[[Step, Run, Sequence[PartitionKey] | None], Coroutine[Any, Any, None]]

_LOG = logging.getLogger("rivers.execution")

_STORED_ELSEWHERE: Final = object()
"""Stands for the value of an output that an earlier attempt stored in another process."""


def execute_step(step: Step, run: Run, call: Call | None = None) -> Coroutine[Any, Any, None]:
    """Execute one step: once, or once per partition key unless one call of its function handles several.

    This is the only code that runs steps, under every executor. The coroutine never suspends unless the step
    `needs_loop`, runs elsewhere or stores in `run.write_threads`, so that `run_sync` can run it without an event loop.

    Args:
        step: The bound step.
        run: The run of the step, which records its events.
        call: Executes one call of the step elsewhere; None executes it here, with `execute_call`. Calls elsewhere
            overlap, unless keys of the step depend on each other.

    Raises:
        Exception: The error of the last attempt, after its event was recorded and failure hooks were called. The
            same applies to a `CancelledError` that the step raised itself. Of several keys that failed, the error of
            the first one.
    """
    # not a coroutine function: a coroutine around that of most steps would only cost time
    keys = run.keys.get(step.name)
    if step.fan_out is not None:
        mapped = partial(execute_mapped, call=call)
        return mapped(step, run, keys) if keys is None else _execute_each(step, run, keys, mapped)
    if keys is None or step.partition_batches or (len(keys) == 1 and step.name not in run.narrowed):
        return (call or _own_call(run))(step, run, keys)
    if call is None or any(step.needs_of(step.name)):
        return _execute_each(step, run, keys, call or _own_call(run))
    return _execute_overlapping(step, run, keys, call)


def _own_call(run: Run) -> Call:
    """Return the function that executes one call of a step in this process."""
    return execute_call if run.write_threads is None else _execute_unless_closing


async def _execute_unless_closing(step: Step, run: Run, keys: Sequence[PartitionKey] | None) -> None:
    assert run.write_threads is not None
    run.write_threads.check_open()
    await execute_call(step, run, keys)


async def _execute_overlapping(step: Step, run: Run, keys: Sequence[PartitionKey], call: Call) -> None:
    """Execute a step for all its keys at once; `call` limits how many run and refuses those that must not start."""
    failed = run.failed_keys.setdefault(step.name, {})
    run.history_of(step)  # lookups that are equal for all keys
    try:
        ended = await asyncio.gather(*(call(step, run, (key,)) for key in keys), return_exceptions=True)
    finally:
        run.drop_history(step)
    errors = {key: error for key, error in zip(keys, ended, strict=True) if error is not None}
    failed.update((key, error) for key, error in errors.items() if is_failure(error, step))
    for error in (*failed.values(), *errors.values()):
        raise error


async def _execute_each(step: Step, run: Run, keys: Sequence[PartitionKey], call: Call) -> None:
    """Execute a step for one key after the other; if one fails, the others go on unless the run stops at failures.

    The order is that of the definition, and a key that needs the value of an earlier one sees it. If that failed, the
    key is skipped: it would continue from an older value.
    """
    failed = run.failed_keys.setdefault(step.name, {})
    skipped: dict[PartitionKey | None, str] = {}
    run.history_of(step)  # lookups that are equal for all keys
    try:
        for key in keys:
            if run.is_canceled:
                skipped[key] = CANCELED
                continue
            lost = run.lost_input(step, key, step.name, (*failed, *skipped)) if failed else None
            if lost is not None:
                skipped[key] = f"not run, since its partition {lost} failed"
                run.record("StepSkipped", step, keys=(key,), message=skipped[key])
                continue
            if run.notes:  # those of the inputs of this key, not of the keys before it
                run.notes.pop(step.owner, None)
            try:
                await call(step, run, (key,))
            except NotRunError:
                if not run.is_canceled:
                    raise
                skipped[key] = CANCELED
            except UpstreamFailedError as lost_stream:
                skipped[key] = f"{lost_stream} for {key}"
                run.record("StepSkipped", step, keys=(key,), message=skipped[key])
            except BaseException as error:
                failed[key] = error
                if run.stop_at_failure or not is_failure(error, step):
                    raise
    finally:
        run.drop_history(step)
    if skipped:
        run.leave_out(step, skipped)
    if failed:
        raise next(iter(failed.values()))


async def execute_mapped(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, call: Call | None = None
) -> None:
    """Execute one call of a mapped step: one call per element of its source; see `execute_step`."""
    overlaps = step.needs_loop or call is not None
    run.begin_call(step, keys, 1)
    try:
        await map_elements(step, run, keys, call or _own_call(run), overlaps=overlaps)
    except BaseException as error:
        if is_failure(error, step):
            report_failure(step, run, keys, error, attempt=1)
        raise
    finally:
        run.end_call(step, keys)


def run_step(step: Step, run: Run) -> None:
    """Execute a step without anything asynchronous to its end, in the calling thread; see `execute_step`.

    Most steps are plain (see `Step.is_plain`). They run here without a coroutine per call, which would take a third of
    the time of a small step. Every other case continues in `execute_call`.
    """
    if not step.is_plain or not run.allows_plain:
        run_sync(execute_step(step, run))
        return
    started = run.running[step.name] = perf_counter_ns()
    versions: list[tuple[str, str]] = []
    arguments: dict[str, Any] = dict(step.constants) if step.constants else {}
    output = step.outputs[0]
    failure: BaseException | None = None
    write: FirstWrite | None = None
    returned: Any = None
    try:
        for loaded in step.inputs:
            arguments[loaded.parameter] = load_plain(loaded, step, run, versions)
        try:
            returned = step.function(**arguments)
        except StopIteration as stop:
            raise _out_of_items(step) from stop
        accepted = output.accepted
        kind = type(returned)
        if (
            (accepted is None or kind in accepted)
            and kind is not CoroutineType
            and not isinstance(returned, Result)
        ):
            write = store_plain(output, returned, step, run, versions, started)
            if write is None:
                del run.running[step.name]
                return
    except BaseException as error:
        failure = error
    run.begin_call(step, None, 1, started_ns=started)
    del run.running[step.name]
    storing = Storing(step, run, None, None, versions, 1, started)
    run_sync(execute_call(step, run, None, begun=_continued(output, returned, storing, write, failure)))


async def _continued(
    output: StoredOutput,
    returned: Any,
    storing: Storing,
    write: FirstWrite | None,
    failure: BaseException | None,
) -> None:
    """Continue the first attempt of a plain step: raise its error, or store its result."""
    if failure is not None:
        raise failure
    if write is not None:
        await storing.finish(output, returned, write)
    else:
        await storing.store(
            output, resolve_awaitable(returned) if type(returned) is CoroutineType else returned
        )


async def execute_call(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    attempt: int | None = None,
    begun: Coroutine[Any, Any, None] | None = None,
    earlier: Sequence[Event] = (),
) -> None:
    """Execute one call of a step, with the retries that its policy allows.

    A step that continues its own stored value also runs again if another process replaced that value in the meantime.

    Args:
        step: The bound step.
        run: The run of the step.
        keys: The partition keys of this call; None without partitions.
        attempt: Number of the first attempt; None continues after those of an earlier part of a resumed run.
        begun: The rest of the first attempt, if it has begun already.
        earlier: Events of outputs that earlier attempts of this call stored or observed in other processes.

    Raises:
        RetryElsewhere: The run leaves retries to another process, and the policy allows another attempt.
        BaseException: See `execute_step`.
    """
    conflicts = 0
    stored = stored_elsewhere(step, earlier) if earlier else {}
    limit = run.timeout if step.timeout is None else step.timeout  # as `time_limit`, without its call
    if attempt is None:
        attempt = 1 + len(run.spent_by(step, keys))
    while True:
        try:
            if begun is not None:
                first, begun = begun, None
                await first
            elif limit is None:
                await _attempt(step, run, keys, attempt + conflicts, stored)
            else:
                await _attempt_in_time(step, run, keys, attempt + conflicts, stored, limit)
            break
        except LostUpdateError as failure:
            conflicts += 1
            if await may_rerun(step, run, keys, failure.error, conflicts):
                continue
            report_failure(step, run, keys, failure.error, attempt + conflicts - 1, stored)
            raise failure.error from failure.error.__cause__
        except WriteFailedError as failure:
            report_failure(step, run, keys, failure.error, attempt, stored)
            raise failure.error from failure.error.__cause__
        except BaseException as error:
            if not is_failure(error, step):
                _abandon(step, run, keys, error, attempt)
                raise
            reason = error.__cause__ if isinstance(error, OneShotValueError) else None
            if await may_retry(step, run, keys, reason or error, attempt):
                attempt += 1
                continue
            report_failure(step, run, keys, error, attempt, stored)
            raise
    run.end_call(step, keys)
    if step.success_hooks:
        _call_success_hooks(step, run, keys, stored)


def _abandon(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, error: BaseException, attempt: int
) -> None:
    """End a call that did not fail; an interrupt ends the run, and its events show at which step."""
    if isinstance(error, (UpstreamFailedError, NotRunError)):
        run.end_call(step, keys)
    else:
        record_failure(step, run, keys, error, attempt)


async def _attempt_in_time(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    attempt: int,
    stored: dict[str, Stored],
    seconds: float,
) -> None:
    """Run the function once, within a time limit."""
    limit = TimeLimit(step, seconds)
    try:
        limit.start()
        await _attempt(step, run, keys, attempt, stored, limit)
    except asyncio.CancelledError as error:
        if limit.is_cancellation(error):
            raise limit.error() from None
        raise
    finally:
        limit.stop()


async def _attempt(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    attempt: int,
    stored: dict[str, Stored],
    limit: TimeLimit | None = None,
) -> None:
    """Run the function once; add each stored output with the result and the recorded metadata, for hooks."""
    if run.is_canceled:
        raise NotRunError
    run.begin_call(step, keys, attempt)
    if step.context_parameter is None:
        await _attempt_logged(step, run, keys, attempt, stored, limit, None)
        return
    context = _context(step, run, keys)
    with keeping_records(context.log.name, StepLogs(step, run, keys, attempt)):
        await _attempt_logged(step, run, keys, attempt, stored, limit, context)


async def _attempt_logged(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    attempt: int,
    stored: dict[str, Stored],
    limit: TimeLimit | None,
    context: AssetExecutionContext[Any] | TaskExecutionContext[Any] | None,
) -> None:
    started = perf_counter_ns()
    versions: list[tuple[str, str]] = []
    arguments: dict[str, Any] = dict(step.constants)
    if step.context_parameter is not None:
        arguments[step.context_parameter] = context
    expected = await versions_to_replace(step, run, keys) if step.is_guarded else None
    for loaded in step.inputs:
        arguments[loaded.parameter] = await load_input(loaded, step, run, keys, versions)
    if step.own_value is not None or step.resources or step.collected:
        expected = {**(expected or {}), **await _load_other_arguments(step, run, keys, arguments)}
    if step.needs_loop:
        returned = await _called(step, run, arguments)
    else:
        try:
            returned = step.function(**arguments)
        except StopIteration as stop:
            raise _out_of_items(step) from stop
        # a plain function may return the coroutine of an asynchronous one; only this test costs next to nothing
        if type(returned) is CoroutineType:
            returned = resolve_awaitable(returned)
    if limit is not None:
        limit.stop()
        limit.check()
    if step.awaited:
        versions += await _awaited_versions(step, run, keys)
    storing = Storing(step, run, keys, context, versions, attempt, started, expected)
    if step.is_multi:
        await _store_each(step, run, returned, storing, stored, limit)
        return
    for output in step.outputs:
        await storing.store(output, returned)
    if step.success_hooks:
        output = step.outputs[-1]
        stored[output.name] = (output, returned, storing.recorded_metadata)


async def _awaited_versions(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None
) -> list[tuple[str, str]]:
    """Return the versions of inputs that are not loaded, once the mapped steps that are read have ended."""
    if step.collected:
        await finish_streams(step, run, keys, _own_call(run))
    return awaited_versions(step, keys or (), run.history_of(step))


async def _load_other_arguments(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, arguments: dict[str, Any]
) -> Expected:
    """Add arguments other than inputs; return the versions of the step's own values that the next ones replace."""
    expected: Expected = {}
    if step.own_value is not None:
        own, loaded = step.own_value, dict[str | None, str]()
        arguments[own.parameter] = await load_own_value(own, step, run, keys, loaded)
        if own.is_conditional:
            expected = {(own.loaded.upstream.name, key): version for key, version in loaded.items()}
    for parameter, name in step.resources:
        arguments[parameter] = run.resources[name]
    for collected in step.collected:
        arguments[collected.parameter] = await load_collected(collected, step, run, keys, _own_call(run))
    return expected


async def _store_each(
    step: Step,
    run: Run,
    returned: Any,
    storing: Storing,
    stored: dict[str, Stored],
    limit: TimeLimit | None,
) -> None:
    try:
        async for output, result in named_results(step, run.plan.outputs_of(step), returned):
            if limit is not None:  # the function of a generator goes on between two results
                limit.check()
            await storing.store(output, result)
            if step.success_hooks:  # else the values need not stay in memory
                stored[output.name] = (output, result, storing.recorded_metadata)
    finally:
        await closed(returned)


async def _called(step: Step, run: Run, arguments: dict[str, Any]) -> Any:
    """Result of the function on an event loop, called in a thread if it might block the loop."""
    if step.is_async:
        returned = step.function(**arguments)
    elif run.streams is not None and run.streams.early_for(step):
        # waits for instances, which may need the threads of the loop
        threads = ThreadPoolExecutor(1, thread_name_prefix="rivers-collector")
        in_context = partial(contextvars.copy_context().run, partial(_blocking, step, arguments))
        try:
            loop = asyncio.get_running_loop()
            returned = await loop.run_in_executor(threads, in_context)
        except asyncio.CancelledError:
            run.streams.close_all()
            raise
        finally:
            threads.shutdown(wait=False)
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


def _context(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None
) -> AssetExecutionContext[Any] | TaskExecutionContext[Any]:
    partition = None if keys is None else PartitionContext(keys, step.partitions_def)
    config = run.configs.get(step.name)
    if step.context_is_task:
        return TaskExecutionContext(step.name, step.definition.tags, partition, config, run.run_id)
    output = step.outputs[0]
    return AssetExecutionContext(
        step.name,
        step.definition.tags,
        output.kinds,
        output.group,
        output.code_version,
        dict(output.metadata) or None,
        partition,
        step.is_multi,
        [wanted.name for wanted in run.plan.outputs_of(step)] if step.is_multi else (),
        config,
        run.run_id,
    )


def report_failure(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    error: BaseException,
    attempt: int,
    stored: Mapping[str, Stored] = MappingProxyType({}),
) -> None:
    """Record that the last attempt of a call failed, and call the hooks of its outputs.

    A multi-asset that fails half way has stored some of its outputs, which other steps may use: their success hooks
    are called, and the failure hooks once for each output that is missing, or for the asset if none is.

    Args:
        step: The step.
        run: Its run.
        keys: The partition keys of the call.
        error: The exception.
        attempt: Number of the failed attempt.
        stored: What its attempts have stored of a multi-asset; see also `stored_elsewhere`.
    """
    record_failure(step, run, keys, error, attempt)
    run.end_call(step, keys)
    if step.success_hooks:
        _call_success_hooks(step, run, keys, stored)
    if step.failure_hooks:
        affected: Sequence[StoredOutput | None] = (
            (run.missing_outputs(step, keys) or [None]) if step.is_multi else step.outputs[-1:]
        )
        for output in affected:
            context = _hook_context(step, run, keys, "failure", output)
            context.error = run.without_secrets(error_text(error))
            context.exception = redact_error(error, run.without_secrets)
            _call_hooks(step.failure_hooks, context, run)


def stored_elsewhere(step: Step, events: Sequence[Event]) -> dict[str, Stored]:
    """Return the outputs that attempts in other processes stored; success hooks get the value that is loaded again.

    Args:
        step: The step.
        events: Materializations and observations of its outputs, in the order of recording.
    """
    outputs = {output.name: output for output in step.outputs}
    return {
        event.asset_key: (outputs[event.asset_key], _STORED_ELSEWHERE, event.typed_metadata or None)
        for event in events
        if event.asset_key in outputs
    }


def _load_stored(output: StoredOutput, step: Step, run: Run, keys: Sequence[PartitionKey] | None) -> Any:
    """Load what an earlier attempt stored: a value per key of a batch; None if it stored elsewhere than its handler."""
    if (
        output.binding is None
        or run.latest[output.name, None if keys is None else str(keys[0])].handler is None
    ):
        return None
    handler = output.binding.handler

    def load(key: PartitionKey | None) -> Any:
        partition = None if key is None else PartitionContext([key], output.partitions_def)
        context = InputContext(
            output.name, step.owner, output.metadata, partition, output.type_hint, run_id=run.run_id
        )
        return without_secrets(handler, lambda: resolve_awaitable(handler.load_input(context)))

    if keys is None or not step.partition_batches:
        return load(None if keys is None else keys[0])
    return PartitionedOutput({key: load(key) for key in keys})


def _call_success_hooks(
    step: Step, run: Run, keys: Sequence[PartitionKey] | None, stored: Mapping[str, Stored]
) -> None:
    for output, value, metadata in stored.values():
        context = _hook_context(step, run, keys, "success", output)
        if value is _STORED_ELSEWHERE:
            try:
                value = _load_stored(output, step, run, keys)
            except (
                Exception
            ) as error:  # the hook reports that the value was stored, which is true all the same
                _LOG.warning(
                    "the success hooks of %r get no value: it could not be loaded: %s", output.name, error
                )
                value = None
        context.output = value.value if isinstance(value, Output) else value
        context.output_metadata = metadata
        _call_hooks(step.success_hooks, context, run)


def _hook_context(
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey] | None,
    hook_type: HookType,
    output: StoredOutput | None,
) -> HookContext[Any]:
    name = output.name if step.is_multi and output is not None else step.owner
    metadata = None if output is None else output.metadata or None
    config = run.configs.get(step.name)
    context: HookContext[Any] = HookContext(name, run.run_id, hook_type, metadata=metadata, config=config)
    if keys is not None:
        context.partition = PartitionContext(keys, step.partitions_def)
    return context


def _call_hooks(hooks: tuple[Hook, ...], context: HookContext[Any], run: Run) -> None:
    for hook in hooks:
        try:
            resolve_awaitable(hook.function(context))
        except (Exception, asyncio.CancelledError) as error:
            _LOG.error(
                "hook %r of asset %r raised; the step is not affected",
                hook.name,
                context.asset_name,
                exc_info=redact_error(error, run.without_secrets),
            )
