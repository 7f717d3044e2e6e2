"""Adapters for polars: data frames, and lazy frames that stay lazy."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
import pyarrow as pa
from arro3.core import RecordBatch as ArrowBatch
from arro3.core import RecordBatchReader as ArrowReader
from pyarrow import types as pat

from rivers_frames.adapter import FrameAdapter
from rivers_frames.arrow_types import is_ordered, is_text, nested_fields, plain_type, same_type
from rivers_frames.forks import POLARS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arro3.core import RecordBatch, RecordBatchReader
    from arro3.core import Schema as ArrowSchema

    from rivers_core.authoring import ForkGuard
    from rivers_frames.adapter import ScanColumn, Source, TableScan

_OWN_METADATA = "_PL_"
_ENUM_METADATA = "_PL_ENUM_"
_NULL = re.compile(r"\bNull\b")
_NOT_ARROW = re.compile(r"\b(U?Int128|Object|Unknown)\b|Decimal\(precision=(39|[4-9]\d|\d{3})")


class LazyFrameAdapter(FrameAdapter):
    """`polars.LazyFrame`: streamed into the table, and loaded as a lazy scan."""

    source: ClassVar[Source] = "query"
    is_lazy: ClassVar[bool] = True
    fork_guard: ClassVar[ForkGuard | None] = POLARS

    def prepare(self, value: Any) -> Any:
        """Refuse columns of types that Arrow does not support."""
        unsupported = [
            f"{name!r} ({dtype})"
            for name, dtype in value.collect_schema().items()
            if _NOT_ARROW.search(str(dtype))
        ]
        if unsupported:
            raise TypeError(
                f"column {', '.join(unsupported)} has a type that Arrow does not support; cast it first"
            )
        return value

    def open(self, value: Any) -> RecordBatchReader:
        """Run the query, batch by batch.

        Frames are pulled one by one: polars releases the GIL while it computes one, which a query over another table
        needs to proceed.
        """
        frames = value.collect_batches(lazy=True)
        schema = FrameAdapter.open(self, pl.DataFrame(schema=value.collect_schema())).schema
        return ArrowReader.from_batches(schema, _batches(frames, schema))

    def query(self, value: Any) -> pl.LazyFrame:
        """Return the query itself, or the frame as one."""
        frame: pl.LazyFrame = value.lazy()
        return frame

    def schema(self, value: Any, reader: RecordBatchReader) -> pa.Schema:
        """Return plain variants, because polars has one text and one list type; an Enum is an ordered dictionary."""
        enums = _enums(value)
        return pa.schema([_plain(field, field.name in enums) for field in pa.schema(reader.schema)])

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Return the Categories of a column; the values of an Enum are stored as categories instead."""
        extras = {}
        for field in pa.schema(reader.schema):
            texts = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
            own = {
                key: text
                for key, text in texts.items()
                if key.startswith(_OWN_METADATA) and not key.startswith(_ENUM_METADATA)
            }
            if own:
                extras[field.name] = own
        return extras

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Return the values of each Enum."""
        del reader
        return {name: dtype.categories.to_list() for name, dtype in _enums(value).items()}

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read the whole stream."""
        return pl.DataFrame(reader).lazy()

    def read(self, scan: TableScan) -> Any:
        """Scan the table; later projections and predicates are pushed down to it."""
        _refuse_unknown_zones(scan.columns)
        casts = [
            _cast_back(column)
            for column in scan.columns
            if not same_type(column.given.type, column.stored.type)
        ]
        frame = scan.lazy_frame()
        return frame.with_columns(casts) if casts else frame


