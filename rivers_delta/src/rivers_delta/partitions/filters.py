"""From partition keys to the rows that they mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from rivers_core import storage_key
from rivers_core.exceptions import PartitionValidationError
from rivers_delta.compat import is_rounded
from rivers_delta.partitions import keys as partition_keys
from rivers_delta.partitions.keys import UnfitKeyError, in_zone, zone_of
from rivers_delta.partitions.predicates import OneOf, Predicate, Term, Within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rivers_core import PartitionContext, PartitionKey, PartitionsDefinition
    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.partitions.keys import Reading
    from rivers_delta.schema.encoding import Column

PRESENCE: Final = "rivers/partition/"
"""What stands before the storage key in the transaction identifier that says a partition was written."""

_DAY: Final = timedelta(days=1)
_UNREADABLE_FOLDERS: Final = "/="
_LONGEST_NAME: Final = 255
_NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of the keys at hand: its column, its keys, what defines them."""

    column: str
    keys: tuple[str, ...]
    definition: PartitionsDefinition | None

    def window(self, key: str) -> tuple[datetime, datetime] | None:
        """From when until when a key reaches; None if it is not of time.

        Args:
            key: One of the keys.
        """
        return None if self.definition is None else self.definition.window_of(key)


def presence_id(asset_name: str, key: PartitionKey) -> str:
    """The application transaction that says a partition was written, be it with no rows.

    It is part of the same commit as the rows, survives checkpoints, and is one entry per partition.

    Args:
        asset_name: The asset.
        key: One partition key.
    """
    return PRESENCE + storage_key(asset_name, key)


def partition_predicate(
    asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> Predicate:
    """The rows that belong to the keys at hand.

    Args:
        asset_name: The asset, for messages.
        partition: The keys and what defines them.
        expr: In which columns they are.
        columns: The columns of the table, or of the value if there is no table yet.

    Raises:
        PartitionValidationError: A column is missing, or has a type that cannot hold the key.
    """
    by_name = {column.name: column for column in columns}
    groups = [
        tuple(_term(asset_name, dimension, by_name) for dimension in dimensions)
        for dimensions in _boxes(partition, expr)
    ]
    return Predicate(tuple(groups))


def folder_columns(
    partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column], root: str
) -> list[str]:
    """The columns by which a new table is divided into folders, so that writers of two keys never meet.

    Those are columns that hold one value per key. Times would make a folder per moment, some names and roots
    make folders that readers misread, and some keys are too long; the others are found by the statistics of
    their files.

    Args:
        partition: The keys and what defines them.
        expr: In which columns they are.
        columns: The columns of the value.
        root: Where tables lie.
    """
    by_name = {column.name: column for column in columns}
    (dimensions, *others) = _boxes(partition, expr)
    every = (one for box in (dimensions, *others) for one in box)
    too_long = {one.column for one in every if _longest_folder(one) > _LONGEST_NAME}
    if "=" in root or any(
        sign in dimension.column for dimension in dimensions for sign in _UNREADABLE_FOLDERS
    ):
        return []
    chosen = [
        one.column
        for one in dimensions
        if one.column not in too_long and _is_one_value(one, by_name[one.column].stored)
    ]
    # a data file needs a column of its own
    return chosen if len(chosen) < len(columns) else []


def refuse_long_folders(
    asset_name: str, partition: PartitionContext, expr: PartitionExpr, folders: Sequence[str]
) -> None:
    """Refuse keys that are too long for the name of a folder, in a table on this machine that is divided into some.

    Args:
        asset_name: The asset, for the message.
        partition: The keys and what defines them.
        expr: In which columns they are.
        folders: The columns by which the table is divided.

    Raises:
        PartitionValidationError: A key is too long.
    """
    dimensions = (one for box in _boxes(partition, expr) for one in box if one.column in folders)
    for column, key in ((one.column, key) for one in dimensions for key in one.keys):
        length = _folder_length(column, key)
        if length > _LONGEST_NAME:
            raise PartitionValidationError(
                f"Asset {asset_name!r}: partition key {key[:30] + '...'!r} is too long: the table has a folder for "
                f"each {column!r}, whose name would have {length} bytes, and file systems take {_LONGEST_NAME}. "
                "Shorten the key; or delete the table and begin it with this partition, then it gets no such folders."
            )


def _longest_folder(dimension: Dimension) -> int:
    """The bytes of the longest name that one of the keys gives a folder, also one that is only listed so far."""
    listed = getattr(dimension.definition, "keys", ())
    return max(_folder_length(dimension.column, key) for key in (*dimension.keys, *listed))


def _folder_length(column: str, key: str) -> int:
    return len(f"{column}=".encode()) + len(quote(key, safe=""))


def _is_one_value(dimension: Dimension, stored: ArrowField) -> bool:
    kind = stored.format
    window = dimension.window(dimension.keys[0])
    if kind == "tdD":
        return window is None or window[1] - window[0] == _DAY
    return kind in {"u", "b", "c", "s", "i", "l"} and (window is None or kind == "u")


