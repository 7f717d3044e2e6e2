"""Which steps one run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import AssetNotFoundError, GraphValidationError
from rivers.graph.findings import did_you_mean
from rivers.graph.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.graph.plan import Graph


def make_plan(
    graph: Graph, selection: Iterable[str] | None = None, *, include_upstream: bool = False
) -> Plan:
    """Pick the steps of a run.

    Args:
        graph: The resolved graph.
        selection: Names of assets, outputs of multi-assets, tasks or graph nodes; None takes every asset.
        include_upstream: Also run everything that the selected ones need.

    Returns:
        The plan; its steps are in an order in which they can run.

    Raises:
        AssetNotFoundError: A name is unknown.
        GraphValidationError: A name is an external asset, which is never run.
    """
    names = list(dict.fromkeys(graph.default_members if selection is None else selection))
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
    """The plan over a set of steps."""
    steps = tuple(step for name, step in graph.steps.items() if name in chosen)
    after = {step.name: tuple(sorted(graph.producers(step) & chosen)) for step in steps}
    return Plan(steps, after, selected_outputs, included)


def missing_upstreams(graph: Graph, plan: Plan) -> list[tuple[str, str]]:
    """Pairs of a step and an upstream that it loads and that the plan does not make; external ones do not count."""
    made = set(plan.output_names)
    return [
        (step.owner, name)
        for step in plan.steps
        for name in step.upstream_names()
        if name not in made and graph.outputs[name].step_name not in (None, step.name)
    ]


def _members(graph: Graph, name: str) -> tuple[str, ...]:
    if name in graph.members:
        return graph.members[name]
    if name in graph.outputs:
        raise GraphValidationError(
            f"{name!r} is an external asset: it is made elsewhere and never run here; "
            "load it with load_node, or look at it with observe"
        )
    raise AssetNotFoundError(f"no asset is called {name!r}; {did_you_mean(name, graph.members)}")


def _add_upstream(graph: Graph, chosen: set[str], wanted: dict[str, set[str]]) -> dict[str, set[str]]:
    """Add all that the chosen steps need; a multi-asset that is needed in part is run for that part."""
    partial = {name: set(outputs) for name, outputs in wanted.items()}
    whole = chosen - set(wanted)
    todo = list(chosen)
    while todo:
        for name in graph.steps[todo.pop()].upstream_names():
            producer = graph.outputs[name].step_name
            if producer is None:
                continue
            if producer not in whole:
                partial.setdefault(producer, set()).add(name)
            if producer not in chosen:
                chosen.add(producer)
                todo.append(producer)
    return partial
