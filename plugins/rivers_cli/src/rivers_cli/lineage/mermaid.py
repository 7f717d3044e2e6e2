"""The lineage as Mermaid text, which GitHub and many wikis draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_cli.lineage.colours import colours_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_cli.lineage.model import Lineage, Node


def mermaid_of(lineage: Lineage) -> str:
    """Write a lineage as a flowchart.

    Args:
        lineage: What to write.

    Returns:
        The text of a diagram: boxes coloured by handler, groups as frames, what is made elsewhere with round ends.
    """
    return "\n".join(_lines(lineage)) + "\n"


def _lines(lineage: Lineage) -> Iterator[str]:
    ids = {node.name: f"n{index}" for index, node in enumerate(lineage.nodes)}
    yield "flowchart LR"
    groups = list(dict.fromkeys(node.group for node in lineage.nodes))
    for index, group in enumerate(groups):
        members = [node for node in lineage.nodes if node.group == group]
        if group is None:
            yield from (f"    {_shape(node, ids[node.name])}" for node in members)
            continue
        yield f'    subgraph g{index}["{_quoted(group)}"]'
        yield from (f"        {_shape(node, ids[node.name])}" for node in members)
        yield "    end"
    for edge in lineage.edges:
        yield f"    {ids[edge.source]} {'-->' if edge.is_loaded else '-.->'} {ids[edge.target]}"
    for index, (handler, colour) in enumerate(colours_of(lineage).items()):
        kept = ",".join(ids[node.name] for node in lineage.nodes if node.handler == handler)
        yield f"    %% {' '.join(handler.split())}"
        yield f"    classDef h{index} fill:{colour.fill},stroke:{colour.line},color:#1a1a1a"
        yield f"    class {kept} h{index}"


def _shape(node: Node, name: str) -> str:
    label = f'"{_quoted(node.name)}"'
    return f"{name}([{label}])" if node.is_external else f"{name}[{label}]"


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
