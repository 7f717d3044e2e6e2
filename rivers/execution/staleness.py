"""Is a stored value still what running its step would give?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rivers.execution.lineage import input_versions
from rivers_core.authoring import resolve_awaitable
from rivers_core.contexts import InputContext
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from rivers.execution.lineage import Past
    from rivers.execution.run import Run
    from rivers.graph.plan import Graph, Step, StoredOutput
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey

LOST = "its value was in the memory of a process that is gone"
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """How a stored value stands against its code, its handler and its inputs.

    Attributes:
        asset: The asset.
        partition: Display form of the key; None without partitions.
        state: `missing` (there is no value), `fresh`, or `stale`.
        reason: Why it is stale: the first thing that differs. Why it is missing, unless it was never stored.
    """

    asset: str
    partition: str | None
    state: Literal["missing", "fresh", "stale"]
    reason: str | None = None


def status_of(output: StoredOutput, step: Step, key: PartitionKey | None, past: Past) -> AssetStatus:
    """Compare what was recorded when a value was stored with how things are now.

    Args:
        output: The value.
        step: The step that makes it.
        key: Its partition key, if it has one.
        past: What is stored.

    Returns:
        The status; an upstream that was stored anew under an equal data version makes nothing stale.
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
    if event.handler is not None and is_lost(output, key):
        return AssetStatus(output.name, partition, "missing", LOST)
    return AssetStatus(output.name, partition, "fresh")


def status_of_asset(graph: Graph, output: StoredOutput, key: PartitionKey | None, past: Past) -> AssetStatus:
    """The status of an asset as a whole: one that is made of tasks is stale as soon as one of them is.

    Args:
        graph: The graph.
        output: The asset's value.
        key: Its partition key, if it has one.
        past: What is stored.
    """
    assert output.step_name is not None
    own = status_of(output, graph.steps[output.step_name], key, past)
    if own.state != "fresh" or graph.steps[output.step_name].is_multi:
        return own
    for name in graph.members[output.name]:
        node = status_of(graph.outputs[name], graph.steps[name], key, past)
        if node.state != "fresh" and node.reason != LOST:
            return AssetStatus(
                output.name, own.partition, "stale", f"node {name!r}: {node.reason or node.state}"
            )
    return own


def _changed_input(event: Event, step: Step, key: PartitionKey | None, past: Past) -> str | None:
    try:
        now = dict(input_versions(step, [] if key is None else [key], past))
    except PartitionValidationError as error:
        return f"its inputs no longer map: {error}"
    return _first_difference(dict(event.input_data_versions), now)


def _first_difference(then: dict[str, str], now: dict[str, str]) -> str | None:
    for name, version in now.items():
        if name not in then:
            return f"upstream {name!r} was not an input before, or its data version was not known"
        if then[name] != version:
            return f"upstream {name!r} has a new data version"
    gone = [name for name in then if name not in now]
    return f"upstream {gone[0]!r} is no longer an input, or its history is gone" if gone else None


def is_lost(output: StoredOutput, key: PartitionKey | None) -> bool:
    """Whether a value that lives as long as its process was stored by another one.

    Args:
        output: What was stored.
        key: Its partition; None for an unpartitioned asset.

    Returns:
        True if its handler keeps values in the process and has this one no more.
    """
    handler = output.handler.storing_handler()
    if handler.locality != "process":
        return False
    partition = None if key is None else PartitionContext([key], output.partitions_def)
    context = InputContext(output.name, "status", output.metadata, partition, output.type_hint)
    return not resolve_awaitable(handler.exists(context))


class Skipping:
    """Which steps of a run need not run, since their values are fresh.

    Whether a step is fresh is asked when its turn comes, after its upstreams ran. A value that was lost with
    its process is made again only where something that runs may need it, or nothing comes after it.

    Args:
        run: The run, before its first step.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._needed = self._needed_again()

    def reason(self, step: Step) -> str | None:
        """Why a step need not run; None if it has to, which is then for the keys that are not fresh."""
        statuses = self._statuses(step)
        if all(status.state == "fresh" for status in statuses):
            return "fresh: its code, handler and inputs are as they were"
        if _only_lost(statuses) and step.name not in self._needed:
            return "fresh, and nothing that runs needs its value again"
        self._leave_out_fresh_keys(step, statuses)
        return None

    def _leave_out_fresh_keys(self, step: Step, statuses: list[AssetStatus]) -> None:
        keys = self._run.keys.get(step.name, ())
        to_run = {status.partition for status in statuses if status.state != "fresh"}
        fresh = [str(key) for key in keys if str(key) not in to_run]
        if fresh:
            listed = ", ".join(fresh[:_SHOWN]) + (", ..." if len(fresh) > _SHOWN else "")
            message = f"fresh for {len(fresh)} of the {len(keys)} partition keys: {listed}"
            self._run.narrow(step, [key for key in keys if str(key) in to_run], message)

    def _needed_again(self) -> set[str]:
        plan = self._run.plan
        may_run: set[str] = set()
        lost: set[str] = set()
        followers: dict[str, list[str]] = {step.name: [] for step in plan.steps}
        for step in plan.steps:
            statuses = self._statuses(step)
            if _only_lost(statuses):
                lost.add(step.name)
            elif any(status.state != "fresh" for status in statuses):
                may_run.add(step.name)
            for name in plan.after[step.name]:
                followers[name].append(step.name)
                if name in may_run:
                    may_run.add(step.name)
        needed: set[str] = set()
        for step in reversed(plan.steps):
            after = followers[step.name]
            if not after or any(name in may_run or (name in needed and name in lost) for name in after):
                needed.add(step.name)
        return needed

    def _statuses(self, step: Step) -> list[AssetStatus]:
        run = self._run
        return [
            status_of(output, step, key, run)
            for output in run.plan.outputs_of(step)
            for key in run.keys.get(step.name) or (None,)
        ]


def _only_lost(statuses: list[AssetStatus]) -> bool:
    """Whether all is as it was, but for values that went with their process."""
    return any(status.reason == LOST for status in statuses) and all(
        status.state == "fresh" or status.reason == LOST for status in statuses
    )
