"""Resolve the definitions of a repository to a bound and ordered graph."""

from __future__ import annotations

import logging
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from rivers.graph.checks import check_graph
from rivers.graph.findings import Findings
from rivers.graph.plan import Graph
from rivers.graph.steps import StepBuilder, is_plain, needs_loop
from rivers.graph.symbols import SymbolTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.graph.handlers import HandlerBinder
    from rivers.graph.plan import Step, StoredOutput
    from rivers.graph.symbols import Definitions

_CYCLE_SHOWN = 20

_LOG = logging.getLogger("rivers.graph")
_warned: set[tuple[str, str]] = set()


def resolve(
    definitions: Definitions, binder: HandlerBinder, *further_checks: Callable[[Graph, Findings], None]
) -> Graph:
    """Bind every asset to its handler and every parameter to its source.

    Args:
        definitions: Definitions of the repository.
        binder: Binds assets to handlers.
        further_checks: Checks of the caller, such as whether its executors can run the graph.

    Returns:
        The graph, ready to be planned.

    Raises:
        GraphValidationError: With all problems, not only the first.
    """
    findings = Findings()
    symbols = SymbolTable(definitions, binder, findings)
    builder = StepBuilder(symbols)
    builder.build()
    steps = in_order(builder.steps, symbols.outputs, findings)
    graph = Graph(steps, symbols.outputs, builder.members, tuple(builder.default_members))
    check_graph(graph, findings)
    for check in further_checks:
        check(graph, findings)
    for step in graph.steps.values():
        _guard_outputs(step, findings)
    findings.report()
    for step in graph.steps.values():
        step.needs_loop = needs_loop(step)
        step.is_plain = is_plain(step)
        _warn_of_lost_updates(step)
    return graph


def _guard_outputs(step: Step, findings: Findings) -> None:
    """Note whether a handler replaces only a known version, which a call for several keys cannot name."""
    bindings = [output.binding for output in step.outputs if output.binding is not None]
    guarded = next((binding for binding in bindings if binding.handler.always_conditional), None)
    step.is_guarded = guarded is not None
    if guarded is not None and step.partition_batches:
        findings.add(
            f"asset {step.owner!r} stores several partition keys in one call, and handler {guarded.label!r} replaces "
            "each value only if no other process stored one since the step began (conflict='error'). Remove "
            "partition_batches, or use a handler with conflict='overwrite'."
        )


def _warn_of_lost_updates(step: Step) -> None:
    """Warn, once per asset and handler, of a step that may overwrite what another process stored after its load."""
    own = step.own_value
    if own is None or (own.is_conditional and not step.partition_batches):
        return
    binding = own.loaded.binding
    if (step.name, binding.label) in _warned:
        return
    _warned.add((step.name, binding.label))
    reason = (
        "partition_batches stores several keys in one call"
        if own.is_conditional
        else f"handler {binding.label!r} does not support conditional writes"
    )
    _LOG.warning(
        "asset %r continues its own stored value, and %s: of two concurrent runs, the update of one is lost. Use a "
        "handler with conditional_writes, or do not run it concurrently.",
        step.name,
        reason,
    )


def in_order(steps: dict[str, Step], outputs: dict[str, StoredOutput], findings: Findings) -> dict[str, Step]:
    """Sort steps so that each comes after those whose outputs it needs; a cycle is a finding.

    Steps at the same distance from the start keep their declaration order, so that runs are easy to follow.
    """
    upstream_steps = {
        name: {
            producer
            for upstream in step.upstream_names()
            if (producer := outputs[upstream].step_name) is not None and producer != name
        }
        for name, step in steps.items()
    }
    for name, step in steps.items():
        if any(outputs[loaded.upstream.name].step_name == name for loaded in step.inputs):
            findings.add(
                f"asset {name!r} depends on itself; annotate the parameter with SelfDependency to load its stored value"
            )
    try:
        depths = _depths(upstream_steps)
    except CycleError as error:
        findings.add(
            "assets depend on each other in a cycle, each on the next: "
            + _cycle(list(reversed(error.args[1])))
            + "; remove one of these dependencies"
        )
        return steps
    return {name: steps[name] for name in sorted(steps, key=depths.__getitem__)}


def _depths(upstream_steps: dict[str, set[str]]) -> dict[str, int]:
    """Return for each step the number of steps on the longest path to it.

    Raises:
        CycleError: Steps depend on each other.
    """
    depths: dict[str, int] = {}
    with suppress(KeyError):  # most steps are declared after those that they need, and need no sorter
        for name, needed in upstream_steps.items():
            depths[name] = 1 + max((depths[upstream] for upstream in needed), default=-1)
        return depths
    for name in TopologicalSorter(upstream_steps).static_order():
        depths[name] = 1 + max((depths[upstream] for upstream in upstream_steps.get(name, ())), default=-1)
    return depths


def _cycle(names: list[str]) -> str:
    if len(names) <= _CYCLE_SHOWN:
        return " -> ".join(names)
    shown = [*names[: _CYCLE_SHOWN - 1], f"({len(names) - _CYCLE_SHOWN} more)", names[-1]]
    return " -> ".join(shown)
