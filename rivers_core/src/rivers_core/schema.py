"""Schemas of tables: column names and Arrow types, exchanged with any Arrow library through nanoarrow."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, NotRequired, Protocol, TypedDict, runtime_checkable

from rivers_core._values import Value
from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NULLABLE: Final = 2
# Format strings of the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) with the
# names that pyarrow prints. nanoarrow's own names differ, and its `Type` lacks list views (nanoarrow 0.9).
_TYPES: Final = {
    "n": "null", "b": "bool", "c": "int8", "C": "uint8", "s": "int16", "S": "uint16", "i": "int32",
    "I": "uint32", "l": "int64", "L": "uint64", "e": "halffloat", "f": "float", "g": "double",
    "z": "binary", "Z": "large_binary",
    "vz": "binary_view", "u": "string", "U": "large_string", "vu": "string_view", "tdD": "date32[day]",
    "tdm": "date64[ms]", "tts": "time32[s]", "ttm": "time32[ms]", "ttu": "time64[us]", "ttn": "time64[ns]",
    "tDs": "duration[s]", "tDm": "duration[ms]", "tDu": "duration[us]", "tDn": "duration[ns]",
    "tiM": "month_interval", "tiD": "day_time_interval", "tin": "month_day_nano_interval",
}  # fmt: skip
_UNITS: Final = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
_NESTED_TYPES: Final = {
    "+l": "list", "+L": "large_list", "+vl": "list_view", "+vL": "large_list_view", "+s": "struct",
    "+ud": "dense_union", "+us": "sparse_union", "+r": "run_end_encoded",
}  # fmt: skip


@runtime_checkable
class ExportsArrowSchema(Protocol):
    """An object with an Arrow schema, such as those of pyarrow, polars, arro3 and deltalake."""

    def __arrow_c_schema__(self) -> object:
        """Return a PyCapsule named `arrow_schema`."""
        ...


class StoredColumn(TypedDict):
    """One column as stored in JSON; fields follow the Arrow C data interface."""

    name: str
    format: str
    type: str
    """The type as pyarrow prints it, for readers."""
    flags: NotRequired[int]
    """Left out for an ordinary nullable column."""
    children: NotRequired[list[StoredColumn]]
    dictionary: NotRequired[StoredColumn]


class Schema(Value):
    """Names and Arrow types of a table's columns.

    Two schemas are equal when their names and types are; nullability and key-value metadata are not compared.
    Storing, comparing, pickling and printing a schema needs no Arrow library. Reading one from another library
    (the constructor, `from_ipc`) and handing it on (`__arrow_c_schema__`, `to_ipc`) needs
    `pip install "rivers-core[arrow]"`. Key-value metadata is kept in memory, but neither stored nor pickled.

    Args:
        obj: Any object with `__arrow_c_schema__`: a schema of pyarrow, polars, arro3 or deltalake.

    Raises:
        MetadataTypeError: (a `TypeError`) `obj` has no Arrow schema, or its schema is not a struct of columns.
        InvalidMetadataError: nanoarrow is not installed.

    Examples:
        >>> import pyarrow as pa
        >>> Schema(pa.schema({"id": pa.int64()}))
        Schema({"id": "int64"})
    """

    __slots__ = ("_arrow", "_columns")
    _fields = ("names", "types")
    _columns: list[StoredColumn]
    _arrow: Any
    """The imported schema (a nanoarrow `CSchema`); None if this schema was restored from its stored form."""

    def __init__(self, obj: ExportsArrowSchema) -> None:
        root = _import(obj)
        object.__setattr__(self, "_columns", [_column_from_arrow(child) for child in root.children])
        object.__setattr__(self, "_arrow", root)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column["name"] for column in self._columns]

    @property
    def types(self) -> list[str]:
        """Types of the columns, in order, as pyarrow prints them."""
        return [column["type"] for column in self._columns]

    def to_plain(self) -> list[StoredColumn]:
        """Return the columns as JSON data."""
        return deepcopy(self._columns)

    @staticmethod
    def from_plain(columns: Sequence[Mapping[str, Any]]) -> Schema:
        """Restore a schema from the result of `to_plain`.

        Raises:
            InvalidMetadataError: `columns` does not describe columns.
        """
        schema = Schema.__new__(Schema)
        try:
            Schema._set(schema, _columns=[_column_from_stored(column) for column in columns], _arrow=None)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InvalidMetadataError(f"Not the columns of a schema: {columns!r} ({error!r}).") from error
        return schema

    def to_ipc(self) -> bytes:
        """Return the schema as an encapsulated Arrow IPC message.

        Raises:
            InvalidMetadataError: A type cannot be encoded (views and run-end encoding, with nanoarrow 0.9), or
                nanoarrow is not installed.
        """
        try:
            message: bytes = _nanoarrow().Schema(self._export()).serialize()
        except RuntimeError as error:
            raise InvalidMetadataError(f"Cannot encode {self!r} as Arrow IPC: {error}.") from error
        return message

    @staticmethod
    def from_ipc(data: bytes) -> Schema:
        """Read a schema from Arrow IPC bytes: a schema message, or a stream that starts with one.

        Raises:
            MetadataTypeError: `data` is not bytes.
            InvalidMetadataError: `data` is not Arrow IPC, has types that nanoarrow cannot decode, or nanoarrow is
                not installed.
        """
        given: object = data
        if not isinstance(given, (bytes, bytearray, memoryview)):
            raise MetadataTypeError(f"A schema is read from Arrow IPC bytes, got {given!r}.")
        nanoarrow = _nanoarrow()
        try:
            schema = nanoarrow.ArrayStream.from_readable(data).schema
        except (RuntimeError, ValueError, TypeError) as error:
            raise InvalidMetadataError(f"Cannot read a schema from Arrow IPC bytes: {error}.") from error
        return Schema(schema)

    def __arrow_c_schema__(self) -> object:
        """Return a PyCapsule of the schema, for any library that reads the Arrow C data interface."""
        return self._export().__arrow_c_schema__()

    def _export(self) -> Any:
        if self._arrow is not None:
            return self._arrow
        blank = _nanoarrow().c_schema(_nanoarrow().null())
        children = [_column_to_arrow(column, blank) for column in self._columns]
        return blank.modify(format="+s", flags=0, children=children)

    def __len__(self) -> int:
        return len(self._columns)

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash((*self.names, *self.types))

    def __str__(self) -> str:
        return ", ".join(f"{name}: {kind}" for name, kind in zip(self.names, self.types, strict=True))

    def __repr__(self) -> str:
        columns = ", ".join(f'"{name}": "{kind}"' for name, kind in zip(self.names, self.types, strict=True))
        return f"Schema({{{columns}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema.from_plain, (self._columns,)


def _nanoarrow() -> Any:
    # imported on use: it takes longer to import than the rest of the core
    try:
        import nanoarrow
    except ImportError as error:
        raise InvalidMetadataError(
            "Schema cannot exchange Arrow schemas: nanoarrow is not installed. "
            'Run: pip install "rivers-core[arrow]".'
        ) from error
    return nanoarrow


def _import(obj: object) -> Any:
    """Import the schema of an object as a nanoarrow `CSchema`."""
    kind = type(obj).__name__
    if not isinstance(obj, ExportsArrowSchema):
        has_schema = isinstance(getattr(obj, "schema", None), ExportsArrowSchema)
        fix = "its .schema" if has_schema else "a schema of pyarrow, polars, arro3 or deltalake"
        raise MetadataTypeError(f"Schema needs an object with __arrow_c_schema__, got {kind}. Pass {fix}.")
    nanoarrow = _nanoarrow()
    try:
        root = nanoarrow.c_schema(obj)
        format_ = root.format
    except (RuntimeError, ValueError, TypeError) as error:
        raise MetadataTypeError(f"Cannot read the Arrow schema of this {kind}: {error}.") from error
    if format_ != "+s":
        raise MetadataTypeError(
            f"Schema needs a struct of columns, got type {_column_from_arrow(root)['type']} ({kind})."
        )
    return root


def _column_from_arrow(field: Any) -> StoredColumn:
    children = [_column_from_arrow(child) for child in field.children]
    dictionary = None if field.dictionary is None else _column_from_arrow(field.dictionary)
    return _column(field.name or "", field.format, field.flags, children, dictionary)


def _column_from_stored(stored: Mapping[str, Any]) -> StoredColumn:
    children = [_column_from_stored(child) for child in stored.get("children", ())]
    dictionary = _column_from_stored(stored["dictionary"]) if stored.get("dictionary") else None
    flags = int(stored.get("flags", _NULLABLE))
    return _column(str(stored["name"]), str(stored["format"]), flags, children, dictionary)


def _column_to_arrow(column: StoredColumn, blank: Any) -> Any:
    dictionary = column.get("dictionary")
    return blank.modify(
        name=column["name"],
        format=column["format"],
        flags=column.get("flags", _NULLABLE),
        children=[_column_to_arrow(child, blank) for child in column.get("children", ())],
        dictionary=None if dictionary is None else _column_to_arrow(dictionary, blank),
    )


def _column(
    name: str, format_: str, flags: int, children: list[StoredColumn], dictionary: StoredColumn | None
) -> StoredColumn:
    type_name = _TYPES.get(format_) or _parametric_type(format_, children)
    if dictionary is not None:
        type_name = f"dictionary<values={dictionary['type']}, indices={type_name}, ordered={flags & 1}>"
    column: StoredColumn = {"name": name, "format": format_, "type": type_name}
    if flags != _NULLABLE:
        column["flags"] = flags
    if children:
        column["children"] = children
    if dictionary is not None:
        column["dictionary"] = dictionary
    return column


def _parametric_type(format_: str, children: list[StoredColumn]) -> str:
    kind, _, parameters = format_.partition(":")
    inner = ", ".join(f"{child['name']}: {child['type']}" for child in children)
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
        return f"map<{', '.join(child['type'] for child in children[0].get('children', ()))}>"
    return f"{_NESTED_TYPES.get(kind, format_)}<{inner}>"


# Schemas that release 0.1 pickled are `_rebuilt((ArrowField(...), ...))`.
class ArrowField:
    """A column in a pickle of release 0.1."""

    def __new__(
        cls,
        name: str,
        format_: str,
        flags: int,
        children: Sequence[StoredColumn],
        dictionary: StoredColumn | None,
    ) -> Any:
        """Return the column as it is stored now."""
        return _column(name, format_, flags, list(children), dictionary)


def _rebuilt(columns: Sequence[StoredColumn]) -> Schema:
    return Schema.from_plain(columns)
