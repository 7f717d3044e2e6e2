"""polars: frames, and lazy frames that stay lazy."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
from arro3.core import RecordBatch as ArrowBatch
from arro3.core import RecordBatchReader as ArrowReader

from rivers_core import Schema
from rivers_delta.partitions.predicates import polars_column
from rivers_delta.schema.categories import is_ordered
from rivers_delta.schema.encoding import fields_of, schema_of
from rivers_delta.schema.promotion import ORDERED, plain_variant, same_type
from rivers_delta.types.base import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arro3.core import RecordBatch, RecordBatchReader
    from arro3.core import Schema as ArrowSchema

    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.schema.encoding import Column
    from rivers_delta.types.base import Source, TableScan

_OWN_METADATA = "_PL_"
_ENUM_METADATA = "_PL_ENUM_"
_TEXT = {"u", "U", "vu"}
_NULL = re.compile(r"\bNull\b")
_NOT_ARROW = re.compile(r"\b(U?Int128|Object|Unknown)\b|Decimal\(precision=(39|[4-9]\d|\d{3})")


class LazyFrameAdapter(TypeAdapter):
    """`polars.LazyFrame`: streamed into the table, and back as a lazy scan of it."""

    source: ClassVar[Source] = "query"

    def prepare(self, value: Any) -> Any:
        """Refuse columns of types that Arrow has not."""
        _refuse_foreign_types(value.collect_schema())
        return value

    def open(self, value: Any) -> RecordBatchReader:
        """Run the query, batch by batch.

        The frames are asked for one by one: polars waits for them without holding the interpreter, which a
        query over another table needs to go on.
        """
        frames = value.collect_batches(lazy=True)
        schema = TypeAdapter.open(self, pl.DataFrame(schema=value.collect_schema())).schema
        return ArrowReader.from_batches(schema, _batches(frames, schema))

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """Polars has one type for text and one for lists, whatever variant it exports; an Enum is ordered."""
        enums = _enums(value)
        plain = (plain_variant(column) for column in Schema(reader.schema).columns)
        return schema_of(
            column._replace(flags=column.flags | ORDERED) if column.name in enums else column
            for column in plain
        )

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Which Categories a column is of; the values of an Enum are categories like others."""
        extras = super().extras(value, reader)
        for field in fields_of(reader.schema):
            own = {
                key: text
                for key, text in (field.metadata_str or {}).items()
                if key.startswith(_OWN_METADATA) and not key.startswith(_ENUM_METADATA)
            }
            if own:
                extras.setdefault(field.name, {}).update(own)
        return extras

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """The values of each Enum."""
        del reader
        return {name: dtype.categories.to_list() for name, dtype in _enums(value).items()}

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pl.DataFrame(reader).lazy()

    def read(self, scan: TableScan) -> Any:
        """Scan the table; projection and predicates that follow are pushed down to it."""
        _refuse_unknown_zones(scan.columns)
        frame = pl.DataFrame(scan.reader()).lazy() if scan.is_feed else _scanned(scan)
        casts = [_cast_back(column) for column in scan.columns if not same_type(column.given, column.stored)]
        return frame.with_columns(casts) if casts else frame


class DataFrameAdapter(LazyFrameAdapter):
    """`polars.DataFrame`."""

    source: ClassVar[Source] = "memory"

    def open(self, value: Any) -> RecordBatchReader:
        """Export the frame without a copy."""
        reader = TypeAdapter.open(self, value)
        if not _has_nulls_only(value.schema):
            return reader
        return ArrowReader.from_batches(reader.schema, _batches(iter([value]), reader.schema))

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pl.DataFrame(reader)

    def read(self, scan: TableScan) -> Any:
        """Scan and collect, so that only the columns and rows asked for are read."""
        return super().read(scan).collect()


