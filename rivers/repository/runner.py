"""Run a plan on an executor, record the run in the event storage, and return its result."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any, cast

from rivers.definitions.error_text import error_text
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.html import html_table
from rivers.exceptions import ConfigurationError, ConfigurationTypeError, StorageError, step_error
from rivers.execution.keys import MODE_PREFIX, check_partition_mode, keys_of_plan, shown_request
from rivers.execution.observers import Observers
from rivers.execution.run import Run
from rivers.execution.run_logger import logging_values
from rivers.execution.staleness import Skipping
from rivers.executors.placement import place_steps
from rivers.graph.findings import Findings
from rivers.repository.config import build_configs
from rivers.repository.notebook import notebook_progress
from rivers.repository.resume import skip_finished_steps
from rivers.repository.run_preview import preview
from rivers.repository.runtime import check_executor
from rivers.repository.tracebacks import trim_traceback
from rivers_core.authoring import plain_text, shown_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from rivers.definitions.retry import RetryPolicy
    from rivers.execution.keys import KeyRequest, PartitionMode
    from rivers.executors import Executor
    from rivers.executors.placement import Executors, Placement
    from rivers.graph.plan import Plan, Step, StoredOutput
    from rivers.repository.run_preview import RunPlan
    from rivers.repository.runtime import RunScope
    from rivers.storage import EventStorage
    from rivers_core.partitions import PartitionKey


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Arguments of `materialize` and `Job.execute`.

    Attributes:
        selection: Selected names; None for everything.
        partition_key: Partition keys, if any.
        tags: Tags recorded with every event.
        raise_on_error: Whether to stop at the first failure and raise it.
        config: Configuration values: `{asset: {field: value}}`.
        run_id: Identifier of the run; None generates one.
        resume: Whether to skip the steps that the run of this identifier already finished.
        only_stale: Whether to skip fresh assets.
        retry: Retry policy of steps that have none.
        job: Name of the job, if any.
        executor: Executor of the run; None for the repository's.
        partitions: Which partition keys to run instead of `partition_key`: `all`, `missing`, `stale` or `latest`.
        timeout: Seconds, or a `timedelta`, that one attempt of a step may take, for assets without a time limit.
    """

    selection: tuple[str, ...] | None = None
    partition_key: KeyRequest | None = None
    tags: Sequence[tuple[str, str]] = ()
    raise_on_error: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    resume: bool = False
    only_stale: bool = False
    retry: RetryPolicy | None = None
    job: str | None = None
    executor: Executor | None = None
    partitions: PartitionMode | None = None
    timeout: float | timedelta | None = None

    def __post_init__(self) -> None:
        """Check the arguments that users pass.

        Raises:
            ConfigurationError: An argument is not valid.
            PartitionValidationError: `partitions` is not valid.
        """
        object.__setattr__(self, "tags", _check_tags(self.tags))
        check_partition_mode(self.partitions, self.partition_key)
        object.__setattr__(
            self, "timeout", FieldChecks("run", ConfigurationError).timeout("timeout", self.timeout)
        )
        config: object = self.config
        if not isinstance(config, Mapping):
            raise ConfigurationTypeError(f"config must be {{asset: {{field: value}}}}, got {config!r}.")
        for name in config:
            if not isinstance(name, str):
                asset_name = getattr(name, "name", str(name))
                raise ConfigurationError(
                    f"config must have asset names as keys, got {name!r}. Use config={{{asset_name!r}: ...}}."
                )
        run_id: object = self.run_id
        if run_id is not None and (not isinstance(run_id, str) or not run_id):
            raise ConfigurationError(f"run_id_override must be a non-empty string, got {run_id!r}.")
        if self.resume and run_id is None:
            raise ConfigurationError(
                "resume=True requires the identifier of an earlier run. Use run_id_override=..."
            )
        check_executor("executor", self.executor)

    @property
    def partition_mode(self) -> PartitionMode | None:
        """Partition mode: the requested one, or `stale` if only stale assets run without keys."""
        if self.partitions is None and self.only_stale and self.partition_key is None:
            return "stale"
        return self.partitions

    @property
    def shown_partitions(self) -> str | None:
        """Description of the partition keys, for the row of the run."""
        if self.partition_key is not None:
            return shown_request(self.partition_key)
        return None if self.partitions is None else f"{MODE_PREFIX}{self.partitions}"


