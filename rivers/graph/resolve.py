"""From what a repository declares to a graph in which everything is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.graph.catalog import Catalog
from rivers.graph.checks import check_graph
from rivers.graph.findings import Findings
from rivers.graph.order import in_order
from rivers.graph.plan import Graph
from rivers.graph.steps import StepBuilder, needs_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.graph.catalog import Definitions
    from rivers.graph.handlers import HandlerBinder


def resolve(
    definitions: Definitions, binder: HandlerBinder, *further_checks: Callable[[Graph, Findings], None]
) -> Graph:
    """Bind every asset to its handler and every parameter to its source.

    Args:
        definitions: What the repository was given.
        binder: Finds handlers.
        further_checks: Checks of the caller's, such as whether its executors can run the graph.

    Returns:
        The graph, ready to be planned.

    Raises:
        GraphValidationError: With all that is wrong, not only the first thing.
    """
    findings = Findings()
    catalog = Catalog(definitions, binder, findings)
    builder = StepBuilder(catalog)
    builder.build()
    steps = in_order(builder.steps, catalog.outputs, findings)
    graph = Graph(steps, catalog.outputs, builder.members, tuple(builder.default_members))
    check_graph(graph, findings)
    for check in further_checks:
        check(graph, findings)
    findings.report()
    for step in graph.steps.values():
        step.needs_loop = needs_loop(step)
    return graph
