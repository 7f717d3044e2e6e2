"""Draw a lineage as SVG, as an HTML page without external resources, or as Mermaid text."""

from __future__ import annotations

import itertools
import json
from html import escape as escape_html
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from rivers.inspection.layout import BOX_HEIGHT, ROW_HEIGHT, compute_layout
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rivers.inspection.layout import Box, Layout
    from rivers.inspection.lineage import Edge, Lineage, Node

_MARGIN: Final = 16.0
_LEGEND_HEIGHT: Final = 34.0
_SWATCH: Final = 12.0
_LEGEND_CHARACTER: Final = 7.0
_CHARACTER: Final = 7.4
_PADDING: Final = 26.0
_SYMBOL: Final = 14.0
# around a box of a group: its name is above, the second box of a partitioned asset below
_OUTLINE_SIDE: Final = 7.0
_OUTLINE_ABOVE: Final = 11.0
_OUTLINE_BELOW: Final = 3.5
_OUTLINE_WIDTH: Final = 14.0

# attributes besides the style sheet, for viewers that ignore style sheets
_LINE: Final = 'fill="none" stroke="#8a8f98" stroke-width="1.4"'
_FONT: Final = 'font-family="ui-sans-serif, system-ui, sans-serif" font-size="13"'
_STYLE: Final = """
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1a1a1a }
.legend text, .empty { font-size: 12px; fill: #444 }
.node .group { font-size: 9px; fill: #666 }
.outline .border { stroke: #b4bac4 } .outline rect.border { fill: #b4bac4 }
.outline .inside { stroke: #f1f3f6 } .outline rect.inside { fill: #f1f3f6 }
.edge { fill: none; stroke: #8a8f98; stroke-width: 1.4 }
.edge.order { stroke-dasharray: 4 4 }
.node rect { stroke-width: 1.4 }
.node.external rect { stroke-dasharray: 5 3 }
@media (prefers-color-scheme: dark) {
.legend text, .empty { fill: #c9c9c9 } .node .group { fill: #c9c9c9 } .edge { stroke: #7c828c }
.outline .border { stroke: #565d68 } .outline rect.border { fill: #565d68 }
.outline .inside { stroke: #2a2e34 } .outline rect.inside { fill: #2a2e34 }
}
""".strip()


class Color(NamedTuple):
    """Color of a handler: fill and border of its boxes."""

    fill: str
    border: str


# distinguishable with color vision deficiency (after Okabe and Ito, 2008), and light enough for dark text
_PALETTE: Final = (
    Color("#cfe5f5", "#0072b2"),
    Color("#fbe3bd", "#b87700"),
    Color("#c9ece1", "#00795a"),
    Color("#f3d3e4", "#a8487f"),
    Color("#f8d5c3", "#b34700"),
    Color("#f4efb0", "#7d7400"),
    Color("#d9d5f0", "#5a4fa3"),
    Color("#dcdcdc", "#555555"),
)


def handler_colors(lineage: Lineage) -> dict[str, Color]:
    """Return a color for each handler; handlers beyond the palette share its last color."""
    return {
        handler: _PALETTE[min(index, len(_PALETTE) - 1)] for index, handler in enumerate(lineage.handlers)
    }