class PolarsDataFrameAdapter(LazyFrameAdapter):
    """`polars.DataFrame`."""

    source: ClassVar[Source] = "memory"
    is_lazy: ClassVar[bool] = False

    def open(self, value: Any) -> RecordBatchReader:
        """Export the frame without a copy."""
        reader = FrameAdapter.open(self, value)
        if not _has_null_columns(value.schema):
            return reader
        return ArrowReader.from_batches(reader.schema, _batches(iter([value]), reader.schema))

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read the whole stream."""
        return pl.DataFrame(reader)

    def read(self, scan: TableScan) -> Any:
        """Scan and collect, so that only requested columns and rows are read."""
        return super().read(scan).collect()


def polars_column(name: str) -> pl.Expr:
    """Return a column, also if its name looks like a pattern (`*`, `^x$`).

    Args:
        name: The column.
    """
    from polars import selectors

    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return selectors.by_name(name).as_expr()
    return pl.col(name)


def _plain(field: pa.Field, is_enum: bool) -> pa.Field:
    kind = plain_type(field.type)
    return field.with_type(pa.dictionary(kind.index_type, kind.value_type, ordered=True) if is_enum else kind)


def _batches(frames: Iterator[pl.DataFrame], schema: ArrowSchema) -> Iterator[RecordBatch]:
    """Yield the batches of frames.

    arro3 (up to 0.9) rejects the null columns that polars exports, pyarrow accepts them.
    """
    for frame in frames:
        if not _has_null_columns(frame.schema):
            yield from ArrowReader.from_arrow(frame)
            continue
        for batch in frame.to_arrow(compat_level=pl.CompatLevel.newest()).to_batches():
            yield ArrowBatch.from_arrays(ArrowBatch.from_arrow(batch).columns, schema=schema)


def _has_null_columns(schema: Mapping[str, pl.DataType]) -> bool:
    """Return whether a column has the type null, or contains it."""
    return any(_NULL.search(str(dtype)) for dtype in schema.values())


def _enums(value: pl.DataFrame | pl.LazyFrame) -> dict[str, pl.Enum]:
    return {name: dtype for name, dtype in value.collect_schema().items() if isinstance(dtype, pl.Enum)}


def _cast_back(column: ScanColumn) -> pl.Expr:
    dtype = _dtype(column)
    # polars (up to 2.1) takes a null row for a failed cast if the items of an Array are lists, Arrays or structs.
    return polars_column(column.name).cast(dtype, strict=not _has_arrays_of_nested(dtype))


def _has_arrays_of_nested(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_has_arrays_of_nested(field.dtype) for field in dtype.fields)
    if not isinstance(dtype, (pl.List, pl.Array)):
        return False
    return (isinstance(dtype, pl.Array) and dtype.inner.is_nested()) or _has_arrays_of_nested(dtype.inner)


def _dtype(column: ScanColumn) -> pl.DataType:
    """Return the polars type that a column was written with."""
    kind, known = column.given.type, column.categories
    if pat.is_dictionary(kind) and not is_text(kind.value_type):
        kind = kind.value_type
    elif is_ordered(kind) and known is not None and None not in known and len(set(known)) == len(known):
        return pl.Enum([value for value in known if value is not None])
    field = column.given.with_type(kind).with_metadata(dict(column.extras) or None)
    return pl.Schema(pa.schema([field]))[column.name]


def _refuse_unknown_zones(columns: Sequence[ScanColumn]) -> None:
    for column in columns:
        for zone in _zones(column.given):
            if not _is_known(zone):
                raise ValueError(
                    f"column {column.name!r} has type {column.given.type}, and polars does not support the time zone "
                    f"{zone!r}; load it as pyarrow.Table or pandas.DataFrame, or store it in UTC or a named time zone"
                )


def _zones(field: pa.Field) -> Iterator[str]:
    for nested in nested_fields(field):
        kind = nested.type.value_type if pat.is_dictionary(nested.type) else nested.type
        if pat.is_timestamp(kind) and kind.tz:
            yield kind.tz


@cache
def _is_known(zone: str) -> bool:
    """Return whether polars supports a time zone; reading another one panics."""
    try:
        pl.Series(dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError:
        return False
    return True
