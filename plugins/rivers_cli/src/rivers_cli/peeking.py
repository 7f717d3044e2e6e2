"""The beginning of a value of any kind, as text and for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from pprint import pformat
from shutil import get_terminal_size
from typing import Any, Final, NamedTuple

from rivers_cli.output import is_terminal

_WIDTH: Final = 100
_ANY_WIDTH: Final = 65_535
_BYTES_PER_LINE: Final = 16


class Peek(NamedTuple):
    """What is seen of a value.

    Attributes:
        kind: Its type, as one writes it.
        extent: How much there is: `3 items`, `336776 rows, 19 columns`; None if that is not known.
        text: The beginning, for people.
        head: The beginning, as far as JSON can hold it.
    """

    kind: str
    extent: str | None
    text: str
    head: Any


def peek(value: Any, count: int) -> Peek:
    """Look at the beginning of a value.

    Args:
        value: Anything that a handler gives: frames and tables of any library, containers, bytes, text, objects.
        count: How many rows, items or lines.

    Returns:
        What is seen. An iterator is read as far as that.
    """
    kind = _name_of(value)
    for looks_like, look in _LOOKS:
        if looks_like(value):
            extent, text, head = look(value, count)
            return Peek(kind, extent, text, head)
    return Peek(kind, None, pformat(value, width=_WIDTH), _plain(value))


def _name_of(value: Any) -> str:
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    )


def _lazy(value: Any, count: int) -> tuple[str | None, str, Any]:
    frame = value.head(count).collect()
    return "not computed beyond what is shown", _whole_text(frame), _rows(frame)


def _frame(value: Any, count: int) -> tuple[str | None, str, Any]:
    rows, *columns = value.shape
    head = value.head(count)
    extent = f"{rows} rows" + (f", {columns[0]} columns" if columns else "")
    return extent, _whole_text(head), _rows(head)


def _arrow(value: Any, count: int) -> tuple[str | None, str, Any]:
    head = value.slice(0, count).to_pylist()
    names = ", ".join(f"{field.name}: {field.type}" for field in value.schema)
    return f"{value.num_rows} rows, {value.num_columns} columns", f"{names}\n{_lines(head)}", _plain(head)


def _array(value: Any, count: int) -> tuple[str | None, str, Any]:
    head = value[:count] if value.ndim else value
    return f"{value.dtype}, shape {tuple(value.shape)}", str(head), _plain(head.tolist())


def _bytes(value: Any, count: int) -> tuple[str | None, str, Any]:
    head = bytes(value[: count * _BYTES_PER_LINE])
    lines = [head[start : start + _BYTES_PER_LINE] for start in range(0, len(head), _BYTES_PER_LINE)]
    text = "\n".join(
        f"{index * _BYTES_PER_LINE:08x}  {line.hex(' '):<{_BYTES_PER_LINE * 3}} "
        f"{''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in line)}"
        for index, line in enumerate(lines)
    )
    return f"{len(value)} bytes", text, head.hex()


def _text(value: str, count: int) -> tuple[str | None, str, Any]:
    lines = value.splitlines()
    return f"{len(value)} characters, {len(lines)} lines", "\n".join(lines[:count]), "\n".join(lines[:count])


def _mapping(value: Mapping[Any, Any], count: int) -> tuple[str | None, str, Any]:
    head = dict(islice(value.items(), count))
    text = "\n".join(f"{key!r}: {_brief(item)}" for key, item in head.items())
    return f"{len(value)} entries", text, _plain(head)


def _items(value: Any, count: int) -> tuple[str | None, str, Any]:
    head = list(islice(value, count))
    return f"{len(value)} items", _lines(head), _plain(head)


def _iterator(value: Iterator[Any], count: int) -> tuple[str | None, str, Any]:
    head = list(islice(value, count))
    return "not read beyond what is shown", _lines(head), _plain(head)


def _lines(items: Sequence[Any]) -> str:
    return "\n".join(_brief(item) for item in items)


def _brief(value: Any) -> str:
    text = str(value) if hasattr(value, "shape") else pformat(value, width=_WIDTH, compact=True)
    return text if "\n" not in text else "\n" + "\n".join(f"    {line}" for line in text.splitlines())


def _whole_text(frame: Any) -> str:
    """All rows of a frame that has few: as many columns as a terminal has room for, all of them elsewhere."""
    width = get_terminal_size().columns if is_terminal() else None
    polars = sys.modules.get("polars")
    if polars is not None and type(frame).__module__.startswith("polars"):
        fitted = {"tbl_width_chars": width} if width else {"tbl_width_chars": _ANY_WIDTH, "tbl_cols": -1}
        with polars.Config(tbl_rows=-1, **fitted):
            return str(frame)
    if hasattr(frame, "to_string"):
        return str(frame.to_string(line_width=width) if len(frame.shape) > 1 else frame.to_string())
    return str(frame)


def _rows(frame: Any) -> Any:
    for name, arguments in (("to_dicts", ()), ("to_dict", ("records",)), ("to_list", ()), ("tolist", ())):
        convert = getattr(frame, name, None)
        if callable(convert):
            try:
                return _plain(convert(*arguments))
            except TypeError:
                continue
    return str(frame)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it; what it cannot becomes text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (Set, list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "shape") and hasattr(value, "head"):
        return _rows(value)
    return str(value)


# The first that fits. Libraries are recognised by what their values can do, and none is imported.
_LOOKS: Final[tuple[tuple[Any, Any], ...]] = (
    (lambda value: hasattr(value, "collect") and hasattr(value, "head"), _lazy),
    (lambda value: hasattr(value, "head") and hasattr(value, "shape"), _frame),
    (lambda value: hasattr(value, "num_rows") and hasattr(value, "to_pylist"), _arrow),
    (lambda value: hasattr(value, "dtype") and hasattr(value, "ndim") and hasattr(value, "tolist"), _array),
    (lambda value: isinstance(value, (bytes, bytearray, memoryview)), _bytes),
    (lambda value: isinstance(value, str), _text),
    (lambda value: isinstance(value, Mapping), _mapping),
    (lambda value: isinstance(value, (Sequence, Set)), _items),
    (lambda value: isinstance(value, Iterator), _iterator),
)
