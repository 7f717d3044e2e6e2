"""Going on with an earlier run: what it finished is not run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import ConflictError, StorageError
from rivers.execution.staleness import is_lost

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.partitions import PartitionKey

    Values = dict[tuple[str, str | None], tuple[StoredOutput, PartitionKey | None]]


def take_up(run: Run, *, resume: bool) -> None:
    """Skip what an earlier run of this identifier finished; refuse the identifier if it is not to be resumed.

    A value that went with its process is made again only where something that still runs may need it, or nothing comes
    after it.

    Args:
        run: The run, before its first step.
        resume: Whether it is meant to go on.

    Raises:
        StorageError: There is no such run.
        ConflictError: There is one, and it is not to be resumed.
    """
    earlier = run.storage.get_run(run.run_id)
    if earlier is None:
        if resume:
            raise StorageError(f"there is no run {run.run_id!r} to resume in this storage")
        return
    if not resume:
        raise ConflictError(
            f"there is a run {run.run_id!r} already; resume=True goes on with it, another id starts anew"
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
    why: dict[str, str] = {}
    for step in reversed(run.plan.steps):
        values, after = _values(run, step), followers[step.name]
        if not all(name in done for name in values):
            continue
        if not any(done[name].handler is not None and is_lost(*value) for name, value in values.items()):
            why[step.name] = "finished in this run before"
        elif after and all(name in why for name in after):
            why[step.name] = "finished in this run before, and nothing that runs needs its value again"
    for step in run.plan.steps:
        if step.name in why:
            events = {name: done[name] for name in _values(run, step)}
            run.finished.add(step.name)
            run.skipped[step.name] = why[step.name]
            run.resumed.update(events)
            run.latest.update(events)


def _values(run: Run, step: Step) -> Values:
    """What a step is to store in this run."""
    return {
        (output.name, None if key is None else str(key)): (output, key)
        for output in run.plan.outputs_of(step)
        for key in run.keys.get(step.name) or (None,)
    }
