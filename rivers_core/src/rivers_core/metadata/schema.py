"""`ArrowField`: one column of a schema as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rivers_core.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NULLABLE", "ArrowField", "Schema"]

_PRIMITIVES = {
    "n": "null", "b": "bool", "c": "int8", "C": "uint8", "s": "int16", "S": "uint16", "i": "int32",
    "I": "uint32", "l": "int64", "L": "uint64", "e": "halffloat", "f": "float", "g": "double",
    "z": "binary", "Z": "large_binary",
    "vz": "binary_view", "u": "string", "U": "large_string", "vu": "string_view", "tdD": "date32[day]",
    "tdm": "date64[ms]", "tts": "time32[s]", "ttm": "time32[ms]", "ttu": "time64[us]", "ttn": "time64[ns]",
    "tDs": "duration[s]", "tDm": "duration[ms]", "tDu": "duration[us]", "tDn": "duration[ns]",
    "tiM": "month_interval", "tiD": "day_time_interval", "tin": "month_day_nano_interval",
}  # fmt: skip
_UNITS = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
_LISTS = {"+l": "list", "+L": "large_list", "+vl": "list_view", "+vL": "large_list_view"}
NULLABLE = 2


class ArrowField(NamedTuple):
    """One column, as the Arrow C data interface describes it.

    Source: https://arrow.apache.org/docs/format/CDataInterface.html
    """

    name: str
    format: str
    flags: int = NULLABLE
    children: tuple[ArrowField, ...] = ()
    dictionary: ArrowField | None = None

    def type_name(self) -> str:
        """The type as Arrow users write it: `int64`, `timestamp[us, tz=UTC]`, `list<item: string>`."""
        if self.dictionary is not None:
            values, indices = self.dictionary.type_name(), _PRIMITIVES.get(self.format, self.format)
            return f"dictionary<values={values}, indices={indices}, ordered={self.flags & 1}>"
        return _PRIMITIVES.get(self.format) or self._parametric_name()

    def _parametric_name(self) -> str:
        kind, _, parameters = self.format.partition(":")
        inner = ", ".join(f"{child.name}: {child.type_name()}" for child in self.children)
        if kind.startswith("ts"):
            return f"timestamp[{_UNITS[kind[2]]}{f', tz={parameters}' if parameters else ''}]"
        if kind == "d":
            precision, scale, *width = parameters.split(",")
            return f"decimal{width[0] if width else 128}({precision}, {scale})"
        if kind == "w":
            return f"fixed_size_binary[{parameters}]"
        if kind == "+w":
            return f"fixed_size_list<{inner}>[{parameters}]"
        if kind == "+m":
            return f"map<{', '.join(child.type_name() for child in self.children[0].children)}>"
        names = {
            "+s": "struct",
            "+ud": "dense_union",
            "+us": "sparse_union",
            "+r": "run_end_encoded",
            **_LISTS,
        }
        return f"{names.get(kind, self.format)}<{inner}>"

    def to_plain(self) -> dict[str, Any]:
        """This column as JSON data; what has its default is left out."""
        plain: dict[str, Any] = {"name": self.name, "format": self.format, "type": self.type_name()}
        if self.flags != NULLABLE:
            plain["flags"] = self.flags
        if self.children:
            plain["children"] = [child.to_plain() for child in self.children]
        if self.dictionary is not None:
            plain["dictionary"] = self.dictionary.to_plain()
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ArrowField:
        """The column that `to_plain` wrote."""
        dictionary = plain.get("dictionary")
        return cls(
            str(plain["name"]),
            str(plain["format"]),
            int(plain.get("flags", NULLABLE)),
            tuple(cls.from_plain(child) for child in plain.get("children", ())),
            None if dictionary is None else cls.from_plain(dictionary),
        )


def _rebuilt(columns: tuple[ArrowField, ...]) -> Schema:
    return Schema.from_plain([column.to_plain() for column in columns])
