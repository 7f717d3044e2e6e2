"""Lineage: layout, drawings with any names, and the graph of a repository."""

from __future__ import annotations

import json
import re
from itertools import combinations
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers.inspection.layout import BOX_HEIGHT, compute_layout
from rivers.inspection.lineage import Edge, Lineage, Node, build_lineage
from rivers_cli.lineage_drawing import render_html, render_mermaid, render_svg

SVG = "{http://www.w3.org/2000/svg}"
NASTY_NAMES = ["a", "<b>", 'say "c"', "d & e", "f --> g", "</script>", "ü", "h]h", "%% i"]


def node(name, handler="files", group=None, **facts):
    return Node(
        name,
        handler,
        "named on the asset",
        group,
        (),
        facts.get("external", False),
        facts.get("partitioned", False),
    )


@st.composite
def lineages(draw):
    names = draw(st.lists(st.sampled_from(NASTY_NAMES), unique=True, max_size=9))
    edges = [
        Edge(names[source], names[target], draw(st.booleans()))
        for target in range(len(names))
        for source in draw(st.sets(st.integers(0, max(target - 1, 0)), max_size=3))
        if source < target
    ]
    handler, group = st.sampled_from(["files", "lake & co"]), st.sampled_from([None, "raw", "<x>"])
    nodes = tuple(node(name, draw(handler), draw(group), external=draw(st.booleans())) for name in names)
    return Lineage(nodes, tuple(edges))


@settings(max_examples=60)
@given(lineages())
def test_layout_has_edges_to_the_right_and_separate_boxes(lineage):
    widths = {item.name: 20.0 + len(item.name) for item in lineage.nodes}
    layout = compute_layout(widths, [(edge.source, edge.target) for edge in lineage.edges])
    for edge in lineage.edges:
        source, target = layout.boxes[edge.source], layout.boxes[edge.target]
        assert source.x + source.width < target.x
        columns = [box.column for box in layout.paths[edge.source, edge.target]]
        assert columns == list(range(source.column, target.column + 1))
    for box, neighbor in combinations(layout.boxes.values(), 2):
        is_apart = box.x + box.width < neighbor.x or neighbor.x + neighbor.width < box.x
        assert is_apart or abs(box.y - neighbor.y) > BOX_HEIGHT
    assert all(0 <= box.x <= layout.width and 0 <= box.y <= layout.height for box in layout.boxes.values())


def test_layout_accepts_nodes_in_any_order():
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    boxes = compute_layout({"c": 10.0, "b": 10.0, "a": 10.0}, edges).boxes
    assert [boxes[name].column for name in "abc"] == [0, 1, 2]


def test_layout_places_node_without_inputs_next_to_its_target():
    boxes = compute_layout(dict.fromkeys("abcd", 10.0), [("a", "b"), ("b", "c"), ("d", "c")]).boxes
    assert boxes["d"].column == 1


def test_layout_of_empty_graph_is_empty():
    layout = compute_layout({}, [])
    assert (layout.boxes, layout.width, layout.height) == ({}, 0.0, 0.0)


def test_layout_draws_the_edge_that_closes_a_cycle_backwards():
    layout = compute_layout({"a": 10, "b": 10, "c": 10}, [("a", "b"), ("b", "c"), ("c", "a")])
    assert [layout.boxes[name].column for name in "abc"] == [0, 1, 2]
    path = layout.paths["c", "a"]
    assert (path[0].name, path[-1].name) == ("c", "a")
    assert [box.column for box in path] == [2, 1, 0]


def test_layout_packs_unconnected_nodes_into_rows():
    layout = compute_layout({f"n{i}": 100 for i in range(400)}, [])
    assert 0.5 < layout.width / layout.height < 3.5
    places = {(box.x, box.y) for box in layout.boxes.values()}
    assert len(places) == 400


