"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rich.console import Console

NONE: Final = "–"

# all control characters but tabulator and line feed
_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STDOUT: Final = 1
_STDERR: Final = 2
_GAP: Final = 2
_NARROWEST: Final = 12

STYLES: Final = {
    "success": "green", "fresh": "green", "ok": "green", "loaded": "green", "Materialization": "green",
    "failure": "bold red", "failed": "bold red", "broken": "bold red", "StepFailure": "bold red",
    "stale": "yellow", "missing": "yellow", "canceled": "yellow", "interrupted": "yellow", "denied": "yellow",
    "skipped": "yellow", "StepRetry": "yellow", "StepSkipped": "yellow", "running": "cyan",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its heading.
        right: Whether it holds numbers.
        wraps: Whether its text may be broken where the terminal is narrow; other columns keep their width.
        spare: Above 0, it is left out where the terminal is too narrow for all; the highest first.
    """

    title: str
    right: bool = False
    wraps: bool = False
    spare: int = 0


def console(*, stderr: bool = False) -> Console:
    """A rich console that changes nothing about text it is not told to."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether somebody is looking, and at something that can move a cursor."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str, stream: TextIO | None = None) -> str:
    """The text as somebody may see it: on a terminal, characters that would steer it are written as escapes.

    Args:
        text: What is to be shown, which may hold anything.
        stream: Where; None for stdout.
    """
    if not (sys.stdout if stream is None else stream).isatty():
        return text
    return _STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: fitted to a terminal, in full width anywhere else.

    Args:
        columns: What stands in them.
        rows: One text per column; an empty one is shown as a dash.
    """
    none = NONE if _has(NONE) else "-"
    filled = [[printable(text) or none for text in row] for row in rows]
    if is_terminal():
        _print_rich(columns, filled)
    else:
        _print_plain(columns, filled)


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    columns, rows = _fitting(columns, rows, out.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, least in zip(columns, _least_widths(columns, rows), strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.wraps,
            min_width=least,
        )
    for row in rows:
        table.add_row(*(Text(text, style=STYLES.get(text.partition(" ")[0], "")) for text in row))
    out.print(table)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """The columns that a terminal has room for."""
    needed = _least_widths(columns, rows)
    kept = list(range(len(columns)))
    spare = sorted((index for index in kept if columns[index].spare), key=lambda index: -columns[index].spare)
    for index in spare:
        if sum(needed[i] + _GAP for i in kept) - _GAP <= width:
            break
        kept.remove(index)
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _least_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    widest = [
        max(len(text) for text in texts) for texts in zip([c.title for c in columns], *rows, strict=True)
    ]
    return [
        min(width, _NARROWEST) if column.wraps else width
        for column, width in zip(columns, widest, strict=True)
    ]


def _print_plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    lines = [
        [column.title for column in columns],
        *([" ".join(text.split()) for text in row] for row in rows),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for column, text, width in zip(columns, line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def print_document(document: Any) -> None:
    """Print one JSON document, all that a call with `--json` prints."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    print(text if _has(text) else json.dumps(document, indent=2, default=str), flush=True)


def _has(text: str) -> bool:
    """Whether the encoding of stdout has every character of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def others_to_stderr(wanted: bool = True) -> Iterator[None]:
    """Send what the project's own code prints to stderr, so that stdout holds the document alone.

    What programs print that the code starts goes there too.

    Args:
        wanted: False leaves everything as it is.
    """
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)
