"""HTML tables that notebooks show for definitions, events, results, plans and repositories."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["html_facts", "html_table"]


def html_facts(caption: str, facts: Mapping[str, object]) -> str:
    """Return an HTML table of names and values, without those that are None or empty."""
    rows = [
        (name, str(value)) for name, value in facts.items() if value is not None and value not in ("", [], ())
    ]
    return html_table(caption, ("", ""), rows)


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; every text is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    cells = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
