"""`rivers graph`: pictures that hold what is made of what, whatever the names."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers_cli.lineage.layout import HEIGHT, layout
from rivers_cli.lineage.mermaid import mermaid_of
from rivers_cli.lineage.model import Edge, Lineage, Node, lineage_of
from rivers_cli.lineage.page import page_of
from rivers_cli.lineage.svg import svg_of

SVG = "{http://www.w3.org/2000/svg}"
NASTY = ["a", "<b>", 'say "c"', "d & e", "f --> g", "</script>", "ü", "h]h", "%% i"]


def node(name, handler="files", group=None, **facts):
    return Node(
        name,
        handler,
        "named on the asset",
        group,
        (),
        facts.get("external", False),
        facts.get("parts", False),
    )


@st.composite
def lineages(draw):
    names = draw(st.lists(st.sampled_from(NASTY), unique=True, max_size=9))
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
def test_lines_go_from_left_to_right_and_boxes_of_a_column_do_not_touch(lineage):
    places = layout(lineage)
    for edge in lineage.edges:
        source, target = places.boxes[edge.source], places.boxes[edge.target]
        assert source.x + source.width < target.x
        assert [box.column for box in places.paths[edge.source, edge.target]] == list(
            range(source.column, target.column + 1)
        )
    boxes = sorted(places.boxes.values(), key=lambda box: (box.column, box.y))
    for above, below in pairwise(boxes):
        if above.column == below.column:
            assert below.y - above.y > HEIGHT
    assert all(0 <= box.x <= places.width and 0 <= box.y <= places.height for box in boxes)


@settings(max_examples=60)
@given(lineages())
def test_a_picture_is_sound_xml_with_every_asset_line_and_handler(lineage):
    root = ET.fromstring(svg_of(lineage))
    assert [one.get("data-asset") for one in root.iter(f"{SVG}g") if one.get("data-asset")] == [
        one.name for one in lineage.nodes
    ]
    drawn = {
        (one.get("data-from"), one.get("data-to")) for one in root.iter(f"{SVG}path") if one.get("data-from")
    }
    assert drawn == {(edge.source, edge.target) for edge in lineage.edges}
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert set(lineage.handlers) <= set(texts)


@settings(max_examples=60)
@given(lineages())
def test_mermaid_names_nothing_that_could_be_taken_for_syntax(lineage):
    text = mermaid_of(lineage)
    assert text.startswith("flowchart LR\n")
    for line in text.splitlines()[1:]:
        assert re.fullmatch(
            r'\s+(n\d+(\[|\(\[)"[^"<>]*"(\]|\]\))|subgraph g\d+\["[^"<>]*"\]|end|n\d+ (-->|-\.->) n\d+|'
            r"%% .*|classDef h\d+ [^\"]*|class [n\d,]+ h\d+)",
            line,
        ), line


@settings(max_examples=30)
@given(lineages())
def test_a_page_is_whole_and_its_data_cannot_end_its_script(lineage):
    page = page_of(lineage, "<project>", {one.name: {"State": "</script><b>"} for one in lineage.nodes})
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


def test_the_lineage_is_of_assets_and_hides_what_is_inside_a_graph():
    lineage = lineage_of(graph())
    assert [one.name for one in lineage.nodes] == ["feed", "daily", "left", "right", "doubled", "report"]
    assert {(edge.source, edge.target, edge.is_loaded) for edge in lineage.edges} == {
        ("feed", "daily", True),
        ("feed", "left", True),
        ("feed", "right", True),
        ("left", "doubled", True),
        ("doubled", "report", True),
        ("right", "report", False),
    }
    by_name = {one.name: one for one in lineage.nodes}
    assert by_name["feed"].is_external
    assert by_name["daily"].is_partitioned
    assert by_name["report"].handler == "itself"


def test_around_an_asset_is_what_it_is_made_of_and_what_is_made_of_it():
    lineage = lineage_of(graph()).around(["left"])
    assert [one.name for one in lineage.nodes] == ["feed", "left", "doubled", "report"]


def test_the_ending_of_the_file_says_what_is_written(project):
    for name, begins in (("a.svg", "<svg"), ("a.html", "<!doctype html>"), ("a.mmd", "flowchart")):
        project.ok("graph", "-o", name)
        assert (project.path / name).read_text().startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "picture.png"], "its ending does not say"),
        (["--svg", "--mermaid"], "Choose one of --svg and --mermaid"),
        (["nothing"], "'nothing'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(project, arguments, said):
    done = project.rivers("graph", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_page_tells_how_each_asset_stands(project):
    project.ok("materialize", "orders")
    project.ok("graph", "-o", "a.html")
    page = (project.path / "a.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    facts = json.loads(data)["facts"]
    assert facts["orders"]["State"] == "fresh"
    assert facts["report"]["State"] == "missing"
