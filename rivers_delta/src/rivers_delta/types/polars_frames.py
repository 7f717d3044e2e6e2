"""polars: frames, and lazy frames that stay lazy."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
from arro3.core import RecordBatchReader as ArrowReader

from rivers_core.metadata import Schema
from rivers_delta.columns import fields_of, plain_variant, schema_of
from rivers_delta.predicates import polars_column
from rivers_delta.types.base import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from arro3.core import RecordBatch, RecordBatchReader

    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.columns import Column
    from rivers_delta.types.base import Source, TableScan

_OWN_METADATA = "_PL_"
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
        return ArrowReader.from_batches(schema, _batches(frames))

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """Polars has one type for text and one for lists, whatever variant it exports."""
        del value
        return schema_of(plain_variant(column) for column in Schema(reader.schema).columns)

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """The values of an Enum are metadata of polars' own."""
        extras = super().extras(value, reader)
        for field in fields_of(reader.schema):
            own = {
                key: text for key, text in (field.metadata_str or {}).items() if key.startswith(_OWN_METADATA)
            }
            if own:
                extras.setdefault(field.name, {}).update(own)
        return extras

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pl.DataFrame(reader).lazy()

    def read(self, scan: TableScan) -> Any:
        """Scan the table; projection and predicates that follow are pushed down to it."""
        _refuse_unknown_zones(scan.columns)
        if scan.is_feed:
            return self.from_reader(scan.reader())
        frame = pl.scan_delta(scan.table)
        if scan.predicate is not None:
            frame = frame.filter(scan.predicate.polars())
        names = [column.name for column in scan.columns]
        if names != scan.table.schema().to_arrow().names:
            frame = frame.select([polars_column(name) for name in names])
        casts = [_cast_back(column) for column in scan.columns if column.hint]
        return frame.with_columns(casts) if casts else frame


class DataFrameAdapter(LazyFrameAdapter):
    """`polars.DataFrame`."""

    source: ClassVar[Source] = "memory"

    def open(self, value: Any) -> RecordBatchReader:
        """Export the frame without a copy."""
        return TypeAdapter.open(self, value)

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pl.DataFrame(reader)

    def read(self, scan: TableScan) -> Any:
        """Scan and collect, so that only the columns and rows asked for are read."""
        if scan.is_feed:
            return self.from_reader(scan.reader())
        return super().read(scan).collect()


def _batches(frames: Iterator[pl.DataFrame]) -> Iterator[RecordBatch]:
    for frame in frames:
        yield from ArrowReader.from_arrow(frame)


def _cast_back(column: Column) -> pl.Expr:
    dtype, expression = _dtype(column), polars_column(column.name)
    return expression if dtype is None else expression.cast(dtype)


def _dtype(column: Column) -> pl.DataType | None:
    """The type a column was given as, in polars; None if polars has no other than the stored one."""
    import json

    from arro3.core import Schema as ArrowSchema

    dictionary = column.given.dictionary
    if dictionary is not None and dictionary.format not in {"u", "U", "vu"}:
        return None
    schema = ArrowSchema.from_arrow(schema_of([column.given]))
    metadata: Mapping[str, str] = json.loads(column.hint).get("metadata", {})
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
