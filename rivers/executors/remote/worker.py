"""The process that runs a step: rebuild the steps of the repository once, run one attempt, report."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from rivers.exceptions import RiversError
from rivers.execution.fan_out import instance_of
from rivers.execution.observers import Observers
from rivers.execution.redaction import redact_error
from rivers.execution.resources import OpenResources
from rivers.execution.retries import RetryElsewhere
from rivers.execution.run import Run
from rivers.execution.step import execute_call
from rivers.executors.remote.bundle import open_bundle
from rivers.executors.remote.errors import pack_error
from rivers.executors.remote.messages import HandlerCall, StepReport
from rivers.executors.remote.records import RecordCollector
from rivers.graph.plan import Plan
from rivers.graph.selection import narrowed
from rivers.storage.events import MATERIALIZATION
from rivers.storage.memory import MemoryStorage
from rivers_core.awaitables import run_sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers.executors.remote.messages import RunTerms, StepOrder
    from rivers.graph.plan import Step
    from rivers.storage import Event, LogRecord
    from rivers_core.contexts import InputContext, OutputContext

_KEPT_REPOSITORIES = 8

_records = RecordCollector()


@dataclass(slots=True)
class OpenRepository:
    """Steps of a repository in this process, and the resources that they have used.

    Attributes:
        steps: Bound steps by name.
        resources: Resources by name, each set up when a step first uses it.
        opened: The resources that are set up.
        secrets: Spellings of the credentials of each step that has run, which cost as much as the rest of a request.
    """

    steps: Mapping[str, Step]
    resources: Mapping[str, Any]
    opened: OpenResources
    secrets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """Return a step, with its resources set up.

        Raises:
            RiversError: The repository has no such step here.
            ConfigurationError: A resource could not be set up.
        """
        if name not in self.steps:
            raise RiversError(
                f"Step {name!r} not found in the process that runs it. Install the same version of the code there."
            )
        step = self.steps[name]
        self.opened.set_up({resource: self.resources[resource] for _, resource in step.resources})
        return step


class OpenRepositories:
    """Repositories that this process has rebuilt, each once; the least recently used ones are closed."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, OpenRepository] = OrderedDict()
        self._lock = RLock()

    def __contains__(self, digest: str) -> bool:
        return digest in self._open

    def get(self, digest: str, bundle: bytes | None) -> OpenRepository:
        """Return the repository with this digest, loading it if this process does not have it.

        Args:
            digest: Digest of the bundle.
            bundle: The pickled steps and resources; None if they must have been loaded already.

        Raises:
            RiversError: They cannot be loaded here, or were not given.
        """
        with self._lock:
            if digest not in self._open:
                if bundle is None:
                    raise RiversError(f"Process {os.getpid()} has not loaded the repository {digest}.")
                self._open[digest] = OpenRepository(*open_bundle(bundle), OpenResources())
                while len(self._open) > _KEPT_REPOSITORIES:
                    self._open.popitem(last=False)[1].opened.close()
            self._open.move_to_end(digest)
            return self._open[digest]

    def close(self, digest: str | None = None) -> None:
        """Tear down the resources of one repository, or of all, and forget it."""
        with self._lock:
            for name in list(self._open) if digest is None else [digest]:
                if name in self._open:
                    self._open.pop(name).opened.close()


repositories = OpenRepositories()
"""The repositories of this process."""


def run_request(digest: str, bundle: bytes | None, encoded: bytes, *, place: str = "") -> bytes:
    """Run one attempt of a step and return its encoded report.

    Args:
        digest: Digest of the bundle.
        bundle: The pickled steps; None if this process has loaded them already.
        encoded: The encoded request.
        place: Name of this worker for the log of the run.

    Raises:
        KeyboardInterrupt: Also any other exception that ends the process.
    """
    report = StepReport(f"{place}, process {os.getpid()}" if place else f"process {os.getpid()}")
    try:
        repository = repositories.get(digest, bundle)
        order: StepOrder = pickle.loads(encoded)
        step = repository.step(order.step)
        if order.element is not None:
            name, element = order.element
            step = instance_of(step, name, pickle.loads(element))
    except Exception as error:
        report.error, report.is_refused = pack_error(error), True
        return pickle.dumps(report, pickle.HIGHEST_PROTOCOL)
    _run(step, order, repository, report)
    return pickle.dumps(report, pickle.HIGHEST_PROTOCOL)