def render_svg(lineage: Lineage, room: float = 0.0) -> str:
    """Draw a lineage as SVG, colored by handler, for light and dark color schemes.

    Args:
        lineage: The lineage to draw.
        room: Room in each box besides its name.

    Returns:
        An SVG document. External assets have a dashed border, partitioned assets a second box, dependencies without
        a loaded value a dashed line. An outline surrounds the assets of a group and the edges between them; the group
        is written above the box of each.
    """
    widths = {node.name: len(node.name) * _CHARACTER + _PADDING + room for node in lineage.nodes}
    layout = compute_layout(widths, [(edge.source, edge.target) for edge in lineage.edges])
    colors = handler_colors(lineage)
    legend, legend_width = _legend(colors)
    width = max(layout.width, legend_width) + 2 * _MARGIN
    height = layout.height + _LEGEND_HEIGHT + 2 * _MARGIN
    label = f"Lineage of {counted(len(lineage.nodes), 'asset')}, colored by handler"
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" {_FONT} aria-label={quoteattr(label)}>'
        ),
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#8a8f98"/></marker></defs>'
        ),
        f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">',
        *_svg_outlines(lineage, layout),
        *(_svg_edge(edge, layout.paths[edge.source, edge.target]) for edge in lineage.edges),
        *(_svg_node(node, layout.boxes[node.name], colors[node.handler]) for node in lineage.nodes),
        *(['<text class="empty" y="20">no assets</text>'] if not lineage.nodes else []),
        "</g>",
        f'<g class="legend" transform="translate({_MARGIN:.0f} {layout.height + 2 * _MARGIN:.0f})">',
        *legend,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def render_html(
    lineage: Lineage, title: str, facts: Mapping[str, Mapping[str, Any]], states: Mapping[str, str]
) -> str:
    """Draw a lineage as an HTML page that opens in any browser.

    Args:
        lineage: The lineage to draw.
        title: Heading of the page.
        facts: Facts by asset, which the page shows when the asset is selected.
        states: State of each asset in one word, such as `fresh`: a symbol in its box, and its color on request.

    Returns:
        A complete HTML document.
    """
    template = Template((files("rivers_cli") / "lineage.html.template").read_text(encoding="utf-8"))
    edges = [[edge.source, edge.target] for edge in lineage.edges]
    document = {
        "edges": edges,
        "facts": facts,
        "states": states,
        "handlers": {node.name: node.handler for node in lineage.nodes},
        "colors": handler_colors(lineage),
    }
    data = json.dumps(document, ensure_ascii=False, default=str)
    return template.substitute(
        title=escape_html(title),
        count=len(lineage.nodes),
        svg=render_svg(lineage, _SYMBOL),
        data=data.replace("<", "\\u003c"),
    )


def render_mermaid(lineage: Lineage) -> str:
    """Write a lineage as a Mermaid flowchart, which GitHub and many wikis draw.

    Args:
        lineage: The lineage to draw.

    Returns:
        Text of the diagram: boxes colored by handler, groups as subgraphs, external assets with round ends.
    """
    return "\n".join(_mermaid_lines(lineage)) + "\n"


def _svg_node(node: Node, box: Box, color: Color) -> str:
    top = box.y - BOX_HEIGHT / 2
    shape = f'width="{box.width:.1f}" height="{BOX_HEIGHT:.0f}" rx="7" fill="{color.fill}" stroke="{color.border}"'
    second_box = f'<rect x="{box.x + 3:.1f}" y="{top + 3:.1f}" {shape}/>' if node.is_partitioned else ""
    kind = "node external" if node.is_external else "node"
    group = (
        f'<text class="group" x="{box.x + 2:.1f}" y="{top - 3:.1f}" font-size="9">{escape(node.group)}</text>'
        if node.group
        else ""
    )
    return (
        f'<g class="{kind}" data-asset={quoteattr(node.name)}><title>{escape(_tooltip(node))}</title>{second_box}'
        f'<rect x="{box.x:.1f}" y="{top:.1f}" {shape}/>'
        f'<text x="{box.x + box.width / 2:.1f}" y="{box.y + 4.5:.1f}" text-anchor="middle">{escape(node.name)}</text>'
        f"{group}</g>"
    )


def _tooltip(node: Node) -> str:
    facts = [f"{node.name}: handler {node.handler} ({node.reason})" if node.reason else node.name]
    facts += [f"group {node.group}"] if node.group else []
    facts += [", ".join(node.kinds)] if node.kinds else []
    facts += ["partitioned"] if node.is_partitioned else []
    facts += ["external"] if node.is_external else []
    return "; ".join(facts) + (f"\n{node.description}" if node.description else "")


def _svg_outlines(lineage: Lineage, layout: Layout) -> Iterator[str]:
    """Draw the outline of each group: the union of its boxes and edges, all drawn twice, the second time narrower."""
    groups: dict[str, list[str]] = {}
    for node in lineage.nodes:
        if node.group:
            groups.setdefault(node.group, []).append(node.name)
    for group, names in groups.items():
        members = set(names)
        curves = [
            _edge_curve(layout.paths[edge.source, edge.target])
            for edge in lineage.edges
            if edge.source in members and edge.target in members
        ]
        boxes = sorted((layout.boxes[name] for name in names), key=lambda box: (box.x, box.y))
        stacked = [pair for pair in itertools.pairwise(boxes) if _are_neighbors(*pair)]
        yield f'<g class="outline" data-group={quoteattr(group)}>'
        for kind, color, grown in (("border", "#b4bac4", 1.2), ("inside", "#f1f3f6", 0.0)):
            width = _OUTLINE_WIDTH + 2 * grown
            path = f'class="{kind}" fill="none" stroke="{color}" stroke-width="{width:.1f}"'
            yield from (f'<path {path} d="{curve}"/>' for curve in curves)
            yield from (_svg_outline_of(box, kind, color, grown) for box in boxes)
            yield from (_svg_link(*pair, kind, color, grown) for pair in stacked)
        yield "</g>"


