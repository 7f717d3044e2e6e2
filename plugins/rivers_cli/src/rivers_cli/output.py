"""Output of commands: tables and messages for people, one JSON document for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from rich.console import Console
    from rich.table import Table

# all control characters except tab and line feed
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STDOUT: Final = 1
_STDERR: Final = 2
_GAP: Final = 2
_NARROWEST: Final = 12

STYLES: Final = {
    "Success": "green", "success": "green", "fresh": "green", "ok": "green", "loaded": "green",
    "Materialization": "green",
    "Failure": "bold red", "failure": "bold red", "failed": "bold red", "broken": "bold red", "StepFailure": "bold red",
    "stale": "yellow", "missing": "yellow", "Canceled": "yellow", "canceled": "yellow", "Interrupted": "yellow",
    "denied": "yellow", "skipped": "yellow", "StepRetry": "yellow", "StepSkipped": "yellow", "Started": "cyan",
    "running": "cyan",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its heading.
        right: Align right, for numbers.
        wraps: Break its text where the terminal is narrow; other columns keep their width.
        optional: Above 0, the column is omitted where the terminal is too narrow, the highest number first.
    """

    title: str
    right: bool = False
    wraps: bool = False
    optional: int = 0


def create_console() -> Console:
    """Create a rich console that prints text unchanged: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def is_terminal() -> bool:
    """Return whether stdout is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def escape_control(text: str, stream: TextIO | None = None) -> str:
    """Escape control characters in text for a terminal, so that no value can send commands to it.

    Args:
        text: Text to print.
        stream: Stream to print to; None is stdout. Text for a file or a pipe stays as it is.
    """
    if not (sys.stdout if stream is None else stream).isatty():
        return text
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def print_error(text: str) -> None:
    """Print a message to stderr."""
    print(escape_control(text, sys.stderr), file=sys.stderr, flush=True)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: fitted to a terminal, in full width to a pipe or a file.

    Args:
        columns: Its columns.
        rows: One text per column; an empty one is printed as a dash.
    """
    dash = "–" if _is_encodable("–") else "-"
    rows = [[escape_control(text) or dash for text in row] for row in rows]
    if not is_terminal():
        print(_aligned(columns, [[" ".join(text.split()) for text in row] for row in rows]))
        return
    console = create_console()
    columns, rows = _fit(columns, rows, console.width)
    if _fits(_aligned(columns, rows), len(rows), console.width):
        print(_aligned(columns, rows, _painter(console)))
    else:
        console.print(_create_table(columns, rows))


def _fits(table: str, rows: int, width: int) -> bool:
    """Return whether a table has one line for each row and its titles, none of them wider than the terminal."""
    lines = table.split("\n")
    return len(lines) == rows + 1 and "\t" not in table and max(map(_cell_len, lines)) <= width


def _aligned(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    paint: Callable[[str, str], str] = lambda text, style: text,
) -> str:
    """Return a table whose cells have one line; rich takes 70 times as long to lay out 1,000 rows."""
    table = [[column.title for column in columns], *rows]
    sizes = [[_cell_len(text) for text in row] for row in table]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    lines = []
    for number, (texts, lengths) in enumerate(zip(table, sizes, strict=True)):
        cells = []
        for column, text, length, width in zip(columns, texts, lengths, widths, strict=True):
            painted = paint(text, STYLES.get(text.partition(" ")[0], "") if number else "bold")
            space = " " * (width - length)
            cells.append(space + painted if column.right else painted + space)
        lines.append((" " * _GAP).join(cells).rstrip())
    return "\n".join(lines)


def _painter(console: Console) -> Callable[[str, str], str]:
    """Return a function that adds the escape codes of a style to a text, as far as the terminal supports it."""
    codes: dict[str, tuple[str, str]] = {"": ("", "")}

    def paint(text: str, style: str) -> str:
        if style not in codes:
            with console.capture() as capture:
                console.print("|", style=style, end="")
            start, _, end = capture.get().partition("|")
            codes[style] = start, end
        start, end = codes[style]
        return f"{start}{text}{end}"

    return paint


def _cell_len(text: str) -> int:
    """Return the number of columns that a text takes up on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _create_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, _min_widths(columns, rows), strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.wraps,
            min_width=width,
        )
    for row in rows:
        table.add_row(*(Text(text, style=STYLES.get(text.partition(" ")[0], "")) for text in row))
    return table


def _fit(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """Omit optional columns until the table fits."""
    min_widths = _min_widths(columns, rows)
    kept = list(range(len(columns)))
    for index in sorted(kept, key=lambda index: -columns[index].optional):
        if not columns[index].optional or sum(min_widths[i] + _GAP for i in kept) - _GAP <= width:
            break
        kept.remove(index)
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _min_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    widths = [max(map(len, texts)) for texts in zip([column.title for column in columns], *rows, strict=True)]
    return [
        min(width, _NARROWEST) if column.wraps else width
        for column, width in zip(columns, widths, strict=True)
    ]


def print_document(document: Any) -> None:
    """Print a JSON document, the only output of a call with `--json`."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    print(text if _is_encodable(text) else json.dumps(document, indent=2, default=str), flush=True)


def _is_encodable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def project_output_to_stderr(enabled: bool = True) -> Iterator[None]:
    """Redirect what the project's code and its subprocesses print, so that stdout holds the document alone.

    Args:
        enabled: False changes nothing.
    """
    if not enabled:
        yield
        return
    sys.stdout.flush()
    stdout = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(stdout, _STDOUT)
        os.close(stdout)
