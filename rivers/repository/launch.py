"""One run, from a plan to a result."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from rivers.definitions.error_text import error_text
from rivers.exceptions import ExecutionError
from rivers.execution.keys import keys_of_plan, shown_request
from rivers.execution.run import Run
from rivers.execution.staleness import Skipping
from rivers.graph.findings import Findings
from rivers.repository.resuming import take_up
from rivers.repository.run_result import RunResult
from rivers.repository.step_config import build_configs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rivers.executors import Executor
    from rivers.graph.plan import Graph, Plan
    from rivers.repository.run_request import RunRequest
    from rivers.storage import EventStorage
    from rivers_core.hooks.observers import Observers


def launch(
    graph: Graph,
    plan: Plan,
    request: RunRequest,
    storage: EventStorage,
    executor: Executor,
    observers: Observers,
    resources: Mapping[str, Any],
) -> RunResult:
    """Run a plan and record how it went.

    Args:
        graph: The graph that the plan is of.
        plan: The steps.
        request: How they are to be run.
        storage: Where events go.
        executor: Where steps run.
        observers: Functions of plugins that watch.
        resources: What parameters may name besides assets.

    Returns:
        What came of it.

    Raises:
        ExecutionError: A step failed and the request wants that raised; its error is the cause.
        PartitionValidationError: A partitioned asset has no valid key.
        ConfigurationError: The configuration overrides do not fit.
        ConflictError: The run identifier is taken, and the request does not resume it.
    """
    run = _prepared(graph, plan, request, storage, executor, observers, resources)
    names = [step.name for step in plan.steps]
    key = request.partition_key
    storage.start_run(
        run.run_id,
        job=request.job,
        tags=run.tags,
        steps=names,
        selection=request.selection,
        partition_key=None if key is None else shown_request(key),
    )
    try:
        for observe in observers.run_start:
            observe(run.run_id, names, run.tags)
        executor.execute(run)
    except BaseException as error:
        _end(run, "canceled" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failure", error)
        raise
    first = next(iter(run.failed.items()), None)
    _end(run, "success" if first is None else "failure", None if first is None else first[1])
    if first is not None and request.raise_on_error:
        name, cause = first
        raise ExecutionError(
            f"asset {_owner(plan, name)!r} failed in run {run.run_id}: {_told(run, cause)}"
        ) from cause
    return _result(run)


def _prepared(
    graph: Graph,
    plan: Plan,
    request: RunRequest,
    storage: EventStorage,
    executor: Executor,
    observers: Observers,
    resources: Mapping[str, Any],
) -> Run:
    findings = Findings()
    executor.check(graph, findings)
    findings.report()
    run = Run(
        request.run_id or str(uuid.uuid4()),
        plan,
        storage,
        observers,
        keys=keys_of_plan(plan, request.partition_key, storage),
        configs=build_configs(graph, plan, request.config),
        resources=resources,
        tags=request.tags,
        retry=request.retry,
        stop_at_failure=request.raise_on_error,
    )
    if request.run_id is not None:
        take_up(run, resume=request.resume)
    if request.only_stale:
        run.may_skip = Skipping(run).reason
    return run


def _end(run: Run, status: str, error: BaseException | None) -> None:
    message = None if error is None else _told(run, error)
    run.storage.finish_run(run.run_id, status, message)
    for observe in run.observers.run_end:
        observe(run.run_id, error is None, error)


def _told(run: Run, error: BaseException) -> str:
    return run.without_secrets(error_text(error))


def _owner(plan: Plan, step_name: str) -> str:
    return next(step.owner for step in plan.steps if step.name == step_name)


def _result(run: Run) -> RunResult:
    now = {name for name, key in run.latest if (name, key) not in run.resumed}
    steps = {step.name: step for step in run.plan.steps}
    return RunResult(
        success=not run.failed,
        run_id=run.run_id,
        materialized_assets=[
            output.name
            for step in run.plan.steps
            for output in step.outputs
            if output.is_asset and output.name in now
        ],
        failed_assets=[(steps[name].owner, _told(run, error)) for name, error in run.failed.items()],
        skipped_assets=[
            (steps[name].owner, why) for name, why in (*run.skipped.items(), *run.narrowed.items())
        ],
        errors={steps[name].owner: error for name, error in run.failed.items()},
    )
