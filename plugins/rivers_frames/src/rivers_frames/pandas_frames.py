"""Adapter for pandas, through pyarrow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from typing import TYPE_CHECKING, Any

import numpy as np
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
_EXACT = frozenset([str, bytes, bool, date, time])
_CONTAINERS = (list, tuple, set, frozenset, np.ndarray)
_BOOLS = (bool, np.bool_)
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as Arrow table, with the pandas types that the Arrow types alone would not restore."""

    table: Any
    dtypes: Mapping[str, str]
    categoricals: Sequence[str]


class _Unreadable:
    """Stands for a value that Arrow holds and Python does not, in messages."""

    def __repr__(self) -> str:
        return "nothing that Python can represent"


_UNREADABLE = _Unreadable()


class PandasDataFrameAdapter(PyarrowTableAdapter):
    """`pandas.DataFrame`. Its columns are stored; a meaningful index is refused, because it would be lost."""

    def prepare(self, value: Any) -> Any:
        """Convert the frame to Arrow."""
        table = super().prepare(_table(value))
        categoricals = [
            name for name, dtype in value.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)
        ]
        dtypes = dict(_own_dtypes(value, table))
        _refuse_changed_objects(value, table, dtypes)
        return _Frame(table, dtypes, categoricals)

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
    """Yield columns whose type only pandas has, and the name of that type."""
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
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        problems = "; ".join(_conversion_problems(frame)) or "; ".join(map(str, error.args))
        raise TypeError(f"the frame cannot be converted to Arrow: {problems}") from error


def _conversion_problems(frame: Any) -> Iterator[str]:
    """Yield one clause for each column that pyarrow cannot convert; it does not always name the column."""
    for name, column in frame.items():
        try:
            pa.array(column, from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            row, value = _first_large(column)
            if isinstance(error, OverflowError) and row is not None:
                yield f"column {name!r} has {value} in row {row}, which needs more than 64 bits; make it text"
            else:
                yield f"column {name!r}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _first_large(column: Any) -> tuple[int | None, object]:
    """Return row and value of the first integer beyond 64 bits."""
    for row, value in enumerate(column):
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            return row, value
    return None, None


def _refuse_changed_objects(frame: Any, table: Any, dtypes: Mapping[str, str]) -> None:
    """Refuse objects that would be loaded as other values: pyarrow infers one type for all values of a column.

    A datetime among dates would lose its time, and a dictionary would gain the keys of the others.
    """
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and pd.api.types.is_object_dtype(dtype.categories.dtype):
            column = table.column(name)
            stored = column.chunk(0).dictionary if column.num_chunks else pa.array([])
            _refuse_changed(name, "category", list(dtype.categories), stored.to_pylist())
        elif pd.api.types.is_object_dtype(dtype) and not _is_exact(frame[name]):
            column = table.column(name)
            try:
                loaded = _series(column, _OBJECT) if dtypes.get(name) == _OBJECT else column.to_pandas()
            except (pa.ArrowException, ValueError, OverflowError) as error:
                # such as an integer among dates, which becomes a date before year 1
                loaded = [_value_or_error(scalar) for scalar in column]
                if not any(value is _UNREADABLE for value in loaded):
                    raise TypeError(f"column {name!r} cannot be loaded again: {error}") from error
            _refuse_changed(name, "row", list(frame[name]), list(loaded))


def _value_or_error(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _UNREADABLE


def _is_exact(column: Any) -> bool:
    """Return whether all values have one type that Arrow stores as it is; nulls of any kind do not count."""
    kinds = set(map(type, column[column.notna()]))
    return len(kinds) <= 1 and kinds <= _EXACT


def _refuse_changed(name: object, noun: str, values: Sequence[Any], loaded: Sequence[Any]) -> None:
    for place, (value, other) in enumerate(zip(values, loaded, strict=True)):
        if not _is_same(value, other):
            raise TypeError(
                f"column {name!r} contains values of different kinds: {noun} {place} is {_shown(value)}, and would be "
                f"loaded as {_shown(other)}; convert the values of the column to one kind"
            )


def _is_same(value: Any, other: Any) -> bool:
    """Return whether a loaded value equals the one that was stored; nulls of any kind are equal."""
    if isinstance(value, dict) or isinstance(other, dict):
        are_both = isinstance(value, dict) and isinstance(other, dict)
        return (
            are_both
            and value.keys() == other.keys()
            and all(_is_same(value[key], other[key]) for key in value)
        )
    if isinstance(value, np.ndarray) and isinstance(other, np.ndarray):
        value, other = value.tolist(), other.tolist()
    if isinstance(value, _CONTAINERS) or isinstance(other, _CONTAINERS):
        return type(value) is type(other) and len(value) == len(other) and all(map(_is_same, value, other))
    if pd.isna(value) or pd.isna(other):
        return bool(pd.isna(value) and pd.isna(other))
    if isinstance(value, _BOOLS) != isinstance(other, _BOOLS):
        return False  # True equals 1
    return bool(value == other)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


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