def _batches(frames: Iterator[pl.DataFrame], schema: ArrowSchema) -> Iterator[RecordBatch]:
    """The batches of frames; pyarrow takes the columns of nulls that polars makes, which arro3 does not."""
    for frame in frames:
        if not _has_nulls_only(frame.schema):
            yield from ArrowReader.from_arrow(frame)
            continue
        for batch in frame.to_arrow(compat_level=pl.CompatLevel.newest()).to_batches():
            yield ArrowBatch.from_arrays(ArrowBatch.from_arrow(batch).columns, schema=schema)


def _has_nulls_only(schema: Mapping[str, pl.DataType]) -> bool:
    """Whether there is a column of the type null, or one inside of another."""
    return any(_NULL.search(str(dtype)) for dtype in schema.values())


def _scanned(scan: TableScan) -> pl.LazyFrame:
    frame = pl.scan_delta(scan.table)
    if scan.predicate is not None:
        frame = frame.filter(scan.predicate.polars())
    names = [column.name for column in scan.columns]
    if names == scan.table.schema().to_arrow().names:
        return frame
    return frame.select([polars_column(name) for name in names])


def _enums(value: pl.DataFrame | pl.LazyFrame) -> dict[str, pl.Enum]:
    return {name: dtype for name, dtype in value.collect_schema().items() if isinstance(dtype, pl.Enum)}


def _cast_back(column: Column) -> pl.Expr:
    dtype = _dtype(column)
    # polars takes a null row for a failure if the items of an Array are lists, Arrays or structs
    return polars_column(column.name).cast(dtype, strict=not _has_arrays_of_nested(dtype))


def _has_arrays_of_nested(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_has_arrays_of_nested(field.dtype) for field in dtype.fields)
    if not isinstance(dtype, (pl.List, pl.Array)):
        return False
    return (isinstance(dtype, pl.Array) and dtype.inner.is_nested()) or _has_arrays_of_nested(dtype.inner)


def _dtype(column: Column) -> pl.DataType:
    """The type a column was given as, in polars."""
    import json

    from arro3.core import Schema as ArrowSchema

    given, known = column.given, column.categories
    if given.dictionary is not None and given.dictionary.format not in _TEXT:
        given = given.dictionary._replace(name=given.name)
    elif is_ordered(given) and known is not None and None not in known and len(set(known)) == len(known):
        return pl.Enum([one for one in known if one is not None])
    schema = ArrowSchema.from_arrow(schema_of([given]))
    metadata: Mapping[str, str] = json.loads(column.hint).get("metadata", {}) if column.hint else {}
    if metadata:
        schema = schema.set(0, schema.field(0).with_metadata(dict(metadata)))
    return pl.Schema(schema)[column.name]


def _refuse_unknown_zones(columns: tuple[Column, ...]) -> None:
    for column in columns:
        for zone in _zones(column.given):
            if not _is_known(zone):
                raise ValueError(
                    f"column {column.name!r} is {column.given.type_name()}, and polars has no time zone {zone!r}; "
                    "load it as pyarrow.Table or pandas.DataFrame, or store it in UTC or in a zone with a name"
                )


def _zones(given: ArrowField) -> Iterator[str]:
    kind, _, zone = given.format.partition(":")
    if kind.startswith("ts") and zone:
        yield zone
    for inner in (*given.children, *([given.dictionary] if given.dictionary else [])):
        yield from _zones(inner)


@cache
def _is_known(zone: str) -> bool:
    """Whether polars has a time zone; where it has not, reading panics."""
    try:
        pl.Series(dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError:
        return False
    return True


def _refuse_foreign_types(schema: Mapping[str, pl.DataType]) -> None:
    wrong = [f"{name!r} ({dtype})" for name, dtype in schema.items() if _NOT_ARROW.search(str(dtype))]
    if wrong:
        raise TypeError(f"column {', '.join(wrong)} has a type that Arrow has not; cast it first")
    if _has_nulls_only(schema) and find_spec("pyarrow") is None:
        nulls = ", ".join(repr(name) for name, dtype in schema.items() if _NULL.search(str(dtype)))
        raise TypeError(f"column {nulls} has the type null; cast it to the type it is meant to have")
