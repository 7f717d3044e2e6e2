"""Compare stored values with their current code, handler and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from rivers.definitions.html import html_table
from rivers.execution.handler_calls import without_secrets
from rivers.execution.input_notes import UNRECORDED_INPUTS
from rivers.execution.lineage import events_of, input_versions
from rivers.graph.selection import narrowed
from rivers_core.authoring import resolve_awaitable, shown_keys
from rivers_core.contexts import InputContext
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from rivers.execution.lineage import Past
    from rivers.execution.run import Run
    from rivers.graph.plan import Graph, Step, StoredOutput
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey

PROCESS_ENDED = "its value was in the memory of a process that has ended"


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """Status of a stored value relative to its code, handler and inputs.

    Attributes:
        asset: Name of the asset.
        partition: Display form of the key; None without partitions.
        state: `missing` (there is no value), `fresh` or `stale`.
        reason: Why it is stale (the first difference), or missing although it was stored.
    """

    asset: str
    partition: str | None
    state: Literal["missing", "fresh", "stale"]
    reason: str | None = None

    def _repr_html_(self) -> str:
        """Return the status as a table, which notebooks show."""
        return html_table(
            f"Status of {self.asset}",
            ("Partition", "State", "Reason"),
            [(self.partition or "", self.state, self.reason or "")],
        )


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Consecutive partition keys of an asset with equal state and reason; without partitions, its only value.

    Attributes:
        asset: Name of the asset.
        first: Display form of the first key; None without partitions.
        last: Display form of the last key.
        count: Number of values.
        state: `missing`, `fresh` or `stale`.
        reason: Why, as in `AssetStatus`.
    """

    asset: str
    first: str | None
    last: str | None
    count: int
    state: Literal["missing", "fresh", "stale"]
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the range as a JSON document, without the asset."""
        return {
            "first": self.first,
            "last": self.last,
            "count": self.count,
            "state": self.state,
            "reason": self.reason,
        }


class StatusList(list[AssetStatus]):
    """Statuses of all values of some assets: one entry per asset and partition key, in run order."""

    def ranges(self) -> list[StatusRange]:
        """Return the statuses with consecutive keys of equal state and reason as one range."""
        groups = groupby(self, key=lambda status: (status.asset, status.state, status.reason))
        return [_status_range(list(statuses)) for _, statuses in groups]

    def _repr_html_(self) -> str:
        """Return the ranges as a table, which notebooks show."""
        columns = ("Asset", "Partitions", "State", "Reason")
        return html_table("Status", columns, [_range_row(item) for item in self.ranges()])


def _status_range(statuses: list[AssetStatus]) -> StatusRange:
    first = statuses[0]
    return StatusRange(
        first.asset, first.partition, statuses[-1].partition, len(statuses), first.state, first.reason
    )


def _range_row(item: StatusRange) -> tuple[str, ...]:
    keys = item.first or ""
    if item.last != item.first:
        keys += f" to {item.last} ({item.count})"
    return item.asset, keys, item.state, item.reason or ""


def status_of(output: StoredOutput, step: Step, key: PartitionKey | None, past: Past) -> AssetStatus:
    """Return the status of a value, comparing its event with the current code, handler and inputs.

    Args:
        output: The value.
        step: The step that stores it.
        key: Its partition key, if it has one.
        past: Lookups in the storage.

    Returns:
        The status; an upstream stored again with an equal data version makes nothing stale.
    """
    partition = None if key is None else str(key)
    event = past.stored(output.name, partition)
    if event is None:
        return AssetStatus(output.name, partition, "missing")
    reason = None
    if event.code_version != output.code_version:
        reason = f"code version changed from {event.code_version!r} to {output.code_version!r}"
    elif event.handler is not None and output.binding is not None and event.handler != output.binding.label:
        reason = f"handler changed from {event.handler!r} to {output.binding.label!r}"
    else:
        reason = _changed_input(event, step, key, past)
    if reason is not None:
        return AssetStatus(output.name, partition, "stale", reason)
    if event.handler is not None and is_gone_from_memory(output, key):
        return AssetStatus(output.name, partition, "missing", PROCESS_ENDED)
    return AssetStatus(output.name, partition, "fresh")


def status_of_asset(graph: Graph, output: StoredOutput, key: PartitionKey | None, past: Past) -> AssetStatus:
    """Return the status of an asset; a graph asset is stale as soon as one of its nodes is.

    Args:
        graph: The graph.
        output: The asset's value.
        key: Its partition key, if it has one.
        past: Lookups in the storage.
    """
    assert output.step_name is not None
    step = graph.steps[output.step_name]
    own = status_of(output, narrowed(step, (output.name,)) if step.is_multi else step, key, past)
    if own.state != "fresh" or step.is_multi:
        return own
    for name in graph.members[output.name]:
        node = status_of(graph.outputs[name], graph.steps[name], key, past)
        if node.state != "fresh" and node.reason != PROCESS_ENDED:
            return AssetStatus(
                output.name, own.partition, "stale", f"node {name!r}: {node.reason or node.state}"
            )
    return own


def _changed_input(event: Event, step: Step, key: PartitionKey | None, past: Past) -> str | None:
    try:
        now = dict(input_versions(step, [] if key is None else [key], past))
    except PartitionValidationError as error:
        return f"its inputs no longer map: {error}"
    then = dict(event.input_data_versions)
    for name, version in now.items():
        if name not in then:
            return f"upstream {name!r} was not an input before, or its data version was unknown"
        if then[name] != version and not _is_newer_than_log(event, name, step, key, past):
            return f"upstream {name!r} has a new data version"
    # the handler may know the version of a value that no event describes, such as one of an external asset
    gone = [name for name in then if name not in now and name not in step.upstream_names()]
    return f"upstream {gone[0]!r} is no longer an input" if gone else None


def _is_newer_than_log(event: Event, name: str, step: Step, key: PartitionKey | None, past: Past) -> bool:
    """Return whether a value was computed from a version of an upstream that no event recorded, nor a later one."""
    notes = event.typed_metadata.get(UNRECORDED_INPUTS)
    if notes is None or name not in notes.raw_value():
        return False
    return not any(
        upstream is not None and upstream.timestamp > event.timestamp
        for needed in step.inputs
        if needed.upstream.name == name
        for upstream in events_of(needed, step, [] if key is None else [key], past)
    )


def is_gone_from_memory(output: StoredOutput, key: PartitionKey | None) -> bool:
    """Return whether a value was kept in the memory of a process that has ended.

    Args:
        output: The stored output.
        key: Its partition key; None without partitions.

    Returns:
        True if its handler keeps values in the process and does not have this one.
    """
    handler = output.handler.storing_handler()
    if handler.locality != "process":
        return False
    partition = None if key is None else PartitionContext([key], output.partitions_def)
    context = InputContext(output.name, "status", output.metadata, partition, output.type_hint)
    return not without_secrets(handler, lambda: resolve_awaitable(handler.exists(context)))


class Skipping:
    """Skip the steps of a run whose values are fresh.

    The status of a step is computed when its turn comes, after its upstreams ran. A value that was in the
    memory of an ended process is recomputed only if a step that runs may need it, or if no step depends on it.

    Args:
        run: The run, before its first step.
        only_missing: Whether to also skip stale values.
    """

    def __init__(self, run: Run, *, only_missing: bool = False) -> None:
        self._run = run
        self._skipped_states = ("fresh", "stale") if only_missing else ("fresh",)
        self._needed = self._needed_again()

    def reason(self, step: Step) -> str | None:
        """Return why a step is skipped; None if it runs, for those of its keys that are not fresh."""
        statuses = self._statuses(step)
        if all(status.state in self._skipped_states for status in statuses):
            if all(status.state == "fresh" for status in statuses):
                return "fresh: its code, handler and inputs are unchanged"
            return "stored, and only missing values run"
        if _only_gone_from_memory(statuses) and step.name not in self._needed:
            return "fresh, and nothing that runs needs its value again"
        self._leave_out_fresh_keys(step, statuses)
        return None

    def _leave_out_fresh_keys(self, step: Step, statuses: list[AssetStatus]) -> None:
        keys = self._run.keys.get(step.name, ())
        to_run = {status.partition for status in statuses if status.state not in self._skipped_states}
        fresh = [str(key) for key in keys if str(key) not in to_run]
        if fresh:
            state = "stored" if len(self._skipped_states) > 1 else "fresh"
            message = f"{state} for {len(fresh)} of the {len(keys)} partition keys: {shown_keys(fresh)}"
            self._run.narrow(step, [key for key in keys if str(key) in to_run], message)

    def _needed_again(self) -> set[str]:
        plan = self._run.plan
        may_run: set[str] = set()
        gone: set[str] = set()
        followers: dict[str, list[str]] = {step.name: [] for step in plan.steps}
        for step in plan.steps:
            statuses = self._statuses(step)
            if _only_gone_from_memory(statuses):
                gone.add(step.name)
            elif any(status.state not in self._skipped_states for status in statuses):
                may_run.add(step.name)
            for name in plan.after[step.name]:
                followers[name].append(step.name)
                if name in may_run:
                    may_run.add(step.name)
        needed: set[str] = set()
        for step in reversed(plan.steps):
            after = followers[step.name]
            if not after or any(name in may_run or (name in needed and name in gone) for name in after):
                needed.add(step.name)
        return needed

    def _statuses(self, step: Step) -> list[AssetStatus]:
        run = self._run
        return [
            status_of(output, step, key, run)
            for output in run.plan.outputs_of(step)
            for key in run.keys.get(step.name) or (None,)
        ]


def _only_gone_from_memory(statuses: list[AssetStatus]) -> bool:
    """Return whether nothing changed except values that were in the memory of an ended process."""
    return any(status.reason == PROCESS_ENDED for status in statuses) and all(
        status.state == "fresh" or status.reason == PROCESS_ENDED for status in statuses
    )
