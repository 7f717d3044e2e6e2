"""Type hints: the type a column was written with, as JSON in the metadata of the stored column.

The JSON spells Arrow types in the format strings of the Arrow C data interface. It is part of the table format:
hints of every earlier release stay readable.

Source: https://arrow.apache.org/docs/format/CDataInterface.html#data-type-description-format-strings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import types as pat

from rivers_frames.arrow_types import children, is_any_list

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS: Final = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
_ORDERED: Final = 1
_NULLABLE: Final = 2
_KEYS_SORTED: Final = 4
_TYPES: Final = {
    "n": pa.null(), "b": pa.bool_(), "c": pa.int8(), "C": pa.uint8(), "s": pa.int16(), "S": pa.uint16(),
    "i": pa.int32(), "I": pa.uint32(), "l": pa.int64(), "L": pa.uint64(), "e": pa.float16(), "f": pa.float32(),
    "g": pa.float64(), "z": pa.binary(), "Z": pa.large_binary(), "vz": pa.binary_view(), "u": pa.string(),
    "U": pa.large_string(), "vu": pa.string_view(), "tdD": pa.date32(),
}  # fmt: skip
_FORMATS: Final = {kind: text for text, kind in _TYPES.items()}


def field_to_json(field: pa.Field) -> dict[str, Any]:
    """Return a field as JSON data; default flags are omitted.

    Args:
        field: A name and a type that a table can store.
    """
    kind = field.type
    flags = (_NULLABLE if field.nullable else 0) | (_KEYS_SORTED if _has_sorted_keys(kind) else 0)
    data: dict[str, Any] = {"name": field.name, "format": _format(kind), "type": str(kind)}
    if pat.is_dictionary(kind):
        flags |= _ORDERED if kind.ordered else 0
        data["type"] = str(kind)
        data["dictionary"] = field_to_json(pa.field("", kind.value_type))
    if flags != _NULLABLE:
        data["flags"] = flags
    nested = [field_to_json(child) for child in children(kind)]
    if pat.is_map(kind):
        nested = [{"name": "entries", "format": "+s", "type": "struct", "flags": 0, "children": nested}]
    if nested:
        data["children"] = nested
    return data


def field_from_json(data: Mapping[str, Any]) -> pa.Field:
    """Return the field that `field_to_json` wrote.

    Args:
        data: The JSON data.
    """
    flags = int(data.get("flags", _NULLABLE))
    kind = _type(str(data["format"]), [field_from_json(child) for child in data.get("children", ())], flags)
    if data.get("dictionary") is not None:
        values = field_from_json(data["dictionary"])
        kind = pa.dictionary(kind, values.type, ordered=bool(flags & _ORDERED))
    return pa.field(str(data["name"]), kind, nullable=bool(flags & _NULLABLE))


def _format(kind: pa.DataType) -> str:
    if pat.is_dictionary(kind):
        return _format(kind.index_type)
    if pat.is_timestamp(kind):
        unit = next(letter for letter, unit in _UNITS.items() if unit == kind.unit)
        return f"ts{unit}:{kind.tz or ''}"
    if pat.is_decimal(kind):
        width = "" if kind.bit_width == 128 else f",{kind.bit_width}"
        return f"d:{kind.precision},{kind.scale}{width}"
    if pat.is_fixed_size_binary(kind):
        return f"w:{kind.byte_width}"
    if pat.is_fixed_size_list(kind):
        return f"+w:{kind.list_size}"
    if is_any_list(kind):
        return "+L" if pat.is_large_list(kind) else "+l"
    if pat.is_map(kind):
        return "+m"
    return "+s" if pat.is_struct(kind) else _FORMATS[kind]


def _type(text: str, nested: list[pa.Field], flags: int) -> pa.DataType:
    kind, _, parameters = text.partition(":")
    if text in _TYPES:
        return _TYPES[text]
    if kind.startswith("ts"):
        return pa.timestamp(_UNITS[kind[2]], parameters or None)
    if kind == "d":
        precision, scale, *width = (int(number) for number in parameters.split(","))
        return (pa.decimal256 if width == [256] else pa.decimal128)(precision, scale)
    if kind == "w":
        return pa.binary(int(parameters))
    if kind == "+w":
        return pa.list_(nested[0], int(parameters))
    if kind == "+m":
        key, item = children(nested[0].type)
        return pa.map_(key, item, keys_sorted=bool(flags & _KEYS_SORTED))
    if kind == "+s":
        return pa.struct(nested)
    return pa.large_list(nested[0]) if kind == "+L" else pa.list_(nested[0])


def _has_sorted_keys(kind: pa.DataType) -> bool:
    return bool(pat.is_map(kind) and kind.keys_sorted)