@settings(max_examples=60)
@given(lineages())
def test_svg_is_valid_and_has_all_assets_edges_and_handlers(lineage):
    root = ET.fromstring(render_svg(lineage))
    assets = [item.get("data-asset") for item in root.iter(f"{SVG}g") if item.get("data-asset")]
    assert assets == [item.name for item in lineage.nodes]
    paths = {(item.get("data-from"), item.get("data-to")) for item in root.iter(f"{SVG}path")}
    assert paths - {(None, None)} == {(edge.source, edge.target) for edge in lineage.edges}
    texts = [item.text for item in root.iter(f"{SVG}text")]
    assert set(lineage.handlers) <= set(texts)


@settings(max_examples=60)
@given(lineages())
def test_mermaid_quotes_names(lineage):
    text = render_mermaid(lineage)
    assert text.startswith("flowchart LR\n")
    for line in text.splitlines()[1:]:
        assert re.fullmatch(
            r'\s+(n\d+(\[|\(\[)"[^"<>]*"(\]|\]\))|subgraph g\d+\["[^"<>]*"\]|end|n\d+ (-->|-\.->) n\d+|'
            r"%% .*|classDef h\d+ [^\"]*|class [n\d,]+ h\d+)",
            line,
        ), line


@settings(max_examples=30)
@given(lineages())
def test_html_escapes_title_and_data(lineage):
    facts = {item.name: {"State": "</script><b>"} for item in lineage.nodes}
    page = render_html(lineage, "<project>", facts, dict.fromkeys(facts, "fresh"))
    assert "<project>" not in page
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert json.loads(data)["edges"] == [[edge.source, edge.target] for edge in lineage.edges]
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def graph():
    days = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-03")
    feed = rs.Asset.external(name="feed", io_handler=rs.InMemoryIOHandler())

    @rs.Asset(partitions_def=days)
    def daily(feed: int) -> int:
        return feed

    @rs.Asset.from_multi(output_defs=[rs.AssetDef("left"), rs.AssetDef("right")])
    def both(feed: int) -> dict[str, int]:
        return {"left": 1, "right": 2}

    @rs.Task
    def double(value: int) -> int:
        return value * 2

    @rs.Asset.from_graph()
    def doubled(left: int) -> int:
        return double(double(left))

    @rs.Asset(deps=[rs.AssetDef.dep("right")])
    def report(doubled: int) -> rs.Materialization:
        return rs.Materialization()

    return rs.CodeRepository([feed, daily, both, doubled, report], config=False).graph


def test_lineage_has_assets_and_hides_graph_members():
    lineage = build_lineage(graph())
    assert [item.name for item in lineage.nodes] == ["feed", "daily", "left", "right", "doubled", "report"]
    assert {(edge.source, edge.target, edge.is_loaded) for edge in lineage.edges} == {
        ("feed", "daily", True),
        ("feed", "left", True),
        ("feed", "right", True),
        ("left", "doubled", True),
        ("doubled", "report", True),
        ("right", "report", False),
    }
    nodes = {item.name: item for item in lineage.nodes}
    assert nodes["feed"].is_external
    assert nodes["daily"].is_partitioned
    assert nodes["report"].handler == "itself"


def test_lineage_around_asset_is_upstream_and_downstream():
    lineage = build_lineage(graph()).around(["left"])
    assert [item.name for item in lineage.nodes] == ["feed", "left", "doubled", "report"]


@settings(max_examples=20)
@given(lineages())
def test_svg_outlines_each_group_with_its_edges(lineage):
    groups = {item.name: item.group for item in lineage.nodes}
    drawn = {item.get("data-group"): item for item in ET.fromstring(render_svg(lineage)).iter(f"{SVG}g")}
    for group in {*groups.values()} - {None}:
        members = [name for name, own in groups.items() if own == group]
        inner = [edge for edge in lineage.edges if groups[edge.source] == group == groups[edge.target]]
        assert len(drawn[group].findall(f"{SVG}rect")) >= 2 * len(members)
        assert len(drawn[group].findall(f"{SVG}path")) == 2 * len(inner)
    assert {*drawn} - {None} == {*groups.values()} - {None}
