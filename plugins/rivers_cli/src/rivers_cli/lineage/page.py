"""The lineage as a page that opens in any browser, with nothing to fetch."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from rivers_cli.lineage.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_cli.lineage.model import Lineage


def page_of(lineage: Lineage, title: str, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Make a page of a lineage.

    Args:
        lineage: What to show.
        title: The heading of the page.
        facts: What is shown of an asset when it is chosen, by asset.

    Returns:
        A complete HTML document.
    """
    template = Template((files("rivers_cli.lineage") / "page.html.template").read_text(encoding="utf-8"))
    edges = [[edge.source, edge.target] for edge in lineage.edges]
    data = json.dumps({"edges": edges, "facts": facts}, ensure_ascii=False, default=str)
    return template.substitute(
        title=escape(title),
        count=len(lineage.nodes),
        svg=svg_of(lineage),
        data=data.replace("<", "\\u003c"),
    )
