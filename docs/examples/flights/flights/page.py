"""The report: an HTML page, and the folder of the reports."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import polars as pl

import rivers as rs

STYLE = "body { font: 16px system-ui; max-width: 44rem; margin: 3rem auto } td { padding-right: 2rem }"


class Reports(rs.Resource):
    """Folder of the reports: a resource, so that a test or another environment can choose another folder.

    Args:
        folder: The folder; created when the first report is written.
    """

    folder: Path = Path("reports")

    def write(self, name: str, text: str) -> Path:
        """Write a file in the folder, and return its path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def page(advice: str, chart: bytes, *tables: pl.DataFrame) -> str:
    """Return the page as HTML, with the chart embedded."""
    image = base64.b64encode(chart).decode()
    return (
        f"<!doctype html><meta charset='utf-8'><title>Out of New York, 2013</title><style>{STYLE}</style>"
        f"<h1>Out of New York, 2013</h1><p>{escape(advice)}</p>"
        f"<h2>Late, by the hour of departure from 5 to 23</h2>"
        f"<img alt='share of late flights' src='data:image/png;base64,{image}'>"
        + "".join(f"<h2>By {escape(table.columns[0])}</h2>{as_html(table)}" for table in tables)
    )


def as_html(table: pl.DataFrame) -> str:
    """Return a table as HTML."""
    rows = [table.columns, *([format_cell(cell) for cell in row] for row in table.rows())]
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def format_cell(cell: object) -> str:
    """Return a cell as text, floats with two digits."""
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
