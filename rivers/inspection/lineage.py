"""Lineage graph of a repository: assets and the edges between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers.inspection.handlers import storing_handler

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rivers.graph.plan import Graph, Step


@dataclass(frozen=True, slots=True)
class Node:
    """One asset.

    Attributes:
        name: Name of the asset.
        handler: Name of its handler.
        reason: Rule that selected the handler.
        group: Group of the asset, if any.
        kinds: Kinds of the asset.
        is_external: Whether another system produces it.
        is_partitioned: Whether it has partitions.
        description: Text for people, if any.
    """

    name: str
    handler: str
    reason: str
    group: str | None
    kinds: tuple[str, ...]
    is_external: bool
    is_partitioned: bool
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """Dependency of one asset on another.

    Attributes:
        source: The upstream asset.
        target: The downstream asset.
        is_loaded: Whether the value is loaded; otherwise the dependency only decides the order.
    """

    source: str
    target: str
    is_loaded: bool = True


@dataclass(frozen=True, slots=True)
class Lineage:
    """Assets in execution order, and the edges between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def handlers(self) -> list[str]:
        """Names of the handlers, those with the most assets first."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.handler] = counts.get(node.handler, 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))

    def around(self, names: Iterable[str]) -> Lineage:
        """Return the lineage of these assets, everything upstream and everything downstream of them."""
        names = set(names)
        upstream = _reachable(names, [(edge.target, edge.source) for edge in self.edges])
        downstream = _reachable(names, [(edge.source, edge.target) for edge in self.edges])
        return self.only(names | upstream | downstream)

    def only(self, names: Iterable[str]) -> Lineage:
        """Return the lineage of exactly these assets."""
        kept = set(names)
        return Lineage(
            tuple(node for node in self.nodes if node.name in kept),
            tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
        )

    def near(self, name: str, depth: int) -> Lineage:
        """Return the lineage of an asset and everything within a number of edges upstream or downstream of it.

        Args:
            name: The asset.
            depth: Number of edges.
        """
        upstream = _reachable({name}, [(edge.target, edge.source) for edge in self.edges], depth)
        downstream = _reachable({name}, [(edge.source, edge.target) for edge in self.edges], depth)
        return self.only({name} | upstream | downstream)

    def by_group(self) -> Lineage:
        """Return the lineage of groups: one node per group, named like it, and per asset without one.

        Groups may depend on each other in both directions.
        """
        owners = {node.name: node.group or node.name for node in self.nodes}
        members: dict[str, list[Node]] = {}
        for node in self.nodes:
            members.setdefault(owners[node.name], []).append(node)
        edges: dict[tuple[str, str], bool] = {}
        for edge in self.edges:
            pair = owners[edge.source], owners[edge.target]
            if pair[0] != pair[1]:
                edges[pair] = edges.get(pair, False) or edge.is_loaded
        return Lineage(
            tuple(_group_node(name, nodes) for name, nodes in members.items()),
            tuple(Edge(source, target, is_loaded) for (source, target), is_loaded in edges.items()),
        )

    def document(self) -> dict[str, Any]:
        """Return the lineage as a JSON document."""
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
                    "description": node.description,
                }
                for node in self.nodes
            ],
            "edges": [
                {"from": edge.source, "to": edge.target, "loaded": edge.is_loaded} for edge in self.edges
            ],
        }


def build_lineage(graph: Graph) -> Lineage:
    """Build the lineage of assets from a resolved graph; a graph asset is one node.

    Args:
        graph: The graph.
    """
    order = {name: index for index, name in enumerate(graph.steps)}
    assets = [output for output in graph.outputs.values() if output.is_asset]
    assets.sort(key=lambda output: order.get(output.step_name or "", -1))
    nodes = tuple(
        Node(
            output.name,
            *storing_handler(output),
            output.group,
            output.kinds,
            output.step_name is None,
            output.partitions_def is not None,
            output.description,
        )
        for output in assets
    )
    owners = _graph_asset_by_member(graph)
    edges: dict[tuple[str, str], bool] = {}
    for step in graph.steps.values():
        for target in _targets(step, owners):
            for name, is_loaded in _sources(step).items():
                source = owners.get(name, name)
                if source != target:
                    edges[source, target] = edges.get((source, target), False) or is_loaded
    names = {node.name for node in nodes}
    return Lineage(
        nodes,
        tuple(
            Edge(source, target, is_loaded)
            for (source, target), is_loaded in edges.items()
            if source in names and target in names
        ),
    )


def _graph_asset_by_member(graph: Graph) -> dict[str, str]:
    """Map each node inside a graph asset to that asset."""
    owners: dict[str, str] = {}
    for member, steps in graph.members.items():
        output = graph.outputs.get(member)
        if output is not None and output.is_asset:
            for name in steps:
                if name not in graph.outputs or not graph.outputs[name].is_asset:
                    owners.setdefault(name, member)
    return owners


def _sources(step: Step) -> dict[str, bool]:
    """Map each dependency of a step to whether its value is loaded."""
    loaded = [step_input.upstream.name for step_input in step.inputs]
    return {name: name in loaded for name in (*loaded, *step.waits_for)}


def _targets(step: Step, owners: Mapping[str, str]) -> list[str]:
    assets = [output.name for output in step.outputs if output.is_asset]
    return assets or ([owners[step.name]] if step.name in owners else [])


def _group_node(name: str, nodes: list[Node]) -> Node:
    handler = Counter(node.handler for node in nodes).most_common(1)[0][0]
    kinds = tuple(dict.fromkeys(kind for node in nodes for kind in node.kinds))
    return Node(
        name,
        handler,
        f"stores most of its {len(nodes)} assets",
        nodes[0].group,
        kinds,
        all(node.is_external for node in nodes),
        any(node.is_partitioned for node in nodes),
    )


def _reachable(names: Iterable[str], edges: Iterable[tuple[str, str]], depth: int | None = None) -> set[str]:
    """Return the names that the edges reach from these names, in any number of steps or at most `depth`."""
    neighbors: dict[str, list[str]] = {}
    for source, target in edges:
        neighbors.setdefault(source, []).append(target)
    reached: set[str] = set()
    pending = list(names)
    while pending and depth != 0:
        new = {name for source in pending for name in neighbors.get(source, ())} - reached
        reached |= new
        pending = list(new)
        depth = None if depth is None else depth - 1
    return reached
