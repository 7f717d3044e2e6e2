"""Plan a run: select its steps, with their upstreams and outputs."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from rivers.exceptions import AssetNotFoundError, GraphValidationError
from rivers.graph.findings import suggest
from rivers.graph.plan import Plan
from rivers.graph.selection_syntax import select_names
from rivers.mappings import common_partitions, first_without_common_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.graph.plan import Graph, Step


def make_plan(
    graph: Graph, selection: str | Iterable[str] | None = None, *, include_upstream: bool = False
) -> Plan:
    """Return the plan of a selection.

    Args:
        graph: The resolved graph.
        selection: Terms that select assets, outputs of multi-assets, tasks or graph nodes, see `select_names`; None
            takes every asset.
        include_upstream: Whether to also run everything that the selected ones need.

    Returns:
        The plan, with its steps in execution order.

    Raises:
        AssetNotFoundError: A name is unknown, or the selection matches nothing.
        GraphValidationError: A name is an external asset, which never runs.
    """
    names = list(graph.default_members) if selection is None else select_names(graph, selection)
    chosen: set[str] = set()
    wanted: dict[str, set[str]] = {}
    for name in names:
        chosen.update(_members(graph, name))
        step = graph.steps[graph.members[name][0]]
        if step.is_multi and step.name != name:
            wanted.setdefault(step.name, set()).add(name)
    selected = frozenset(chosen)
    if include_upstream or selection is None:
        wanted.update(_add_upstream(graph, chosen, wanted))
    partial = {
        step_name: frozenset(outputs)
        for step_name, outputs in wanted.items()
        if graph.steps[step_name].is_multi and step_name not in names
    }
    return plan_of(graph, chosen, partial, frozenset(chosen) - selected)


def plan_of(
    graph: Graph,
    chosen: set[str],
    selected_outputs: dict[str, frozenset[str]],
    included: frozenset[str] = frozenset(),
) -> Plan:
    """Return the plan over a set of steps."""
    steps = tuple(
        narrowed(step, selected_outputs.get(name)) if step.is_multi else step
        for name, step in graph.steps.items()
        if name in chosen
    )
    after = {step.name: tuple(sorted(graph.producers(step) & chosen)) for step in steps}
    return Plan(steps, after, selected_outputs, included)


def missing_upstreams(graph: Graph, plan: Plan) -> list[tuple[str, str]]:
    """Return pairs of a step and an upstream that the plan does not run, external assets aside."""
    produced = set(plan.output_names)
    return [
        (step.owner, name)
        for step in plan.steps
        for name in step.upstream_names()
        if name not in produced and graph.outputs[name].step_name not in (None, step.name)
    ]


def without_common_key(plan: Plan) -> tuple[list[str], str] | None:
    """Return assets of a plan, and one that has no partition key in common with them; None if one key can run all.

    Steps that others of the plan need run for the keys that these need.
    """
    steps = [step for step in plan.steps if step.partitions_def is not None]
    needed = {producer for step in steps for producer in plan.after[step.name] if any(step.mappings())}
    return first_without_common_key(
        {step.owner: step.partitions_def for step in steps if step.name not in needed and step.partitions_def}
    )


def narrowed(step: Step, outputs: Iterable[str] | None) -> Step:
    """Return a step for some of its outputs: with the partitions that all of these have.

    Args:
        step: The step.
        outputs: Names of the outputs; None for all.
    """
    definitions = [
        output.partitions_def for output in step.outputs if outputs is None or output.name in outputs
    ]
    if all(definition == step.partitions_def for definition in definitions):
        return step
    return replace(step, partitions_def=reduce(common_partitions, definitions))


def _members(graph: Graph, name: str) -> tuple[str, ...]:
    if name in graph.members:
        return graph.members[name]
    if name in graph.outputs:
        raise GraphValidationError(
            f"{name!r} is an external asset and cannot run. Load it with load_node, or observe it with observe."
        )
    raise AssetNotFoundError(f"asset {name!r} not found.{suggest(name, graph.members)}")


def _add_upstream(graph: Graph, chosen: set[str], wanted: dict[str, set[str]]) -> dict[str, set[str]]:
    """Add everything that the chosen steps need; of a multi-asset only the needed outputs."""
    partial = {name: set(outputs) for name, outputs in wanted.items()}
    whole = chosen - set(wanted)
    pending = list(chosen)
    while pending:
        for name in graph.steps[pending.pop()].upstream_names():
            producer = graph.outputs[name].step_name
            if producer is None:
                continue
            if producer not in whole:
                partial.setdefault(producer, set()).add(name)
            if producer not in chosen:
                chosen.add(producer)
                pending.append(producer)
    return partial
