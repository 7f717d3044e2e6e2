"""Resume an earlier run: skip the steps, and the partition keys of steps, that it finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.definitions.retry import FailureReason
from rivers.exceptions import ConflictError, StorageError
from rivers.execution.retries import CONFLICT
from rivers.execution.staleness import is_gone_from_memory
from rivers.storage.events import MATERIALIZATION, STEP_RETRY
from rivers_core.authoring import shown_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import Step
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey

    Key = PartitionKey | None
    Value = tuple[str, str | None]


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
            raise StorageError(
                f"Cannot resume run {run.run_id!r}: not found in this storage. List its runs with get_runs()."
            )
        return
    if not resume:
        raise ConflictError(
            f"Run {run.run_id!r} exists. Use resume=True to continue it, or another identifier."
        )
    events_before = run.storage.get_events_for_run(run.run_id, with_steps=False)
    run.spent = _spent_attempts(events_before)
    run.allows_plain = run.allows_plain and not run.spent
    done = {
        (event.asset_key, event.partition_key): event
        for event in events_before
        if event.event_type == MATERIALIZATION and event.asset_key is not None
    }
    followers: dict[str, list[str]] = {step.name: [] for step in run.plan.steps}
    for step in run.plan.steps:
        for name in run.plan.after[step.name]:
            followers[name].append(step.name)
    skipped: dict[str, str] = {}
    for step in reversed(run.plan.steps):
        keys: Sequence[Key] = run.keys.get(step.name) or (None,)
        finished = [key for key in keys if all(value in done for value in _values(run, step, key))]
        kept = [key for key in finished if not _is_gone(run, step, key, done)]
        after = followers[step.name]
        if len(kept) == len(keys):
            skipped[step.name] = "already finished in this run"
        elif len(finished) == len(keys) and after and all(name in skipped for name in after):
            skipped[step.name] = "already finished in this run, and no remaining step needs its value"
            kept = finished
        elif kept:
            stored = set(kept)
            remaining = [key for key in keys if key is not None and key not in stored]
            message = f"already finished in this run for {len(kept)} of the {len(keys)} partition keys"
            run.leave_out_stored(step, remaining, f"{message}: {shown_keys(kept)}")
        events = {value: done[value] for key in kept for value in _values(run, step, key)}
        run.resumed.update(events)
        run.latest.update(events)
    run.finished.update(skipped)
    run.skipped.update((step.name, skipped[step.name]) for step in run.plan.steps if step.name in skipped)


def _spent_attempts(events: Iterable[Event]) -> dict[tuple[str, str | None], tuple[FailureReason, ...]]:
    """Return why attempts of each call were repeated, by step and display form of the key.

    They count against the retry policy, so that a run that is resumed repeatedly does not retry forever.
    """
    spent: dict[tuple[str, str | None], dict[int, FailureReason]] = {}
    for event in events:
        is_retry = event.event_type == STEP_RETRY and not (event.message or "").startswith(CONFLICT)
        if is_retry and event.step is not None:
            reason = dict(event.metadata).get("rivers/failure_reason", FailureReason.ERROR.value)
            spent.setdefault((event.step, event.partition_key), {})[event.attempt] = FailureReason(reason)
    return {call: tuple(reasons.values()) for call, reasons in spent.items()}


def _values(run: Run, step: Step, key: Key) -> list[Value]:
    """Return the values that a step stores in this run for one key, as asset and display form of the key."""
    return [(output.name, None if key is None else str(key)) for output in run.plan.outputs_of(step)]


def _is_gone(run: Run, step: Step, key: Key, done: Mapping[Value, Event]) -> bool:
    """Return whether a value of one key was lost with the process that stored it."""
    outputs = run.plan.outputs_of(step)
    return any(
        done[value].handler is not None and is_gone_from_memory(output, key)
        for output, value in zip(outputs, _values(run, step, key), strict=True)
    )
