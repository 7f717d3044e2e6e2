"""Partition filters: convert the partition keys of a context to predicates for their rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from pyarrow import types as pat

from rivers_core.exceptions import PartitionValidationError
from rivers_delta.compat import has_rounded_bounds, has_submillisecond
from rivers_delta.partitions.keys import UnfitKeyError, in_zone, is_inexact, key_codec, zone_of
from rivers_delta.partitions.predicates import OneOf, Predicate, Term, Within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from rivers_core import PartitionContext, Partitioning, PartitionKey
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.partitions.keys import KeyCodec
    from rivers_delta.schema.encoding import Column

_DAY: Final = timedelta(days=1)
_UNREADABLE_IN_FOLDERS: Final = "/="
_MAX_NAME_BYTES: Final = 255
_MAX_OBJECT_BYTES: Final = 1024  # of the name of an object in S3, Azure and Google Cloud Storage
_DATA_FILE_BYTES: Final = 100  # of the name of a data file, such as part-00000-<UUID>-c000.snappy.parquet
_NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of the partition keys: its column, its keys and their definition."""

    column: str
    keys: tuple[str, ...]
    definition: Partitioning | None

    def window(self, key: str) -> tuple[datetime, datetime] | None:
        """Return start and end of a time window; None if the key is not one.

        Args:
            key: One of the keys.
        """
        return None if self.definition is None else self.definition.window_of(key)


def partition_predicate(
    asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> Predicate:
    """Return the rows that belong to partition keys.

    Args:
        asset_name: The asset, for messages.
        partition: The keys and their definition.
        expr: The columns that hold them.
        columns: The columns of the table, or of the value if there is no table yet.

    Raises:
        PartitionValidationError: A column is missing, or its type cannot hold a key.
    """
    by_name = {column.name: column for column in columns}
    groups = [
        tuple(_term(asset_name, dimension, by_name) for dimension in dimensions)
        for dimensions in _boxes(partition, expr)
    ]
    return Predicate(tuple(groups))


def refuse_inexact_columns(asset_name: str, expr: PartitionExpr, columns: Sequence[Column]) -> None:
    """Refuse to write partitions whose keys are floats or decimals.

    Args:
        asset_name: The asset, for the message.
        expr: The columns that hold the keys.
        columns: The columns to write.

    Raises:
        PartitionValidationError: A column holds floats or decimals.
    """
    for column in columns:
        if column.name in expr.columns and is_inexact(column):
            raise PartitionValidationError(
                f"Cannot write partitions of asset {asset_name!r} by column {column.name!r} ({column.given.type}): "
                "several keys such as '1.5' and '1.50' are one number, and readers round such numbers differently. "
                "Existing partitions can be read. Use a column of text or integers."
            )


def folder_columns(
    partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column], root: str
) -> list[str]:
    """Return the columns by which a new table gets folders, so that writers of two keys never conflict.

    These are columns that hold one value per key. Timestamps would need a folder each, readers misread some names and
    roots, and some keys are too long for a folder name; rows of other columns are found by the statistics of files.

    Args:
        partition: The keys and their definition.
        expr: The columns that hold them.
        columns: The columns of the value.
        root: Where tables are.
    """
    by_name = {column.name: column for column in columns}
    boxes = _boxes(partition, expr)
    dimensions = boxes[0]
    too_long = {
        dimension.column for box in boxes for dimension in box if _longest_folder(dimension) > _MAX_NAME_BYTES
    }
    if "=" in root or any(
        sign in dimension.column for dimension in dimensions for sign in _UNREADABLE_IN_FOLDERS
    ):
        return []
    chosen = [
        dimension.column
        for dimension in dimensions
        if dimension.column not in too_long
        and _is_one_value(dimension, by_name[dimension.column].stored.type)
    ]
    # A data file needs a column besides those of its folders.
    return chosen if len(chosen) < len(columns) else []