def _run(step: Step, order: StepOrder, repository: OpenRepository, report: StepReport) -> None:
    terms: RunTerms = pickle.loads(order.terms)
    step = narrowed(step, order.outputs)
    calls: list[HandlerCall] = []
    run = _run_of(step, order, repository, terms, _observers(terms, calls, report.events), report)
    with _records.collecting(terms.log_levels, run.without_secrets) as records:
        try:
            coroutine = execute_call(step, run, order.keys, order.attempt, earlier=order.earlier)
            if step.needs_loop:
                asyncio.run(coroutine)
            else:
                run_sync(coroutine)
        except RetryElsewhere as retry:
            report.retry_after, report.retry_reason = retry.delay, retry.reason
            report.error = pack_error(redact_error(retry.error, run.without_secrets))
        except (Exception, asyncio.CancelledError) as error:
            report.error = pack_error(redact_error(error, run.without_secrets))
    report.logs, report.calls = records, calls


def _run_of(
    step: Step,
    order: StepOrder,
    repository: OpenRepository,
    terms: RunTerms,
    observers: Observers,
    report: StepReport,
) -> Run:
    selected = {} if order.outputs is None else {step.name: order.outputs}
    config = {} if order.config is None else {step.name: pickle.loads(order.config)}
    keys = order.run_keys or order.keys
    run = Run(
        order.run_id,
        Plan((step,), {step.name: ()}, selected),
        _StepStorage(order, report),
        observers,
        keys={} if keys is None else {step.name: keys},
        configs=config,
        resources=repository.resources,
        tags=terms.tags,
        retry=terms.retry,
        stop_at_failure=terms.stop_at_failure,
        timeout=terms.timeout,
    )
    if order.config is None:
        known = repository.secrets.get(order.step)
        run.secrets = repository.secrets[order.step] = run.secrets if known is None else known
    run.latest.update(order.stored)
    for event in order.earlier:
        value = (event.asset_key or "", event.partition_key)
        if event.event_type == MATERIALIZATION:
            run.latest[value] = event
        else:
            run.observed_outputs.add(value)
    run.retries_elsewhere = True
    if order.is_narrowed:
        run.narrowed[step.name] = []
    return run


class _StepStorage(MemoryStorage):
    """Storage of one request: it knows what the step needs of the past, and records events for the report."""

    def __init__(self, order: StepOrder, report: StepReport) -> None:
        super().__init__()
        for event in order.observed.values():
            super().record(event)
        for name, keys in order.dynamic_keys.items():
            self.add_dynamic_partitions(name, keys)
        self._report = report

    def record(self, event: Event) -> None:
        """Add an event to the report."""
        self._report.events.append(event)

    def record_log(self, log: LogRecord) -> None:
        """Add a log record to the report."""
        self._report.step_logs.append(log)


def _observers(terms: RunTerms, calls: list[HandlerCall], events: list[Event]) -> Observers:
    """Return observers that record calls, which are reported to observers of the coordinator."""

    def stored(context: OutputContext, _handler: Any, _event: Event) -> None:
        calls.append(_handler_call("output_stored", context, event=len(events) - 1))

    def loaded(context: InputContext, _handler: Any) -> None:
        calls.append(_handler_call("input_loaded", context))

    def failed(context: InputContext | OutputContext, _handler: Any, error: BaseException) -> None:
        calls.append(_handler_call("io_failed", context, error=pack_error(error)))

    watched = terms.watched
    return Observers(
        output_stored=(stored,) if "output_stored" in watched else (),
        input_loaded=(loaded,) if "input_loaded" in watched else (),
        io_failed=(failed,) if "io_failed" in watched else (),
    )


def _handler_call(hook: str, context: InputContext | OutputContext, **facts: Any) -> HandlerCall:
    keys = None if context.partition is None else tuple(context.partition.keys)
    metadata = getattr(context, "output_metadata", None)
    return HandlerCall(
        hook, context.asset_name, not hasattr(context, "downstream_asset"), keys, metadata, **facts
    )
