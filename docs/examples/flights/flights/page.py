"""The report: a page that opens in a browser, and the folder where reports are written."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import polars as pl

import rivers as rs

STYLE = "body { font: 16px system-ui; max-width: 44rem; margin: 3rem auto } td { padding-right: 2rem }"


class Reports(rs.Resource):
    """Where reports go: a resource, so that a test or another environment can say another folder.

    Args:
        folder: The folder; it is made when it is needed.
    """

    folder: Path = Path("reports")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder, and say where it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def page(advice: str, chart: bytes, *tables: pl.DataFrame) -> str:
    """The whole page as HTML, with the chart inside it."""
    image = base64.b64encode(chart).decode()
    return (
        f"<!doctype html><meta charset='utf-8'><title>Out of New York, 2013</title><style>{STYLE}</style>"
        f"<h1>Out of New York, 2013</h1><p>{escape(advice)}</p>"
        f"<h2>Late, by the hour of departure from 5 to 23</h2>"
        f"<img alt='share of late flights' src='data:image/png;base64,{image}'>"
        + "".join(f"<h2>By {escape(table.columns[0])}</h2>{as_html(table)}" for table in tables)
    )


def as_html(table: pl.DataFrame) -> str:
    """A table in HTML; fractions with two digits."""
    rows = [table.columns, *([shown(cell) for cell in row] for row in table.rows())]
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def shown(cell: object) -> str:
    """A cell as a reader wants it."""
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
