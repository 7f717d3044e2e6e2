"""Adapter for pandas, through pyarrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyarrow import types as pat

from rivers_frames.pyarrow_tables import PyarrowTableAdapter, known_categories

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from arro3.core import RecordBatchReader

    from rivers_frames.adapter import ScanColumn, TableScan

_OWN_METADATA = "pandas"
_ARROW, _OBJECT = "arrow", "object"


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as Arrow table, with the pandas types that the Arrow types alone would not restore."""

    table: Any
    dtypes: Mapping[str, str]
    categoricals: Sequence[str]


class PandasDataFrameAdapter(PyarrowTableAdapter):
    """`pandas.DataFrame`. Its columns are stored; a meaningful index is refused, because it would be lost."""

    def prepare(self, value: Any) -> Any:
        """Convert the frame to Arrow."""
        table = super().prepare(_table(value))
        categoricals = [
            name for name, dtype in value.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)
        ]
        return _Frame(table, dict(_own_dtypes(value, table)), categoricals)

    def open(self, value: Any) -> RecordBatchReader:
        """Export the table."""
        return super().open(value.table)

    def arrow_reader(self, value: Any) -> pa.RecordBatchReader:
        """Stream the batches of the table."""
        return super().arrow_reader(value.table)

    def schema(self, value: Any, reader: RecordBatchReader) -> pa.Schema:
        """Return the schema of the table."""
        return super().schema(value.table, reader)

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Return the pandas types of columns."""
        return {name: {_OWN_METADATA: dtype} for name, dtype in value.dtypes.items()}

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Return those of every categorical column: they and their order are part of its type."""
        ordered = super().categories(value.table, reader)
        return {**ordered, **known_categories(value.table, value.categoricals)}

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Convert the stream to a frame."""
        return super().from_reader(reader).to_pandas()

    def read(self, scan: TableScan) -> Any:
        """Read with pyarrow, then restore pandas types."""
        table = super().read(scan)
        own = dict(_own_types(scan.columns))
        frame = _without(table, own).to_pandas()
        for column in scan.columns:
            if column.name in own:
                frame[column.name] = _series(table.column(column.name), own[column.name])
            elif pat.is_dictionary(column.given.type) and pat.is_timestamp(column.given.type.value_type):
                frame[column.name] = _with_zone(frame[column.name], table.schema.field(column.name).type)
        return frame


def _own_types(columns: Sequence[ScanColumn]) -> Iterator[tuple[str, str]]:
    """Yield columns with a pandas type of their own, and the name of that type."""
    for column in columns:
        if _OWN_METADATA in column.extras:
            yield column.name, column.extras[_OWN_METADATA]


def _without(table: Any, names: Iterable[str]) -> Any:
    """Return the table with nulls in columns that are converted separately."""
    nothing = pa.nulls(table.num_rows)
    for name in names:
        table = table.set_column(table.schema.get_field_index(name), name, nothing)
    return table


def _table(frame: Any) -> Any:
    not_text = [name for name in frame.columns if not isinstance(name, str)]
    if not_text:
        raise TypeError(f"column name {not_text[0]!r} must be text; rename it to {str(not_text[0])!r}")
    index = frame.index
    # Unnamed integers are row positions that a filter, sort or concat has left.
    is_positional = index.nlevels == 1 and (pd.api.types.is_integer_dtype(index.dtype) or not len(index))
    if index.name is not None or not is_positional:
        names = f" {index.names!r}" if any(name is not None for name in index.names) else ""
        raise TypeError(
            f"the index{names} of the frame would be lost; make it a column with .reset_index(), or drop it "
            "with .reset_index(drop=True)"
        )
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and isinstance(dtype.categories.dtype, pd.IntervalDtype):
            raise TypeError(
                f"column {name!r} has categories that are intervals, which Arrow does not support; make them text"
            )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        raise TypeError(
            f"the frame cannot be converted to Arrow: {'; '.join(map(str, error.args))}"
        ) from error


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
            yield name, _name_of(name, dtype)


def _holds_plain_objects(column: Any) -> bool:
    """Return whether there are lists or dictionaries, which pyarrow would return as arrays, with integers as floats."""
    return isinstance(next(iter(column.dropna()), None), (list, dict))


def _name_of(name: str, dtype: Any) -> str:
    """Return the text from which pandas creates the same type."""
    text = f"string[{dtype.storage}]" if str(dtype) == "string" else str(dtype)
    try:
        same = pd.api.types.pandas_dtype(text) == dtype
    except (TypeError, ValueError):
        same = False
    if not same:
        raise TypeError(
            f"column {name!r} has type {dtype}, which pandas cannot create from its name; cast it first"
        )
    return text


def _with_zone(column: Any, kind: Any) -> Any:
    """Restore the time zone of timestamps in categories, which pyarrow (up to 26) drops."""
    zone, moments = kind.value_type.tz, column.cat.categories
    if zone is None or moments.tz is not None:
        return column
    return column.cat.rename_categories(moments.tz_localize("UTC").tz_convert(zone))


def _series(column: Any, dtype_name: str) -> Any:
    if dtype_name == _OBJECT and column.type in {pa.string(), pa.large_string()}:
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if dtype_name == _OBJECT:
        return pd.Series(column.to_pylist(), dtype=object)
    dtype = None if dtype_name == _ARROW else pd.api.types.pandas_dtype(dtype_name)
    return column.to_pandas(types_mapper=lambda kind: pd.ArrowDtype(kind) if dtype is None else dtype)