def refuse_long_folders(
    asset_name: str, partition: PartitionContext, expr: PartitionExpr, folders: Sequence[str]
) -> None:
    """Refuse keys that are too long for a folder name, in a local table that has folders.

    Args:
        asset_name: The asset, for the message.
        partition: The keys and their definition.
        expr: The columns that hold them.
        folders: The columns by which the table has folders.

    Raises:
        PartitionValidationError: A key is too long.
    """
    dimensions = (one for box in _boxes(partition, expr) for one in box if one.column in folders)
    for column, key in ((dimension.column, key) for dimension in dimensions for key in dimension.keys):
        length = _folder_length(column, key)
        if length > _MAX_NAME_BYTES:
            raise PartitionValidationError(
                f"Asset {asset_name!r}: partition key {key[:30] + '...'!r} is too long: the table has a folder for "
                f"each {column!r}, whose name would have {length} bytes, and file systems accept {_MAX_NAME_BYTES}. "
                "Shorten the key; or delete the table and write this partition first, so that it gets no such folders."
            )


def refuse_long_objects(
    asset_name: str, partition: PartitionContext, expr: PartitionExpr, folders: Sequence[str], address: str
) -> None:
    """Refuse keys for whose data files an object store has no name, in a table that has folders.

    Args:
        asset_name: The asset, for the message.
        partition: The keys and their definition.
        expr: The columns that hold them.
        folders: The columns by which the table has folders.
        address: URL of the table.

    Raises:
        PartitionValidationError: A key is too long.
    """
    room = _MAX_OBJECT_BYTES - _DATA_FILE_BYTES - len(urlsplit(address).path.encode())
    for box in _boxes(partition, expr):
        lengths = [
            max((_folder_length(dimension.column, key) + 1, key) for key in dimension.keys)
            for dimension in box
            if dimension.column in folders
        ]
        length = sum(length for length, _ in lengths)
        if length > room:
            _, key = max(lengths)
            raise PartitionValidationError(
                f"Asset {asset_name!r}: partition key {key[:30] + '...'!r} is too long: the folders of its data files "
                f"would have {length} bytes, and object stores accept {room} for this table. Shorten the key; or "
                "delete the table and write this partition first, so that it gets no such folders."
            )


def _longest_folder(dimension: Dimension) -> int:
    """Return the bytes of the longest folder name of the keys and of all keys that the definition lists."""
    listed = dimension.definition.listed_keys if dimension.definition is not None else ()
    return max(_folder_length(dimension.column, key) for key in (*dimension.keys, *listed))


def _folder_length(column: str, key: str) -> int:
    return len(f"{column}=".encode()) + len(quote(key, safe=""))


def _is_one_value(dimension: Dimension, stored: pa.DataType) -> bool:
    window = dimension.window(dimension.keys[0])
    if pat.is_date32(stored):
        return window is None or window[1] - window[0] == _DAY
    if pat.is_string(stored):
        return True
    return window is None and bool(pat.is_boolean(stored) or pat.is_integer(stored))


def _boxes(partition: PartitionContext, expr: PartitionExpr) -> list[list[Dimension]]:
    """Return groups of dimensions whose combinations are the keys: one group if the keys are a full product."""
    keys, definition = partition.keys, partition.definition
    parts = [_parts(key) for key in keys]
    names = list(parts[0])
    merged = {name: tuple(dict.fromkeys(part[name] for part in parts)) for name in names}
    is_product = set(product(*merged.values())) == {tuple(part.values()) for part in parts}
    boxes = [merged] if is_product else [{name: (key,) for name, key in part.items()} for part in parts]
    return [_dimensions(box, definition, expr) for box in boxes]


def key_dimensions(
    key: PartitionKey, definition: Partitioning | None, expr: PartitionExpr
) -> list[Dimension]:
    """Return the dimensions of one key.

    Args:
        key: The key.
        definition: Its definition.
        expr: The columns that hold it.

    Raises:
        PartitionValidationError: The expression has no column for a dimension.
    """
    return _dimensions({name: (value,) for name, value in _parts(key).items()}, definition, expr)