def _check_tags(tags: Any) -> tuple[tuple[str, str], ...]:
    items = tags.items() if isinstance(tags, Mapping) else tags if isinstance(tags, Iterable) else (tags,)
    pairs = tuple(items)
    for pair in pairs:
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not is_pair or not all(isinstance(text, str) for text in pair):
            raise ConfigurationTypeError(
                f"tags must be pairs of strings, got {pair!r}. Use e.g. tags=[('team', 'sales')]."
            )
    return tuple((plain_text(name), plain_text(value)) for name, value in pairs)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Outcome of a run.

    Attributes:
        success: Whether no step failed, and none was left out because the run was canceled.
        run_id: Identifier of the run in the event storage.
        materialized_assets: Assets and tasks with a new value or `Materialization`, in the order of the plan.
        failed_assets: Asset and message of each failure.
        skipped_assets: Asset and reason of each that did not run, or not for all its partition keys: an upstream
            failed, it was fresh or already finished, or the run was canceled.
        errors: Error of each failed asset, with its traceback; not part of a pickled result.
    """

    success: bool
    run_id: str
    materialized_assets: list[str]
    failed_assets: list[tuple[str, str]]
    skipped_assets: list[tuple[str, str]]
    errors: Mapping[str, BaseException] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.run_id)

    def _repr_html_(self) -> str:
        """Return the outcome of each asset as an HTML table, for notebooks."""
        rows = [
            *((name, "materialized", "") for name in self.materialized_assets),
            *((name, "failed", message) for name, message in self.failed_assets),
            *((name, "skipped", reason) for name, reason in self.skipped_assets),
        ]
        state = "succeeded" if self.success else "failed"
        return html_table(f"Run {self.run_id} {state}", ("Asset", "Outcome", "Message"), rows)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (
            self.success,
            self.run_id,
            self.materialized_assets,
            self.failed_assets,
            self.skipped_assets,
        )
        return RunResult, fields


def run_plan(
    scope: RunScope,
    plan: Plan,
    request: RunRequest,
    storage: EventStorage,
    executor: Executor,
    executors: Executors,
    observers: Observers,
) -> RunResult:
    """Run a plan and record the run.

    Args:
        scope: Graph, resources and channels of the run.
        plan: The steps.
        request: The arguments of the run.
        storage: Event storage.
        executor: Executor of the steps.
        executors: Executors that assets name.
        observers: Observers of plugins.

    Returns:
        The outcome.

    Raises:
        ExecutionError: A step failed and the request asks to raise; also an instance of the class of the step's error,
            which is the cause.
        PartitionValidationError: A partitioned asset has no valid key.
        ConfigurationError: The configuration values are not valid.
        ConflictError: The run identifier exists, and the request does not resume it.
    """
    placement = _placed(plan, executor, executors)
    run = _prepare(scope, plan, request, storage, observers)
    run.elsewhere, run.connections = placement.elsewhere, scope.connections
    names = [step.name for step in plan.steps]
    since = time_ns()
    try:
        storage.start_run(
            run.run_id,
            job=request.job,
            tags=run.tags,
            steps=names,
            selection=request.selection,
            partition_key=request.shown_partitions,
        )
        run.record_narrowed()
        for observe in observers.run_start:
            observe(run.run_id, names, run.tags)
        storage.attach_run(run)
        with logging_values(run), notebook_progress(run):
            executor.execute(run)
        is_canceled = run.skip_canceled()
        first = next(iter(run.failed.items()), None)
        status = "canceled" if is_canceled else "success" if first is None else "failure"
        _finish(run, status, None if first is None else first[1])
    except BaseException as error:
        _abort(run, since, error)
        raise
    finally:
        storage.detach_run(run)
        scope.connections.close_run(run)
    for cause in run.failed.values():
        trim_traceback(cause)
    if first is not None and request.raise_on_error:
        name, cause = first
        owner = next((step.owner for step in plan.steps if step.name == name), name)
        raise step_error(
            f"asset {owner!r} failed in run {run.run_id}: {_failure(run, name, cause)}", cause
        ) from cause
    return _result(run, is_canceled=is_canceled)


def preview_plan(
    scope: RunScope,
    plan: Plan,
    request: RunRequest,
    storage: EventStorage,
    executor: Executor,
    executors: Executors,
) -> RunPlan:
    """Return what `run_plan` would do with these arguments, with the same errors; nothing is run or written."""
    _placed(plan, executor, executors)
    run = _prepare(scope, plan, request, storage, Observers())
    return preview(run, only_stale=request.only_stale, mode=request.partition_mode)


def _placed(plan: Plan, executor: Executor, executors: Executors) -> Placement:
    findings = Findings()
    placement = place_steps(plan.steps, executor, executors, findings)
    findings.report()
    placement.warn(executor)
    return placement


def _prepare(
    scope: RunScope, plan: Plan, request: RunRequest, storage: EventStorage, observers: Observers
) -> Run:
    run = Run(
        request.run_id or str(uuid.uuid4()),
        plan,
        storage,
        observers,
        keys=keys_of_plan(plan, request.partition_key, storage, request.partition_mode),
        configs=build_configs(scope.graph, plan, scope.overrides.configs),
        resources=scope.resources,
        tags=request.tags,
        retry=request.retry,
        timeout=cast("float | None", request.timeout),
        stop_at_failure=request.raise_on_error,
    )
    if request.run_id is not None:
        skip_finished_steps(run, resume=request.resume)
    for step in plan.steps:
        if run.keys.get(step.name) == []:
            run.finished.add(step.name)
            run.skipped[step.name] = "it has no partition keys"
    if request.only_stale or request.partition_mode in ("stale", "missing"):
        run.may_skip = Skipping(run, only_missing=request.partition_mode == "missing").reason
    if run.keys:
        run.skips_incomplete = _not_named(request, plan)
    return run


def _not_named(request: RunRequest, plan: Plan) -> frozenset[str]:
    """Return the steps that the request did not name: those of a job, of everything, and included upstreams."""
    if request.selection is None or request.job is not None:
        return frozenset(step.name for step in plan.steps)
    return plan.included


def _finish(run: Run, status: str, error: BaseException | None) -> None:
    message = None if error is None else _message(run, error)
    if message is None and status == "canceled":
        message = "Its cancellation was requested."
    run.storage.finish_run(run.run_id, status, message)
    for observe in run.observers.run_end:
        observe(run.run_id, status == "success", error)


def _abort(run: Run, since: int, error: BaseException) -> None:
    """Record the end of a run that an exception stopped at any point, even within its start or its end.

    Args:
        run: The run.
        since: Time before its start, in nanoseconds since the epoch: an earlier run of the same id is another one.
        error: The exception.
    """
    try:
        record = run.storage.get_run(run.run_id)
        if record is not None and record.status == "Started" and record.start_time >= since:
            _finish(
                run, "canceled" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failure", error
            )
    except StorageError as failure:
        error.add_note(f"The end of run {run.run_id!r} could not be recorded: {failure}")


def _message(run: Run, error: BaseException) -> str:
    return run.without_secrets(error_text(error))


def _failure(run: Run, step_name: str, error: BaseException) -> str:
    """Return the message of a failed step; of several partition keys it names those that failed."""
    failed = run.failed_keys.get(step_name)
    if not failed:
        return _message(run, error)
    count, total = len(failed), len(run.keys[step_name])
    each = "" if count == 1 else f"; the first: {next(iter(failed))}"
    return f"{count} of {total} partition keys ({shown_keys(failed)}){each}: {_message(run, error)}"


def _materialized_assets(run: Run) -> list[str]:
    """Return the assets with a value of this run for all their keys, in the order of the plan."""
    names: list[str] = []
    for step in run.plan.steps:
        if step.is_plain:
            output = step.outputs[0]
            if output.is_asset and output.whole_key in run.latest and output.whole_key not in run.resumed:
                names.append(output.name)
            continue
        keys = run.keys.get(step.name)
        names += [
            output.name
            for output in step.outputs
            if output.is_asset
            and (_is_stored(run, output) if keys is None else _are_stored(run, step, output, keys))
        ]
    return names


def _is_stored(run: Run, output: StoredOutput) -> bool:
    name = (output.name, None)
    return name in run.latest and name not in run.resumed


def _are_stored(run: Run, step: Step, output: StoredOutput, keys: Sequence[PartitionKey]) -> bool:
    """Return whether an output is stored for all keys, some of them not already before the run was resumed."""
    if not set(keys).issuperset(run.incomplete.get(step.name, ())):
        return False  # some keys were skipped behind a failure of another step
    names = [(output.name, str(key)) for key in keys]
    return all(name in run.latest for name in names) and not run.resumed.issuperset(names)


def _result(run: Run, *, is_canceled: bool) -> RunResult:
    owners = {step.name: step.owner for step in run.plan.steps}
    nodes = {step.name for step in run.plan.steps if len(step.outputs) > 1 and not step.is_multi}
    labels = {name: name if name in nodes else owners.get(name, name) for name in run.failed}
    behind = [(owners[name], f"its node {name!r} failed") for name in run.failed if name in nodes]
    skipped = (*run.skipped.items(), *((name, "; ".join(texts)) for name, texts in run.narrowed.items()))
    return RunResult(
        success=not run.failed and not is_canceled,
        run_id=run.run_id,
        materialized_assets=_materialized_assets(run),
        failed_assets=[(labels[name], _failure(run, name, error)) for name, error in run.failed.items()],
        skipped_assets=[*behind, *((owners[name], reason) for name, reason in skipped)],
        errors={labels[name]: error for name, error in run.failed.items()},
    )
