"""Where to draw assets: in columns from left to right, so that lines are short and cross little.

The method of Sugiyama, Tagawa and Toda (1981) in its simplest form: columns by the longest path, stand-ins where a line
passes a column, order by the mean position of neighbours, heights by a few rounds of relaxation.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers_cli.lineage.model import Lineage

ROW: Final = 46.0
LANE: Final = 18.0
GAP: Final = 64.0
HEIGHT: Final = 30.0
_CHARACTER: Final = 7.4
_PADDING: Final = 26.0
_SWEEPS: Final = 12
_RELAXATIONS: Final = 24


@dataclass(slots=True, eq=False)
class Box:
    """One place in a column: an asset, or where a line passes.

    Attributes:
        name: The asset; empty for a passing line.
        column: Which column, from the left.
        x: Left edge.
        y: Middle.
        width: How wide; 0 for a passing line.
    """

    name: str
    column: int
    width: float = 0.0
    x: float = 0.0
    y: float = 0.0
    before: list[Box] = field(default_factory=list)
    after: list[Box] = field(default_factory=list)

    @property
    def space(self) -> float:
        """How much height it takes."""
        return ROW if self.name else LANE


@dataclass(frozen=True, slots=True)
class Layout:
    """Places for everything.

    Attributes:
        boxes: The box of each asset.
        paths: For each edge, by source and target, the boxes from one to the other.
        width: Of the whole, without margin.
        height: Of the whole, without margin.
    """

    boxes: Mapping[str, Box]
    paths: Mapping[tuple[str, str], Sequence[Box]]
    width: float
    height: float


def layout(lineage: Lineage) -> Layout:
    """Find a place for every asset and every line.

    Args:
        lineage: What to draw; without circles.

    Returns:
        The places, the same ones for the same lineage.
    """
    columns = _columns(lineage)
    boxes = {
        node.name: Box(node.name, columns[node.name], len(node.name) * _CHARACTER + _PADDING)
        for node in lineage.nodes
    }
    layers: list[list[Box]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
    for box in boxes.values():
        layers[box.column].append(box)
    paths = {
        (edge.source, edge.target): _path(boxes[edge.source], boxes[edge.target], layers)
        for edge in lineage.edges
    }
    _order(layers)
    _place_across(layers)
    _place_down(layers)
    everything = [box for layer in layers for box in layer]
    return Layout(
        boxes,
        paths,
        max((box.x + box.width for box in everything), default=0.0),
        max((box.y + box.space / 2 for box in everything), default=0.0),
    )


def _columns(lineage: Lineage) -> dict[str, int]:
    """The longest way from anything that has nothing before it; nodes come in an order in which that is one pass."""
    columns = {node.name: 0 for node in lineage.nodes}
    after: dict[str, list[str]] = {}
    for edge in lineage.edges:
        after.setdefault(edge.source, []).append(edge.target)
    for node in lineage.nodes:
        for target in after.get(node.name, ()):
            columns[target] = max(columns[target], columns[node.name] + 1)
    # what has no input of its own stands right before its first use
    for node in lineage.nodes:
        if columns[node.name] == 0 and node.name in after:
            columns[node.name] = min(columns[target] for target in after[node.name]) - 1
    return columns


def _path(source: Box, target: Box, layers: list[list[Box]]) -> list[Box]:
    path = [source]
    for column in range(source.column + 1, target.column):
        lane = Box("", column)
        layers[column].append(lane)
        path.append(lane)
    path.append(target)
    for left, right in itertools.pairwise(path):
        left.after.append(right)
        right.before.append(left)
    return path


def _order(layers: list[list[Box]]) -> None:
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else layers[::-1]:
            _sort_by_neighbours(layer, layers, forward=forward)


def _sort_by_neighbours(layer: list[Box], layers: list[list[Box]], *, forward: bool) -> None:
    column = layer[0].column + (-1 if forward else 1)
    if not 0 <= column < len(layers):
        return
    position = {id(box): float(index) for index, box in enumerate(layers[column])}
    here = {id(box): float(index) for index, box in enumerate(layer)}

    def wanted(box: Box) -> float:
        neighbours = box.before if forward else box.after
        return sum(position[id(one)] for one in neighbours) / len(neighbours) if neighbours else here[id(box)]

    layer.sort(key=wanted)


def _place_across(layers: list[list[Box]]) -> None:
    x = 0.0
    for layer in layers:
        width = max((box.width for box in layer), default=0.0)
        for box in layer:
            box.x = x if box.name else x + width / 2
        x += width + GAP


def _place_down(layers: list[list[Box]]) -> None:
    for layer in layers:
        _stack(layer, [index * ROW for index in range(len(layer))])
    for _ in range(_RELAXATIONS):
        for layer in (*layers, *layers[::-1]):
            _stack(layer, [_mean_height(box) for box in layer])
    top = min((box.y - box.space / 2 for layer in layers for box in layer), default=0.0)
    for layer in layers:
        for box in layer:
            box.y -= top


def _mean_height(box: Box) -> float:
    neighbours = [*box.before, *box.after]
    return sum(one.y for one in neighbours) / len(neighbours) if neighbours else box.y


def _stack(layer: list[Box], wanted: list[float]) -> None:
    """Come as close to the wanted heights as order and distances let."""
    distances = [0.0]
    for above, below in itertools.pairwise(layer):
        distances.append(distances[-1] + (above.space + below.space) / 2)
    # without the distances it is a sequence that must not fall; pools of equal mean are the nearest such one
    pools: list[tuple[float, int]] = []
    for target, distance in zip(wanted, distances, strict=True):
        total, count = target - distance, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            total, count = total + pools[-1][0], count + pools[-1][1]
            pools.pop()
        pools.append((total, count))
    heights = [total / count for total, count in pools for _ in range(count)]
    for box, height, distance in zip(layer, heights, distances, strict=True):
        box.y = height + distance
