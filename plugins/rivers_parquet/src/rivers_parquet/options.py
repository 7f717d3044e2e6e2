"""Options of one asset: what its metadata says about columns and about the layout of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import InvalidMetadataError

NAMESPACE: Final = "parquet"

Compression = Literal["zstd", "snappy", "gzip", "brotli", "lz4", "uncompressed"]

LEVELS: Final[dict[str, tuple[int, int]]] = {"zstd": (1, 22), "gzip": (1, 9), "brotli": (0, 11)}
"""Lowest and highest level of each compression that has levels."""


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """Options of one asset; None leaves the choice to the settings of the handler.

    Args:
        columns: Columns to load, in order.
        compression: Compression of the pages.
        compression_level: Level of the compression, if it has levels.
        row_group_size: Most rows of a row group.
        statistics: Whether to write the smallest and largest value of each page.
        partition_expr: Column of each partition dimension, under None that of keys with one dimension: says to which
            key a row of a value for several keys belongs.
    """

    columns: tuple[str, ...] | None = None
    compression: Compression | None = None
    compression_level: int | None = None
    row_group_size: int | None = None
    statistics: bool | None = None
    partition_expr: Mapping[str | None, str] | None = None


def parse_options(asset_name: str, metadata: Mapping[str, Any] | None) -> ParquetOptions:
    """Return the options in the metadata of an asset.

    Args:
        asset_name: The asset.
        metadata: Its static metadata.

    Raises:
        InvalidMetadataError: An option is unknown or has an invalid value.
    """
    values, problems = _parse(metadata or {})
    if problems:
        raise InvalidMetadataError(f"Asset {asset_name!r}: {' '.join(problems)}")
    return ParquetOptions(**values)


def find_problems(metadata: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each option that is unknown or has an invalid value.

    Args:
        metadata: Static metadata of an asset.
    """
    return _parse(metadata)[1]


def level_problem(compression: str | None, level: int | None) -> str | None:
    """Return why a level does not fit its compression; None if it does.

    Args:
        compression: The compression; None if it is not known here.
        level: The level.
    """
    if level is None or compression is None:
        return None
    if compression not in LEVELS:
        return f"compression {compression!r} does not have levels, got level {level}"
    lowest, highest = LEVELS[compression]
    if lowest <= level <= highest:
        return None
    return f"compression {compression!r} has levels from {lowest} to {highest}, got {level}"


def _parse(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    names = [field.name for field in fields(ParquetOptions)]
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in metadata.items():
        namespace, slash, name = str(key).partition("/")
        if namespace != NAMESPACE or not slash:
            continue
        if name not in names:
            problems.append(
                f"Option {key!r} not found.{did_you_mean(name, names)} The options are {', '.join(names)}."
            )
            continue
        try:
            values[name] = _PARSERS[name](value)
        except ValueError as error:
            problems.append(f"{key!r} must be {error}, got {value!r}.")
    problem = level_problem(values.get("compression"), values.get("compression_level"))
    if problem is not None:
        problems.append(f"'parquet/compression_level': {problem}.")
    return values, problems


def _columns(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    names = [value] if isinstance(value, str) else value
    is_list = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not is_list or not names or len(set(names)) != len(names):
        raise ValueError("a list of different column names")
    return tuple(names)


def _partition_expr(value: Any) -> dict[str | None, str]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    columns = {None: value} if isinstance(value, str) else value
    is_mapping = isinstance(columns, Mapping) and all(
        isinstance(column, str) and column for column in columns.values()
    )
    if not is_mapping or not columns or len(set(columns.values())) != len(columns):
        raise ValueError("a column, or {dimension: column} with different columns")
    return dict(columns)


def _compression(value: Any) -> str:
    if value not in get_args(Compression):
        raise ValueError(f"one of {', '.join(get_args(Compression))}")
    return str(value)


def _number(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.strip().lstrip("-").isdigit() else value
    if type(number) is not int or number < 0:
        raise ValueError("a number")
    return number


def _positive(value: Any) -> int:
    number = _number(value)
    if number < 1:
        raise ValueError("a positive number")
    return number


def _flag(value: Any) -> bool:
    flag = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
    if type(flag) is not bool:
        raise ValueError("true or false")
    return flag


_PARSERS: Final = {
    "columns": _columns,
    "compression": _compression,
    "compression_level": _number,
    "row_group_size": _positive,
    "statistics": _flag,
    "partition_expr": _partition_expr,
}
