"""pandas, through pyarrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from rivers_delta.types.pyarrow_tables import TableAdapter, known_categories

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from arro3.core import RecordBatchReader

    from rivers_core import Schema
    from rivers_delta.schema.encoding import Column
    from rivers_delta.types.base import TableScan

_OWN_METADATA = "pandas"
_ARROW, _OBJECT = "arrow", "object"


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame in Arrow, and which of pandas' own types its columns have, where Arrow's alone would give another."""

    table: Any
    dtypes: Mapping[str, str]
    categoricals: Sequence[str]


class DataFrameAdapter(TableAdapter):
    """`pandas.DataFrame`; its columns, that is: an index that says something is refused rather than lost."""

    def prepare(self, value: Any) -> Any:
        """Convert to Arrow."""
        table = super().prepare(_table(value))
        categoricals = [
            name for name, dtype in value.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)
        ]
        return _Frame(table, dict(_own_dtypes(value, table)), categoricals)

    def open(self, value: Any) -> RecordBatchReader:
        """Export the table."""
        return super().open(value.table)

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """Of the table."""
        return super().schema(value.table, reader)

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Which of pandas' own types a column has."""
        extras = super().extras(value.table, reader)
        for name, dtype in value.dtypes.items():
            extras.setdefault(name, {})[_OWN_METADATA] = dtype
        return extras

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Of every categorical: which there are, and in which order, is part of its type."""
        ordered = super().categories(value.table, reader)
        return {**ordered, **known_categories(value.table, value.categoricals)}

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Convert from Arrow."""
        return super().from_reader(reader).to_pandas()

    def read(self, scan: TableScan) -> Any:
        """Read with pyarrow, then give columns pandas' own types back."""
        table = super().read(scan)
        own = dict(_own_types(scan.columns))
        frame = _without(table, own).to_pandas()
        for column in scan.columns:
            if column.name in own:
                frame[column.name] = _series(table.column(column.name), own[column.name])
            elif column.given.dictionary is not None and column.given.dictionary.format[:2] == "ts":
                frame[column.name] = _zoned(frame[column.name], table.schema.field(column.name).type)
        return frame


def _own_types(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """The columns that have a type of pandas' own, and what it is called."""
    for column in columns:
        told = json.loads(column.hint).get("metadata", {}) if column.hint else {}
        if _OWN_METADATA in told:
            yield column.name, told[_OWN_METADATA]


def _without(table: Any, names: Iterable[str]) -> Any:
    """The table with nothing in some columns, which are converted on their own."""
    nothing = pa.nulls(table.num_rows)
    for name in names:
        table = table.set_column(table.schema.get_field_index(name), name, nothing)
    return table


def _table(frame: Any) -> Any:
    names = [name for name in frame.columns if not isinstance(name, str)]
    if names:
        raise TypeError(f"column {names[0]!r} is not named by text; rename it to {str(names[0])!r}")
    index = frame.index
    # Whole numbers without a name are what is left of the rows' places after a filter, a sort or a concat.
    says_nothing = index.nlevels == 1 and (pd.api.types.is_integer_dtype(index.dtype) or not len(index))
    if index.name is not None or not says_nothing:
        called = f" {index.names!r}" if any(name is not None for name in index.names) else ""
        raise TypeError(
            f"the index{called} of the frame would be lost; make it a column with .reset_index(), or drop it "
            "with .reset_index(drop=True)"
        )
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and isinstance(dtype.categories.dtype, pd.IntervalDtype):
            raise TypeError(
                f"column {name!r} has categories that are intervals, which Delta has not; make them text"
            )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        raise TypeError(f"the frame cannot be said in Arrow: {'; '.join(map(str, error.args))}") from error


def _own_dtypes(frame: Any, table: Any) -> Iterator[tuple[str, str]]:
    default = table.slice(0, 0).replace_schema_metadata(None).to_pandas().dtypes
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            continue
        if isinstance(dtype, pd.ArrowDtype):
            yield name, _ARROW
        elif pd.api.types.is_object_dtype(dtype):
            if not pd.api.types.is_object_dtype(default[name]) or _holds_plain_objects(frame[name]):
                yield name, _OBJECT
        elif isinstance(dtype, pd.api.extensions.ExtensionDtype) and dtype != default[name]:
            yield name, _called(name, dtype)


def _holds_plain_objects(column: Any) -> bool:
    """Whether there are lists or dictionaries, which pyarrow would give back as arrays, and their numbers as floats."""
    return isinstance(next(iter(column.dropna()), None), (list, dict))


def _called(name: str, dtype: Any) -> str:
    """What pandas makes the same type from."""
    text = f"string[{dtype.storage}]" if str(dtype) == "string" else str(dtype)
    try:
        same = pd.api.types.pandas_dtype(text) == dtype
    except (TypeError, ValueError):
        same = False
    if not same:
        raise TypeError(
            f"column {name!r} has the type {dtype}, which pandas does not know by name; cast it first"
        )
    return text


def _zoned(column: Any, kind: Any) -> Any:
    """Give moments that are categories the time zone that pyarrow leaves out."""
    zone, moments = kind.value_type.tz, column.cat.categories
    if zone is None or moments.tz is not None:
        return column
    return column.cat.rename_categories(moments.tz_localize("UTC").tz_convert(zone))


def _series(column: Any, called: str) -> Any:
    if called == _OBJECT and column.type in {pa.string(), pa.large_string()}:
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if called == _OBJECT:
        return pd.Series(column.to_pylist(), dtype=object)
    dtype = None if called == _ARROW else pd.api.types.pandas_dtype(called)
    return column.to_pandas(types_mapper=lambda kind: pd.ArrowDtype(kind) if dtype is None else dtype)
