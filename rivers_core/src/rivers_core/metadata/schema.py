"""`Schema`: the columns of a table, from anything that speaks the Arrow PyCapsule interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError
from rivers_core.values import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ArrowField", "ExportsArrowSchema", "Schema"]

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


@runtime_checkable
class ExportsArrowSchema(Protocol):
    """An object with a schema in the Arrow C data interface: pyarrow, arro3, deltalake and others."""

    def __arrow_c_schema__(self) -> object:
        """A PyCapsule named `arrow_schema`."""
        ...


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


class Schema(Value):
    """The columns of a table: their names and types.

    It keeps them as plain data, so it can be stored and compared without the library they came from;
    `__arrow_c_schema__` hands them to any other. Key-value metadata of a schema is handed on only while
    the object it was made from lives in this one; two schemas are equal when names and types are.

    Args:
        obj: Anything with `__arrow_c_schema__`: a schema of pyarrow, polars, arro3 or deltalake.

    Raises:
        MetadataTypeError: (a `TypeError`) The object has none, or its schema is not of columns.

    Examples:
        >>> import pyarrow as pa
        >>> Schema(pa.schema({"id": pa.int64()}))
        Schema({"id": "int64"})
    """

    __slots__ = ("_source", "columns")
    _fields = ("names", "types")
    columns: tuple[ArrowField, ...]
    """Each column in full, nested types included."""
    _source: ExportsArrowSchema | None

    def __init__(self, obj: ExportsArrowSchema) -> None:
        if not hasattr(obj, "__arrow_c_schema__"):
            has_one = hasattr(getattr(obj, "schema", None), "__arrow_c_schema__")
            instead = "its .schema" if has_one else "a schema of pyarrow, polars, arro3 or deltalake"
            raise MetadataTypeError(
                f"A schema is made from an object with __arrow_c_schema__, and this {type(obj).__name__} "
                f"has none; pass {instead}."
            )
        from rivers_core.metadata.arrow_c_schema import read_schema

        root = read_schema(obj.__arrow_c_schema__())
        if root.format != "+s":
            raise MetadataTypeError(
                f"A schema is made of columns; this {type(obj).__name__} is {root.type_name()}."
            )
        self._set(columns=root.children, _source=obj)

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def types(self) -> list[str]:
        """The types of the columns, in order, as Arrow users write them."""
        return [column.type_name() for column in self.columns]

    def to_plain(self) -> list[dict[str, Any]]:
        """The columns as JSON data."""
        return [column.to_plain() for column in self.columns]

    @staticmethod
    def from_plain(columns: list[dict[str, Any]]) -> Schema:
        """The schema that `to_plain` wrote.

        Raises:
            InvalidMetadataError: These are no columns.
        """
        try:
            return _rebuilt(tuple(ArrowField.from_plain(column) for column in columns))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidMetadataError(f"Not the columns of a schema: {columns!r} ({error!r}).") from error

    def __arrow_c_schema__(self) -> object:
        """A PyCapsule of the schema, for every library that reads the Arrow C data interface."""
        if self._source is not None:
            return self._source.__arrow_c_schema__()
        from rivers_core.metadata.arrow_c_schema import export_schema

        return export_schema(ArrowField("", "+s", 0, self.columns))

    def __len__(self) -> int:
        return len(self.columns)

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash((tuple(self.names), tuple(self.types)))

    def __str__(self) -> str:
        return ", ".join(f"{column.name}: {column.type_name()}" for column in self.columns)

    def __repr__(self) -> str:
        columns = ", ".join(f'"{column.name}": "{column.type_name()}"' for column in self.columns)
        return f"Schema({{{columns}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.columns,)


def _rebuilt(columns: tuple[ArrowField, ...]) -> Schema:
    schema = Schema.__new__(Schema)
    object.__setattr__(schema, "columns", columns)
    object.__setattr__(schema, "_source", None)
    return schema
