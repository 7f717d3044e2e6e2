"""Preview of a value of any type, as text and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any, Final, NamedTuple

from rich.pretty import pretty_repr

from rivers_core.authoring import counted

_WIDTH: Final = 100
_POLARS_UNLIMITED_WIDTH: Final = 65_535
_BYTES_PER_LINE: Final = 16
_MISSING: Final = {"NAType", "NaTType"}  # the classes of pandas.NA and pandas.NaT


class Preview(NamedTuple):
    """Beginning of a value.

    Attributes:
        extent: Size of the whole value: `3 items`, `336776 rows, 19 columns`; None if unknown.
        text: The beginning as text.
        head: The beginning as a JSON value.
    """

    extent: str | None
    text: str
    head: Any


def preview_value(value: Any, count: int, width: int | None = None) -> Preview:
    """Preview the beginning of a value.

    Args:
        value: Any value that a handler loads: frames and tables of any library, containers, bytes, text, objects.
            An iterator is consumed as far as it is shown.
        count: Number of rows, items or lines.
        width: Characters per line of a frame, which leaves out columns; None shows all columns.
    """
    if _is_frame(value):
        return _preview_frame(value, count, width)
    for matches, preview in _PREVIEWS:
        if matches(value):
            return preview(value, count)
    return Preview(None, pretty_repr(value, max_width=_WIDTH), _jsonable(value))


def type_name(value: Any) -> str:
    """Return the type of a value with its library: `list`, `polars.DataFrame`."""
    cls = type(value)
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


def _is_frame(value: Any) -> bool:
    return hasattr(value, "head") and (hasattr(value, "shape") or hasattr(value, "collect"))


def _preview_frame(value: Any, count: int, width: int | None) -> Preview:
    if hasattr(value, "collect"):
        frame, extent = value.head(count).collect(), "not computed beyond what is shown"
    else:
        frame, (rows, *columns) = value.head(count), value.shape
        extent = counted(rows, "row") + (f", {counted(columns[0], 'column')}" if columns else "")
    return Preview(extent, _frame_text(frame, width), _frame_rows(frame))


def _preview_arrow(value: Any, count: int) -> Preview:
    extent = f"{counted(value.num_rows, 'row')}, {counted(value.num_columns, 'column')}"
    return _preview_rows(extent, value.schema, value.slice(0, count).to_pylist())


def _preview_reader(value: Any, count: int) -> Preview:
    head: list[Any] = []
    while len(head) < count:
        try:
            batch = value.read_next_batch()
        except StopIteration:
            break
        head += batch.slice(0, count - len(head)).to_pylist()
    return _preview_rows("not read beyond what is shown", value.schema, head)


def _preview_rows(extent: str, schema: Any, head: list[Any]) -> Preview:
    names = ", ".join(f"{field.name}: {field.type}" for field in schema)
    return Preview(extent, f"{names}\n{_lines(head)}", _jsonable(head))


def _preview_array(value: Any, count: int) -> Preview:
    head = value[:count] if value.ndim else value
    return Preview(f"{value.dtype}, shape {tuple(value.shape)}", str(head), _jsonable(head.tolist()))


def _preview_bytes(value: Any, count: int) -> Preview:
    head = bytes(value[: count * _BYTES_PER_LINE])
    lines = []
    for start in range(0, len(head), _BYTES_PER_LINE):
        line = head[start : start + _BYTES_PER_LINE]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        lines.append(f"{start:08x}  {line.hex(' '):<{_BYTES_PER_LINE * 3}} {characters}")
    return Preview(counted(len(value), "byte"), "\n".join(lines), head.hex())


def _preview_text(value: str, count: int) -> Preview:
    lines = value.splitlines()
    head = "\n".join(lines[:count])
    return Preview(f"{counted(len(value), 'character')}, {counted(len(lines), 'line')}", head, head)


def _preview_mapping(value: Mapping[Any, Any], count: int) -> Preview:
    head = dict(islice(value.items(), count))
    text = "\n".join(f"{key!r}: {_item_text(item)}" for key, item in head.items())
    return Preview("1 entry" if len(value) == 1 else f"{len(value)} entries", text, _jsonable(head))


def _preview_items(value: Any, count: int) -> Preview:
    head = list(islice(value, count))
    extent = "not read beyond what is shown" if isinstance(value, Iterator) else counted(len(value), "item")
    return Preview(extent, _lines(head), _jsonable(head))


def _lines(items: Iterable[Any]) -> str:
    return "\n".join(map(_item_text, items))


def _item_text(value: Any) -> str:
    text = str(value) if hasattr(value, "shape") else pretty_repr(value, max_width=_WIDTH)
    return text if "\n" not in text else "\n" + "\n".join(f"    {line}" for line in text.splitlines())


def _frame_text(frame: Any, width: int | None) -> str:
    """Return all rows of a small frame, with the columns that fit the width."""
    polars = sys.modules.get("polars")
    if polars is not None and type(frame).__module__.startswith("polars"):
        options = (
            {"tbl_width_chars": width}
            if width
            else {"tbl_width_chars": _POLARS_UNLIMITED_WIDTH, "tbl_cols": -1}
        )
        with polars.Config(tbl_rows=-1, **options):
            return str(frame)
    if hasattr(frame, "to_string"):
        return str(frame.to_string(line_width=width) if len(frame.shape) > 1 else frame.to_string())
    return str(frame)


def _frame_rows(frame: Any) -> Any:
    # orient as a keyword: that of a pandas Series has none, and pandas 2 warns of a position
    conversions: tuple[tuple[str, dict[str, str]], ...] = (
        ("to_dicts", {}), ("to_dict", {"orient": "records"}), ("to_list", {}), ("tolist", {}),
    )  # fmt: skip
    for name, arguments in conversions:
        convert = getattr(frame, name, None)
        if callable(convert):
            try:
                rows: Any = convert(**arguments)
            except TypeError:
                continue
            # pandas marks a missing value with NaN where a column cannot hold null, so its own mask decides; NaN of
            # a library with null stays a number
            missing = getattr(frame.isna(), name)(**arguments) if hasattr(frame, "isna") else None
            return _jsonable(rows if missing is None else _without_missing(rows, missing))
    return str(frame)


def _without_missing(rows: list[Any], missing: list[Any]) -> list[Any]:
    """Return rows of a frame, or items of a column, with None for each one that is missing."""
    return [
        {name: None if is_missing[name] else cell for name, cell in row.items()}
        if isinstance(is_missing, dict)
        else None
        if is_missing
        else row
        for row, is_missing in zip(rows, missing, strict=True)
    ]


def _jsonable(value: Any) -> Any:
    """Return the value as JSON can represent it; anything else becomes text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (Set, list, tuple)):
        return [_jsonable(item) for item in value]
    if hasattr(value, "shape") and hasattr(value, "head"):
        return _frame_rows(value)
    return str(value)


# The first match wins. Values are recognized by their methods, so that no library is imported.
_PREVIEWS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, int], Preview]], ...]] = (
    (lambda value: hasattr(value, "num_rows") and hasattr(value, "to_pylist"), _preview_arrow),
    (lambda value: hasattr(value, "read_next_batch"), _preview_reader),
    (lambda value: all(hasattr(value, name) for name in ("dtype", "ndim", "tolist")), _preview_array),
    (lambda value: isinstance(value, (bytes, bytearray, memoryview)), _preview_bytes),
    (lambda value: isinstance(value, str), _preview_text),
    (lambda value: isinstance(value, Mapping), _preview_mapping),
    (lambda value: isinstance(value, (Sequence, Set, Iterator)), _preview_items),
)
