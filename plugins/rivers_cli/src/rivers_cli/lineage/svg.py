"""The lineage as SVG, for a README or a page; follows the light or dark scheme of whoever looks at it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from rivers_cli.lineage.colours import colours_of
from rivers_cli.lineage.layout import HEIGHT, layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rivers_cli.lineage.colours import Colour
    from rivers_cli.lineage.layout import Box, Layout
    from rivers_cli.lineage.model import Edge, Lineage, Node

_MARGIN: Final = 16.0
_LEGEND: Final = 34.0
_SWATCH: Final = 12.0
_CHARACTER: Final = 7.0

# what every viewer understands, also one that reads no style
_LINE: Final = 'fill="none" stroke="#8a8f98" stroke-width="1.4"'
_FONT: Final = 'font-family="ui-sans-serif, system-ui, sans-serif" font-size="13"'
_STYLE: Final = """
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1a1a1a }
.legend text, .empty { font-size: 12px; fill: #444 }
.edge { fill: none; stroke: #8a8f98; stroke-width: 1.4 }
.edge.order { stroke-dasharray: 4 4 }
.node rect { stroke-width: 1.4 }
.node.external rect { stroke-dasharray: 5 3 }
@media (prefers-color-scheme: dark) { .legend text, .empty { fill: #c9c9c9 } .edge { stroke: #7c828c } }
""".strip()


def svg_of(lineage: Lineage) -> str:
    """Draw a lineage.

    Args:
        lineage: What to draw.

    Returns:
        A complete SVG document. Boxes are coloured by handler; dashed ones are made elsewhere, those with a second
        edge are partitioned. Dashed lines mean that an asset only has to be there first.
    """
    places = layout(lineage)
    colours = colours_of(lineage)
    legend, legend_width = _legend(colours)
    width = max(places.width, legend_width) + 2 * _MARGIN
    height = places.height + _LEGEND + 2 * _MARGIN
    about = f"Lineage of {len(lineage.nodes)} assets, coloured by handler"
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" {_FONT} aria-label={quoteattr(about)}>'
        ),
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#8a8f98"/></marker></defs>'
        ),
        f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">',
        *(_edge(edge, places.paths[edge.source, edge.target]) for edge in lineage.edges),
        *(_node(node, places, colours[node.handler]) for node in lineage.nodes),
        *(['<text class="empty" y="20">no assets</text>'] if not lineage.nodes else []),
        "</g>",
        f'<g class="legend" transform="translate({_MARGIN:.0f} {places.height + 2 * _MARGIN:.0f})">',
        *legend,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _node(node: Node, places: Layout, colour: Colour) -> str:
    box = places.boxes[node.name]
    top = box.y - HEIGHT / 2
    shape = f'fill="{colour.fill}" stroke="{colour.line}"'
    behind = (
        f'<rect x="{box.x + 3:.1f}" y="{top + 3:.1f}" width="{box.width:.1f}" height="{HEIGHT:.0f}" rx="7" {shape}/>'
        if node.is_partitioned
        else ""
    )
    kind = "node external" if node.is_external else "node"
    return (
        f'<g class="{kind}" data-asset={quoteattr(node.name)}><title>{escape(_about(node))}</title>{behind}'
        f'<rect x="{box.x:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{HEIGHT:.0f}" rx="7" {shape}/>'
        f'<text x="{box.x + box.width / 2:.1f}" y="{box.y + 4.5:.1f}" text-anchor="middle">{escape(node.name)}</text>'
        "</g>"
    )


def _about(node: Node) -> str:
    facts = [f"{node.name}: kept by {node.handler} ({node.reason})" if node.reason else node.name]
    facts += [f"group {node.group}"] if node.group else []
    facts += [", ".join(node.kinds)] if node.kinds else []
    facts += ["partitioned"] if node.is_partitioned else []
    facts += ["made elsewhere"] if node.is_external else []
    return "; ".join(facts)


def _edge(edge: Edge, path: Sequence[Box]) -> str:
    points = [(path[0].x + path[0].width, path[0].y)]
    points += [(box.x, box.y) for box in path[1:]]
    kind = "edge" if edge.is_loaded else "edge order"
    return (
        f'<path class="{kind}" {_LINE} data-from={quoteattr(edge.source)} data-to={quoteattr(edge.target)} '
        f'd="{_curve(points)}" marker-end="url(#arrow)"/>'
    )


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth line that is level where it leaves, passes and arrives."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)


def _legend(colours: Mapping[str, Colour]) -> tuple[list[str], float]:
    lines: list[str] = []
    x = 0.0
    for handler, colour, width in _swatches(colours):
        lines.append(
            f'<rect x="{x:.1f}" y="0" width="{_SWATCH:.0f}" height="{_SWATCH:.0f}" rx="3" '
            f'fill="{colour.fill}" stroke="{colour.line}"/>'
            f'<text x="{x + _SWATCH + 6:.1f}" y="10.5">{escape(handler)}</text>'
        )
        x += width
    return lines, x


def _swatches(colours: Mapping[str, Colour]) -> Iterator[tuple[str, Colour, float]]:
    for handler, colour in colours.items():
        yield handler, colour, _SWATCH + 24 + len(handler) * _CHARACTER