def _dimensions(
    box: Mapping[str | None, tuple[str, ...]], definition: Partitioning | None, expr: PartitionExpr
) -> list[Dimension]:
    definitions = definition.dimensions if definition is not None else {}
    return [
        Dimension(expr.column_of(name), keys, definition if name is None else definitions.get(name))
        for name, keys in box.items()
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
            f"Asset {asset_name!r}: column {dimension.column!r} of 'delta/partition_expr' not found in the table, "
            f"which has {', '.join(map(repr, columns))}. Use one of these."
        )
    kind = column.stored.type
    if pat.is_date32(kind) or pat.is_timestamp(kind):
        windows = [window for key in dimension.keys if (window := dimension.window(key)) is not None]
        if len(windows) == len(dimension.keys):
            return Within(dimension.column, _ranges(asset_name, dimension, column, windows))
    codec = key_codec(column)
    if codec is None:
        raise PartitionValidationError(
            f"Asset {asset_name!r}: column {dimension.column!r} has type {column.given.type}, which cannot hold a "
            "partition key. Use a column of text, integers, dates or timestamps."
        )
    unique_keys = cache(lambda: _unique_keys(dimension, codec))
    values = [_value(asset_name, dimension, column, codec, key, unique_keys) for key in dimension.keys]
    are_rounded = has_rounded_bounds(kind) or any(map(has_submillisecond, values))
    return OneOf(dimension.column, _with_negative_zero(values), codec.sql_type, are_rounded)


def _with_negative_zero(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values with both zeros of floats: they are one value to polars and pyarrow, and two to deltalake."""
    return tuple(
        zero
        for value in values
        for zero in ((0.0, -0.0) if isinstance(value, float) and not value else (value,))
    )


def _value(
    asset_name: str,
    dimension: Dimension,
    column: Column,
    codec: KeyCodec,
    key: str,
    unique_keys: Callable[[], frozenset[str]],
) -> Any:
    subject = f"Asset {asset_name!r}: partition key {key!r}"
    where = f"column {dimension.column!r} ({column.given.type})"
    if key == _NULL_FOLDER:
        raise PartitionValidationError(f"{subject} is the folder name of null values. Use another key.")
    try:
        value = codec.value(key)
        text = key if codec.text is None else codec.text(value)
    except (ValueError, ArithmeticError) as error:
        reason = f": {error}" if isinstance(error, UnfitKeyError) else ""
        raise PartitionValidationError(
            f"{subject} is not a value of {where}{reason}. Use another column, or keys that it can hold."
        ) from error
    if text != key and dimension.window(key) is None and key not in unique_keys():
        raise PartitionValidationError(
            f"{subject} is the value {text!r} in {where}, and two keys of one value would replace each other's rows. "
            f"Use {text!r}, or a column of text."
        )
    return value


def _unique_keys(dimension: Dimension, codec: KeyCodec) -> frozenset[str]:
    """Return listed keys that are the only ones with their value, such as `01` for a month."""
    listed = dimension.definition.listed_keys if dimension.definition is not None else ()
    values = [_value_or_none(codec, key) for key in listed]
    counts = Counter(values)
    return frozenset(key for key, value in zip(listed, values, strict=True) if counts[value] == 1)


def _value_or_none(codec: KeyCodec, key: str) -> Any:
    try:
        return codec.value(key)
    except (ValueError, ArithmeticError):
        return None


def _ranges(
    asset_name: str, dimension: Dimension, column: Column, windows: Iterable[tuple[datetime, datetime]]
) -> tuple[tuple[Any, Any], ...]:
    """Return half-open ranges; adjacent ones are joined."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    if pat.is_date32(column.stored.type):
        if any(moment.time() != datetime.min.time() for window in joined for moment in window):
            raise PartitionValidationError(
                f"Asset {asset_name!r}: column {dimension.column!r} holds dates, and partition {dimension.keys[0]!r} "
                "is shorter than a day. Use a column of timestamps."
            )
        return tuple((start.date(), end.date()) for start, end in joined)
    zone = zone_of(column)
    return tuple((in_zone(start, zone), in_zone(end, zone)) for start, end in joined)