def _boxes(partition: PartitionContext, expr: PartitionExpr) -> list[list[Dimension]]:
    """Groups of dimensions whose combinations are the keys: one group if the keys are a full product."""
    keys = partition.keys
    definition = partition.definition
    parts = [_parts(key) for key in keys]
    names = list(parts[0])
    inner: Mapping[str | None, PartitionsDefinition] = getattr(definition, "dimensions", None) or {}
    merged = {name: tuple(dict.fromkeys(part[name] for part in parts)) for name in names}
    combinations = set(product(*merged.values()))
    full = combinations == {tuple(part.values()) for part in parts}
    boxes = [merged] if full else [{name: (key,) for name, key in part.items()} for part in parts]
    return [
        [
            Dimension(expr.column_of(name), box[name], definition if name is None else inner.get(name))
            for name in names
        ]
        for box in boxes
    ]


def _parts(key: PartitionKey) -> dict[str | None, str]:
    dimensions = getattr(key, "dimensions", None)
    if dimensions is None:
        (value,) = key.values  # type: ignore[attr-defined]
        return {None: value}
    return {name: value for name, (value,) in dimensions}


def _term(asset_name: str, dimension: Dimension, columns: Mapping[str, Column]) -> Term:
    column = columns.get(dimension.column)
    if column is None:
        raise PartitionValidationError(
            f"Asset {asset_name!r}: 'delta/partition_expr' names the column {dimension.column!r}, which the "
            f"table has not; it has {', '.join(map(repr, columns))}."
        )
    windows = [dimension.window(key) for key in dimension.keys]
    kind = column.stored.format
    if kind.startswith(("ts", "td")) and None not in windows:
        return Within(dimension.column, _ranges(asset_name, dimension, column, [w for w in windows if w]))
    reading = partition_keys.reading(column)
    if reading is None:
        raise PartitionValidationError(
            f"Asset {asset_name!r}: column {dimension.column!r} is {column.given.type_name()}, which cannot hold "
            "a partition key; name a column of text, whole numbers, dates or timestamps."
        )
    sole = cache(lambda: _sole_keys(dimension, reading))
    values = [_read(asset_name, dimension, column, reading, key, sole) for key in dimension.keys]
    are_rounded = is_rounded(column.stored) or any(map(_is_within_a_millisecond, values))
    return OneOf(dimension.column, _with_negative_zero(values), reading.sql_type, are_rounded)


def _is_within_a_millisecond(value: Any) -> bool:
    """Whether the bounds of a file stop short of a moment: the log keeps milliseconds.

    Source: deltalake 1.6 widens what it reads by one millisecond, but for some years after 2262 does not.
    """
    return isinstance(value, datetime) and value.microsecond % 1000 > 0


def _with_negative_zero(values: Iterable[Any]) -> tuple[Any, ...]:
    """The two zeros of floats are one value to polars and pyarrow, and two to deltalake."""
    return tuple(
        one
        for value in values
        for one in ((0.0, -0.0) if isinstance(value, float) and not value else (value,))
    )


def _read(
    asset_name: str,
    dimension: Dimension,
    column: Column,
    reading: Reading,
    key: str,
    sole: Callable[[], frozenset[str]],
) -> Any:
    subject = f"Asset {asset_name!r}: partition key {key!r}"
    where = f"column {dimension.column!r} ({column.given.type_name()})"
    if key == _NULL_FOLDER:
        raise PartitionValidationError(f"{subject} is how a folder says null; choose another key.")
    try:
        value = reading.value(key)
        text = reading.text(value)
    except (ValueError, ArithmeticError) as error:
        reason = f": {error}" if isinstance(error, UnfitKeyError) else ""
        raise PartitionValidationError(
            f"{subject} is no value for {where}{reason}; name another column, or give keys that it can hold."
        ) from error
    if text != key and dimension.window(key) is None and key not in sole():
        raise PartitionValidationError(
            f"{subject} is the value {text!r} in {where}, and two keys of one value would replace each other's rows; "
            f"write {text!r}, or name a column of text."
        )
    return value


def _sole_keys(dimension: Dimension, reading: Reading) -> frozenset[str]:
    """The keys, such as `01` for a month, that are known to be the only ones of their values, for all are listed."""
    listed: Sequence[str] = getattr(dimension.definition, "keys", ())
    values = [_value(reading, key) for key in listed]
    times = Counter(values)
    return frozenset(key for key, value in zip(listed, values, strict=True) if times[value] == 1)


def _value(reading: Reading, key: str) -> Any:
    try:
        return reading.value(key)
    except (ValueError, ArithmeticError):
        return None


def _ranges(
    asset_name: str, dimension: Dimension, column: Column, windows: Iterable[tuple[datetime, datetime]]
) -> tuple[tuple[Any, Any], ...]:
    """Half-open ranges, those that meet put together."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    if column.stored.format == "tdD":
        if any(moment.time() != datetime.min.time() for window in windows for moment in window):
            raise PartitionValidationError(
                f"Asset {asset_name!r}: column {dimension.column!r} holds dates, and partition "
                f"{dimension.keys[0]!r} is only a part of a day; name a column of timestamps."
            )
        return tuple((start.date(), end.date()) for start, end in joined)
    zone = zone_of(column)
    return tuple((in_zone(start, zone), in_zone(end, zone)) for start, end in joined)
