"""The lineage of a repository: assets, and which is made of which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers_cli.handlers import kept_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rivers.graph.plan import Graph, Step


@dataclass(frozen=True, slots=True)
class Node:
    """One asset.

    Attributes:
        name: The asset.
        handler: Who keeps it.
        reason: Which rule chose the handler.
        group: Its group, if it has one.
        kinds: Its kinds.
        is_external: It is made elsewhere.
        is_partitioned: It is kept in partitions.
    """

    name: str
    handler: str
    reason: str
    group: str | None
    kinds: tuple[str, ...]
    is_external: bool
    is_partitioned: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """One asset is made after, and mostly of, another.

    Attributes:
        source: The upstream asset.
        target: The downstream asset.
        is_loaded: Its value is loaded; otherwise it only has to be there first.
    """

    source: str
    target: str
    is_loaded: bool = True


@dataclass(frozen=True, slots=True)
class Lineage:
    """Assets in an order in which they can be made, and the edges between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def handlers(self) -> list[str]:
        """The handlers, those with the most assets first."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.handler] = counts.get(node.handler, 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))

    def around(self, names: Sequence[str]) -> Lineage:
        """Only these assets, all that they are made of, and all that is made of them."""
        kept = (
            set(names)
            | _reached(names, self._neighbours(up=True))
            | _reached(names, self._neighbours(up=False))
        )
        return Lineage(
            tuple(node for node in self.nodes if node.name in kept),
            tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
        )

    def document(self) -> dict[str, Any]:
        """The lineage for programs."""
        return {
            "assets": [
                {
                    "name": node.name,
                    "handler": node.handler,
                    "handler_reason": node.reason,
                    "group": node.group,
                    "kinds": list(node.kinds),
                    "external": node.is_external,
                    "partitioned": node.is_partitioned,
                }
                for node in self.nodes
            ],
            "edges": [{"from": one.source, "to": one.target, "loaded": one.is_loaded} for one in self.edges],
        }

    def _neighbours(self, *, up: bool) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for edge in self.edges:
            here, there = (edge.target, edge.source) if up else (edge.source, edge.target)
            found.setdefault(here, []).append(there)
        return found


def lineage_of(graph: Graph) -> Lineage:
    """Take the lineage of assets from a bound graph; what happens inside a graph asset is left out.

    Args:
        graph: The graph.
    """
    order = {name: index for index, name in enumerate(graph.steps)}
    assets = [output for output in graph.outputs.values() if output.is_asset]
    assets.sort(key=lambda output: order.get(output.step_name or "", -1))
    nodes = tuple(
        Node(
            output.name,
            *kept_by(output),
            output.group,
            output.kinds,
            output.step_name is None,
            output.partitions_def is not None,
        )
        for output in assets
    )
    owners = _owners(graph)
    loaded: dict[tuple[str, str], bool] = {}
    for step in graph.steps.values():
        for source, is_loaded in _sources(step):
            for origin in owners.get(source, (source,)):
                for target in _targets(step, owners):
                    if origin != target:
                        loaded[origin, target] = loaded.get((origin, target), False) or is_loaded
    known = {node.name for node in nodes}
    edges = tuple(
        Edge(source, target, is_loaded)
        for (source, target), is_loaded in loaded.items()
        if source in known and target in known
    )
    return Lineage(nodes, edges)


def _owners(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """The graph asset that each inner node belongs to."""
    found: dict[str, tuple[str, ...]] = {}
    for member, steps in graph.members.items():
        output = graph.outputs.get(member)
        if output is not None and output.is_asset:
            for name in steps:
                if name not in graph.outputs or not graph.outputs[name].is_asset:
                    found.setdefault(name, (member,))
    return found


def _sources(step: Step) -> Iterator[tuple[str, bool]]:
    for loaded in step.inputs:
        yield loaded.upstream.name, True
    for name in step.waits_for:
        yield name, False


def _targets(step: Step, owners: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    assets = tuple(output.name for output in step.outputs if output.is_asset)
    return assets or owners.get(step.name, ())


def _reached(names: Sequence[str], neighbours: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        for name in neighbours.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found
