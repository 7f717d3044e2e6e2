"""Partition rows: which rows of a value for several partition keys belong to which key, by its columns."""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as pat

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_frames.arrow_types import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rivers_core import PartitionContext, Partitioning, PartitionKey


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """Finds the partition of each row.

    Args:
        subject: Asset and partitions, for messages.
        keys: The keys, in the order of the call.
        dimensions: The columns that hold them, and what each contains for each key.
    """

    subject: str
    keys: Sequence[PartitionKey]
    dimensions: Sequence[_Dimension]

    @property
    def columns(self) -> list[str]:
        """The columns that hold the keys."""
        return [dimension.column for dimension in self.dimensions]

    def refuse_missing(self, names: Sequence[str]) -> None:
        """Refuse a value that does not have one of the columns.

        Args:
            names: The columns of the value.

        Raises:
            PartitionValidationError: A column is missing.
        """
        for column in self.columns:
            if column not in names:
                raise PartitionValidationError(
                    f"Cannot store {self.subject}; nothing was written: column {column!r} of 'parquet/partition_expr' "
                    f"not found. The value has {', '.join(map(repr, names))}."
                )

    def places(self, rows: pa.RecordBatch) -> pa.Array:
        """Return for each row the position of its key.

        Args:
            rows: The columns that hold the keys.

        Raises:
            AssetOutputValidationError: A row belongs to none of the keys.
            PartitionValidationError: The type of a column cannot hold a key.
        """
        combined = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
        of_keys = [0] * len(self.keys)
        for dimension in self.dimensions:
            values = list(dict.fromkeys(dimension.keys))
            column = rows.column(dimension.column)
            own = dimension.places(column, values, self.subject)
            if own.null_count:
                value = column.filter(pc.is_null(own))[0].as_py()
                raise AssetOutputValidationError(
                    f"Cannot store {self.subject}; nothing was written: a row with {value!r} in column "
                    f"{dimension.column!r} belongs to none of these partitions. Remove it, or run its partition too."
                )
            combined = pc.add(pc.multiply(combined, len(values)), own.cast(pa.int64()))
            of_keys = [
                place * len(values) + values.index(key)
                for place, key in zip(of_keys, dimension.keys, strict=True)
            ]
        places = pc.index_in(combined, value_set=pa.array(of_keys, pa.int64()))
        if places.null_count:
            row = rows.filter(pc.is_null(places)).slice(0, 1).to_pylist()[0]
            raise AssetOutputValidationError(
                f"Cannot store {self.subject}; nothing was written: a row with {row} belongs to none of these "
                "partitions. Remove it, or run its partition too."
            )
        return places

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows of each key that has some, with the position of the key.

        Args:
            batch: Rows with all columns.
        """
        if not batch.num_rows:
            return
        places = self.places(batch.select(self.columns))
        distinct = pc.unique(places).to_pylist()
        if len(distinct) == 1:
            yield distinct[0], batch
            return
        for place in distinct:
            yield place, batch.filter(pc.equal(places, place))


def partition_rows(
    partition: PartitionContext, columns: Mapping[str | None, str], subject: str
) -> PartitionRows:
    """Return the rule by which rows belong to the keys of a context.

    Args:
        partition: The keys and their definition.
        columns: Column of each dimension; under None that of keys with one dimension.
        subject: Asset and partitions, for messages.

    Raises:
        PartitionValidationError: A dimension has no column.
    """
    keys = partition.keys
    parts = [_parts(key) for key in keys]
    names = list(parts[0])
    given: Mapping[str | None, str] = {None: next(iter(columns.values()))} if names == [None] else columns
    missing = [name for name in names if name not in given]
    if missing or (names == [None] and len(columns) > 1):
        raise PartitionValidationError(
            f"Cannot store {subject}: 'parquet/partition_expr' has no column for "
            f"{'a key with one dimension' if not missing else f'dimension {missing[0]!r}'}. "
            f"Use {'the name of a column' if not missing else f'{{{missing[0]!r}: <column>, ...}}'}."
        )
    definitions = partition.definition.dimensions if partition.definition is not None else {}
    dimensions = [
        _Dimension(
            given[name],
            [part[name] for part in parts],
            partition.definition if name is None else definitions.get(name),
        )
        for name in names
    ]
    return PartitionRows(subject, keys, dimensions)


@dataclass(frozen=True, slots=True)
class _Dimension:
    """One dimension: its column, what each key says about it, and its definition."""

    column: str
    keys: Sequence[str]
    definition: Partitioning | None

    def places(self, column: pa.Array, keys: Sequence[str], subject: str) -> pa.Array:
        """Return for each row the position of its key among different keys, null if it belongs to none."""
        if pat.is_dictionary(column.type):
            column = column.dictionary_decode()
        if is_text(column.type):
            column = column.cast(pa.large_string())
        if pat.is_date(column.type) or pat.is_timestamp(column.type):
            windows = [None if self.definition is None else self.definition.window_of(key) for key in keys]
            if None not in windows:
                return _windows_of(column, [window for window in windows if window is not None])
        parse = next((parse for test, parse in _PARSERS if test(column.type)), None)
        if parse is None:
            raise PartitionValidationError(
                f"Cannot store {subject}; nothing was written: column {self.column!r} has type {column.type}, which "
                "cannot hold a partition key. Use a column of text, integers or dates; of timestamps for time windows."
            )
        try:
            values = pa.array(map(parse, keys), column.type)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise PartitionValidationError(
                f"Cannot store {subject}; nothing was written: a partition key is not a value of column "
                f"{self.column!r} ({column.type}): {error}. Use a column of text."
            ) from error
        return pc.index_in(column, value_set=values)


def _windows_of(column: pa.Array, windows: Sequence[tuple[datetime, datetime]]) -> pa.Array:
    """Return the position of the window that contains each moment, in the time zone of the column."""
    if pat.is_timestamp(column.type) and column.type.tz:
        column = pc.local_timestamp(column)
    column = column.cast(pa.timestamp("us"), safe=False)
    bounds = pc.min_max(column).as_py()
    places = pa.nulls(len(column), pa.int32())
    for place, (start, end) in enumerate(windows):
        # most batches are of one or two windows
        if bounds["min"] is None or end <= bounds["min"] or start > bounds["max"]:
            continue
        is_inside = pc.and_(
            pc.greater_equal(column, pa.scalar(start, column.type)),
            pc.less(column, pa.scalar(end, column.type)),
        )
        places = pc.if_else(pc.fill_null(is_inside, False), pa.scalar(place, pa.int32()), places)
    return places


def _parts(key: PartitionKey) -> dict[str | None, str]:
    dimensions = getattr(key, "dimensions", None)
    if dimensions is None:
        (value,) = key.values  # type: ignore[attr-defined]
        return {None: value}
    return {name: value for name, (value,) in dimensions}


def _flag(key: str) -> bool:
    if key not in {"true", "false"}:
        raise ValueError(f"{key!r} is not 'true' or 'false'")
    return key == "true"


_PARSERS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[str], Any]], ...]] = (
    (is_text, str),
    (pat.is_integer, int),
    (pat.is_date32, date.fromisoformat),
    (pat.is_boolean, _flag),
)
