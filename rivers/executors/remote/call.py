"""The coordinator's side of a call: send one attempt after the other, and record the reports."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rivers.definitions.retry import Compute, FailureReason
from rivers.exceptions import ExecutionError
from rivers.execution.keys import dynamic_keys
from rivers.execution.lineage import needed_keys
from rivers.execution.retries import NotRunError, retry_delay, sleep_unless_canceled
from rivers.execution.run import key_text
from rivers.execution.step import report_failure, stored_elsewhere
from rivers.execution.time_limit import time_limit
from rivers.executors.remote.bundle import dumps
from rivers.executors.remote.channel import LostStepError
from rivers.executors.remote.errors import unpack_error
from rivers.executors.remote.messages import RunTerms, StepOrder, StepReport, StepRequest
from rivers.executors.remote.records import current_levels, handle_again
from rivers.graph.plan import LoadedInput
from rivers.storage.events import MATERIALIZATION, OBSERVATION
from rivers.storage.records import LogRecord
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.execution.run import Run
    from rivers.executors.remote.bundle import Bundle
    from rivers.executors.remote.channel import Channel
    from rivers.executors.remote.messages import HandlerCall
    from rivers.graph.plan import Awaited, Step
    from rivers.storage import Event
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionKey

_LOG = logging.getLogger("rivers.run")
_DONE = (MATERIALIZATION, OBSERVATION)
_WATCHED = ("output_stored", "input_loaded", "io_failed")


@dataclass(slots=True)
class Ending:
    """State of the early end of a run, shared by its calls on all channels.

    Attributes:
        starts_nothing: Whether no further call may start.
    """

    starts_nothing: bool = False


class RemoteCalls:
    """Calls of one run that are sent to one channel.

    Args:
        run: The run.
        channel: The channel.
        bundle: The pickled steps.
        ending: Whether the run ends early.
        place: Name of the executor, which running steps show until the channel reports where they run.
    """

    def __init__(self, run: Run, channel: Channel, bundle: Bundle, ending: Ending, place: str) -> None:
        self._run = run
        self._channel = channel
        self._bundle = bundle
        self._ending = ending
        self._place = place
        self._open: set[tuple[str, str | None]] = set()
        self._is_interrupted = False
        self._is_withdrawn = False
        self.finishes_running = channel.finishes_running
        limit = channel.max_concurrent
        self._slots = asyncio.Semaphore(limit) if limit is not None else None
        self._terms = dumps(
            RunTerms(
                run.tags,
                run.retry,
                run.stop_at_failure,
                run.timeout,
                current_levels(),
                frozenset(name for name in _WATCHED if getattr(run.observers, name)),
            )
        )

    async def execute(self, step: Step, run: Run, keys: Sequence[PartitionKey] | None) -> None:
        """Execute one call of a step elsewhere, with the retries that its policy allows.

        Raises:
            NotRunError: The run ends before the call could start, or while it waits for a retry.
            BaseException: See `execute_step`.
        """
        earlier = _EarlierAttempts(list(run.spent_by(step, keys)), [])
        while (retry := await self._attempt(step, keys, earlier)) is not None:
            if not await sleep_unless_canceled(run, retry.delay):
                stored = stored_elsewhere(step, earlier.stored)
                report_failure(step, run, keys, retry.error, len(earlier.reasons), stored)
                raise retry.error

    def withdraw(self) -> None:
        """Take back calls that have not started elsewhere."""
        if not self._is_withdrawn:
            self._is_withdrawn = True
            self._channel.withdraw(self._run.run_id)

    def interrupt(self) -> None:
        """End the processes of running calls, and do not repeat them."""
        self._is_interrupted = True
        self._channel.interrupt()

    async def _attempt(
        self, step: Step, keys: Sequence[PartitionKey] | None, earlier: _EarlierAttempts
    ) -> _Retry | None:
        """Run one attempt; return how to go on after a failure, None if the call succeeded.

        The reason of a failure and what was stored are added to those of earlier attempts.
        """
        attempt, sent_ns = len(earlier.reasons) + 1, time.perf_counter_ns()
        try:
            report = await self._report(step, keys, earlier)
        except LostStepError as error:
            if self._run.duration_of(step, keys) is None:  # lost before the channel reported its start
                self._run.begin_call(step, keys, attempt, self._place, sent_ns)
            earlier.reasons.append(error.failure_reason)
            return _Retry(self._lost(step, keys, earlier, error), error)
        finally:
            self._open.discard((step.name, key_text(keys)))
            self._run.end_call(step, keys)
        self._record(step, keys, report, attempt)
        if report.error is None:
            return None
        failure = unpack_error(report.error)
        if step.is_multi:
            earlier.stored.extend(event for event in report.events if event.event_type in _DONE)
        if report.retry_after is not None:
            earlier.reasons.append(report.retry_reason)
            return _Retry(report.retry_after, failure)
        if report.is_refused:
            report_failure(step, self._run, keys, failure, attempt, stored_elsewhere(step, earlier.stored))
        raise failure

    async def _report(
        self, step: Step, keys: Sequence[PartitionKey] | None, earlier: _EarlierAttempts
    ) -> StepReport:
        if self._slots is None:
            return await self._send(step, keys, earlier)
        async with self._slots:
            return await self._send(step, keys, earlier)

    async def _send(
        self, step: Step, keys: Sequence[PartitionKey] | None, earlier: _EarlierAttempts
    ) -> StepReport:
        if self._ending.starts_nothing:
            raise NotRunError
        try:
            request = self._request(step, keys, earlier)
            self._open.add((step.name, key_text(keys)))
            if not self._channel.reports_start:
                request.started(self._place)
            limit = None if self._channel.limits_time else request.timeout
            encoded = await asyncio.wait_for(self._channel.send(request), limit)
        except TimeoutError as error:
            if request.timeout is None:
                raise
            raise LostStepError(
                f"{request.subject} timed out: one attempt took longer than {request.timeout:g} s. Nothing was "
                "stored. Raise timeout=, or make the function faster.",
                FailureReason.TIMEOUT,
            ) from error
        except asyncio.CancelledError as error:
            raise NotRunError from error
        report: StepReport = pickle.loads(encoded)
        return report

    def _lost(
        self,
        step: Step,
        keys: Sequence[PartitionKey] | None,
        earlier: _EarlierAttempts,
        error: LostStepError,
    ) -> float:
        if self._is_interrupted:
            raise NotRunError from error
        attempt = len(earlier.reasons)
        delay = retry_delay(step, self._run, keys, error, attempt)
        if delay is None:
            report_failure(step, self._run, keys, error, attempt, stored_elsewhere(step, earlier.stored))
            raise error
        return delay

    # ------------------------------------------------------------------ request

    def _request(
        self, step: Step, keys: Sequence[PartitionKey] | None, earlier: _EarlierAttempts
    ) -> StepRequest:
        run, attempt = self._run, len(earlier.reasons) + 1
        sent, element = _in_bundle(step)
        if sent in self._bundle.refused:
            raise ExecutionError(
                f"Could not send asset {step.owner!r} to another process: {self._bundle.refused[sent]}. Define "
                "what it uses in a module, or run it in this process with "
                'metadata={"rivers/executor": "in_process"}.'
            )
        stored, observed = _known_events(step, run, keys or ())
        config = run.configs.get(step.name)
        all_keys = run.keys.get(step.name)
        order = StepOrder(
            run.run_id,
            sent,
            element,
            None if keys is None else tuple(keys),
            tuple(all_keys) if all_keys is not None and step.partition_batches else None,
            step.name in run.narrowed,
            attempt,
            run.plan.selected_outputs.get(step.name),
            None if config is None else dumps(config),
            self._terms,
            stored,
            observed,
            tuple(earlier.stored),
            _dynamic_keys(step, run),
        )
        return StepRequest(
            self._bundle,
            pickle.dumps(order, pickle.HIGHEST_PROTOCOL),
            run.run_id,
            step.name,
            step.owner,
            None if keys is None else tuple(map(str, keys)),
            attempt,
            self._compute(step, earlier.reasons),
            time_limit(step, run),
            partial(self._started, step, keys, attempt),
        )

    def _started(self, step: Step, keys: Sequence[PartitionKey] | None, attempt: int, place: str) -> None:
        """Show where a call runs, unless it has ended meanwhile."""
        if (step.name, key_text(keys)) in self._open:
            self._run.begin_call(step, keys, attempt, place)

    def _compute(self, step: Step, reasons: Sequence[FailureReason]) -> Compute | None:
        """Return the machine resources of an attempt; a retry may escalate what the channel has by default."""
        policy = step.retry or self._run.retry
        if policy is None or not reasons:
            return step.compute
        compute = _filled(step.compute, self._channel.default_compute)
        return policy.compute_for(len(reasons) + 1, compute, reasons)

    # ------------------------------------------------------------------ report

    def _record(
        self, step: Step, keys: Sequence[PartitionKey] | None, report: StepReport, attempt: int
    ) -> None:
        run = self._run
        _LOG.info("step %r, attempt %d, ran in %s", step.name, attempt, report.place)
        text = f"Ran in {report.place}"
        run.keep_log(
            LogRecord(
                run.run_id, step.name, time.time_ns(), "INFO", text, step.owner, key_text(keys), attempt
            )
        )
        for plain in report.logs:
            handle_again(plain)
        for log in report.step_logs:
            run.keep_log(log)
        for event in report.events:
            run.storage.record(event)
            if event.event_type == MATERIALIZATION and event.asset_key is not None:
                run.latest[event.asset_key, event.partition_key] = event
            elif event.event_type == OBSERVATION and event.asset_key is not None:
                run.observed_outputs.add((event.asset_key, event.partition_key))
        if report.calls:
            for call in report.calls:
                _call_observers(call, step, run, report.events)


class _EarlierAttempts(NamedTuple):
    """What is known of the earlier attempts of a call.

    Attributes:
        reasons: Why each of them failed.
        stored: Events of the outputs of a multi-asset that they stored or observed.
    """

    reasons: list[FailureReason]
    stored: list[Event]


class _Retry(NamedTuple):
    """Next action of a call after a failed attempt.

    Attributes:
        delay: Seconds to wait before the next attempt.
        error: Why the attempt failed.
    """

    delay: float
    error: BaseException


def _in_bundle(step: Step) -> tuple[str, tuple[str, bytes] | None]:
    """Return the name of a step in the bundle, and the name and element of an instance of a mapped step.

    Raises:
        ExecutionError: The element cannot be pickled.
    """
    mapped = step.instance_of
    if mapped is None:
        return step.name, None
    try:
        return mapped.step, (step.name, dumps(step.constants[mapped.parameter]))
    except Exception as error:  # objects of any library may fail to be pickled, with any error
        raise ExecutionError(
            f"Could not send node {step.name!r} to another process: its element cannot be pickled: {error}. Map over "
            'plain values, or run it in this process with metadata={"rivers/node/executor": "in_process"}.'
        ) from error


def _filled(compute: Compute | None, default: Compute | None) -> Compute | None:
    """Return the resources that an asset declares, with those of the channel for the others."""
    if compute is None or default is None:
        return compute or default
    gpu = default.gpu if compute.gpu is None else compute.gpu
    return Compute(cpu=compute.cpu or default.cpu, memory=compute.memory or default.memory, gpu=gpu)


def _known_events(
    step: Step, run: Run, keys: Sequence[PartitionKey]
) -> tuple[dict[tuple[str, str | None], Event], dict[str, Event]]:
    """Return the events that stored the inputs of a call, and the newest observations of external inputs."""
    stored: dict[tuple[str, str | None], Event] = {}
    observed: dict[str, Event] = {}
    past = run.past_of(step)
    for needed in _all_needed(step):
        name = needed.upstream.name
        if needed.upstream.step_name is None and name not in observed:
            observation = past.observed(name)
            if observation is not None:
                observed[name] = observation
        if needed.mapping is not None:
            with suppress(PartitionValidationError):  # it fails where the step runs
                texts = [str(key) for key in needed_keys(needed, step, keys, past)]
                events = run.stored_each(name, texts, step)
                stored.update(
                    ((name, text), event) for text, event in zip(texts, events, strict=True) if event
                )
        elif needed.upstream.partitions_def is None:
            event = run.stored(name, None)
            if event is not None:
                stored[name, None] = event
    return stored, observed


def _all_needed(step: Step) -> Iterator[LoadedInput | Awaited]:
    yield from step.inputs
    yield from step.awaited
    if step.own_value is not None:
        yield step.own_value.loaded


def _dynamic_keys(step: Step, run: Run) -> dict[str, list[str]]:
    definitions = {step.partitions_def, *(needed.upstream.partitions_def for needed in _all_needed(step))}
    known: dict[str, list[str]] = {}
    for definition in definitions:
        if definition is not None:
            known.update(dynamic_keys(definition, run.storage) or {})
    return known


def _call_observers(call: HandlerCall, step: Step, run: Run, events: Sequence[Event]) -> None:
    """Call the observers of this process with the context of a handler call elsewhere."""
    functions = getattr(run.observers, call.hook)
    if call.is_output:
        output = next(output for output in step.outputs if output.name == call.name)
        partition = None if call.keys is None else PartitionContext(call.keys, output.partitions_def)
        stored = OutputContext(output.name, output.metadata, partition, output.type_hint, run_id=run.run_id)
        stored.output_metadata = None if call.metadata is None else dict(call.metadata)
        stored.step_name, stored.code_version = step.name, output.code_version
        arguments: tuple[Any, ...] = (stored, output.handler)
    else:
        arguments = _input_call(call, step, run)
    if call.event is not None:
        arguments = (*arguments, events[call.event])
    if call.error is not None:
        arguments = (*arguments, unpack_error(call.error))
    for observe in functions:
        observe(*arguments)


def _input_call(call: HandlerCall, step: Step, run: Run) -> tuple[InputContext, BaseIOHandler]:
    """Return the context and the handler of an input that was loaded elsewhere."""
    loads = [needed for needed in _all_needed(step) if isinstance(needed, LoadedInput)]
    needed = next((needed for needed in loads if needed.upstream.name == call.name), None)
    if needed is not None:
        upstream, metadata, hint, binding = (
            needed.upstream, needed.metadata, needed.type_hint, needed.binding,
        )  # fmt: skip
    else:  # an instance of a mapped step
        upstream = next(
            item.mapped for item in step.collected if call.name.startswith(f"{item.mapped.name}__")
        )
        assert upstream.binding is not None
        metadata, hint, binding = upstream.metadata, upstream.type_hint, upstream.binding
    partition = None if call.keys is None else PartitionContext(call.keys, upstream.partitions_def)
    return InputContext(call.name, step.owner, metadata, partition, hint, run_id=run.run_id), binding.handler