def _are_neighbors(above: Box, below: Box) -> bool:
    """Return whether two boxes of a column have nothing between them, not even an edge."""
    return above.x == below.x and below.y - above.y <= ROW_HEIGHT + 0.5


def _svg_link(above: Box, below: Box, kind: str, color: str, grown: float) -> str:
    width = min(above.width, below.width) + 2 * grown
    return (
        f'<rect class="{kind}" x="{above.x - grown:.1f}" y="{above.y:.1f}" width="{width:.1f}" '
        f'height="{below.y - above.y:.1f}" fill="{color}" stroke="{color}" stroke-width="0"/>'
    )


def _svg_outline_of(box: Box, kind: str, color: str, grown: float) -> str:
    """Return the rectangle around a box and the name of its group."""
    side, above = _OUTLINE_SIDE + grown, _OUTLINE_ABOVE + grown
    x, y = box.x - side, box.y - BOX_HEIGHT / 2 - above
    width, height = box.width + 2 * side, BOX_HEIGHT + above + _OUTLINE_BELOW + grown
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="10" '
        f'fill="{color}" stroke="{color}" stroke-width="0"/>'
    )


def _svg_edge(edge: Edge, path: Sequence[Box]) -> str:
    kind = "edge" if edge.is_loaded else "edge order"
    return (
        f'<path class="{kind}" {_LINE} data-from={quoteattr(edge.source)} data-to={quoteattr(edge.target)} '
        f'd="{_edge_curve(path)}" marker-end="url(#arrow)"/>'
    )


def _edge_curve(path: Sequence[Box]) -> str:
    return _curve([(path[0].x + path[0].width, path[0].y), *((box.x, box.y) for box in path[1:])])


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a smooth path that is horizontal at every point."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)


def _legend(colors: Mapping[str, Color]) -> tuple[list[str], float]:
    lines: list[str] = []
    x = 0.0
    for handler, color in colors.items():
        lines.append(
            f'<rect x="{x:.1f}" y="0" width="{_SWATCH:.0f}" height="{_SWATCH:.0f}" rx="3" '
            f'fill="{color.fill}" stroke="{color.border}"/>'
            f'<text x="{x + _SWATCH + 6:.1f}" y="10.5">{escape(handler)}</text>'
        )
        x += _SWATCH + 24 + len(handler) * _LEGEND_CHARACTER
    return lines, x


def _mermaid_lines(lineage: Lineage) -> Iterator[str]:
    ids = {node.name: f"n{index}" for index, node in enumerate(lineage.nodes)}
    yield "flowchart LR"
    groups = list(dict.fromkeys(node.group for node in lineage.nodes))
    for index, group in enumerate(groups):
        shapes = [_mermaid_shape(node, ids[node.name]) for node in lineage.nodes if node.group == group]
        if group is None:
            yield from (f"    {shape}" for shape in shapes)
        else:
            yield f'    subgraph g{index}["{_quote_mermaid(group)}"]'
            yield from (f"        {shape}" for shape in shapes)
            yield "    end"
    for edge in lineage.edges:
        yield f"    {ids[edge.source]} {'-->' if edge.is_loaded else '-.->'} {ids[edge.target]}"
    for index, (handler, color) in enumerate(handler_colors(lineage).items()):
        members = ",".join(ids[node.name] for node in lineage.nodes if node.handler == handler)
        yield f"    %% {' '.join(handler.split())}"
        yield f"    classDef h{index} fill:{color.fill},stroke:{color.border},color:#1a1a1a"
        yield f"    class {members} h{index}"


def _mermaid_shape(node: Node, name: str) -> str:
    label = f'"{_quote_mermaid(node.name)}"'
    return f"{name}([{label}])" if node.is_external else f"{name}[{label}]"


def _quote_mermaid(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
