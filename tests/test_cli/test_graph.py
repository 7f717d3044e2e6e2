"""`rivers graph`: formats, errors, and the facts of the page."""

from __future__ import annotations

import json
import re

import pytest


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", "<svg"), ("a.html", "<!doctype html>"), ("a.mmd", "flowchart")]
)
def test_graph_format_is_that_of_file_suffix(project, name, start):
    project.ok("graph", "-o", name)
    assert (project.path / name).read_text().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "picture.png"], "unknown suffix '.png'"),
        (["--svg", "--mermaid"], "only one of --svg and --mermaid"),
        (["nothing"], "'nothing'"),
    ],
)
def test_graph_rejects_invalid_call(project, arguments, message):
    done = project.rivers("graph", *arguments)
    assert done.code == 2
    assert message in done.err


def test_graph_page_shows_state_of_assets(project):
    project.ok("materialize", "orders")
    project.ok("graph", "-o", "a.html")
    page = (project.path / "a.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    facts = json.loads(data)["facts"]
    assert facts["orders"]["State"] == "fresh"
    assert facts["report"]["State"] == "missing"
