"""Resume an earlier run: skip the steps that it finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import ConflictError, StorageError
from rivers.execution.staleness import is_gone_from_memory

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.partitions import PartitionKey

    Values = dict[tuple[str, str | None], tuple[StoredOutput, PartitionKey | None]]


def skip_finished_steps(run: Run, *, resume: bool) -> None:
    """Skip what an earlier run of the same identifier finished, or refuse the identifier without `resume`.

    A value that was lost with its process is computed again only if a step that still runs may need it, or if nothing
    depends on it.

    Args:
        run: The run, before its first step.
        resume: Whether the run may continue an earlier one.

    Raises:
        StorageError: There is no such run to resume.
        ConflictError: There is one, and `resume` is false.
    """
    earlier = run.storage.get_run(run.run_id)
    if earlier is None:
        if resume:
            raise StorageError(f"Cannot resume run {run.run_id!r}: not found in this storage.")
        return
    if not resume:
        raise ConflictError(
            f"Run {run.run_id!r} exists. Use resume=True to continue it, or another identifier."
        )
    done = {
        (event.asset_key, event.partition_key): event
        for event in run.storage.get_events_for_run(run.run_id)
        if event.event_type == "Materialization" and event.asset_key is not None
    }
    followers: dict[str, list[str]] = {step.name: [] for step in run.plan.steps}
    for step in run.plan.steps:
        for name in run.plan.after[step.name]:
            followers[name].append(step.name)
    reasons: dict[str, str] = {}
    for step in reversed(run.plan.steps):
        values, after = _values(run, step), followers[step.name]
        if not all(name in done for name in values):
            continue
        if not any(
            done[name].handler is not None and is_gone_from_memory(*value) for name, value in values.items()
        ):
            reasons[step.name] = "already finished in this run"
        elif after and all(name in reasons for name in after):
            reasons[step.name] = "already finished in this run, and no remaining step needs its value"
    for step in run.plan.steps:
        if step.name in reasons:
            events = {name: done[name] for name in _values(run, step)}
            run.finished.add(step.name)
            run.skipped[step.name] = reasons[step.name]
            run.resumed.update(events)
            run.latest.update(events)


def _values(run: Run, step: Step) -> Values:
    """Return what a step stores in this run, by asset and partition key."""
    return {
        (output.name, None if key is None else str(key)): (output, key)
        for output in run.plan.outputs_of(step)
        for key in run.keys.get(step.name) or (None,)
    }
