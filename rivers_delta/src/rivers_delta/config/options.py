"""Options of one asset, from its static metadata: `delta/mode`, `delta/partition_expr` and so on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.config.merge_config import MergeType
from rivers_delta.config.partition_expr import PartitionExpr
from rivers_delta.config.properties import (
    check_commit_properties,
    check_table_properties,
    check_writer_properties,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE: Final = "delta"

Mode = Literal["overwrite", "append", "error", "ignore", "merge", "create_or_replace"]
SchemaMode = Literal["overwrite", "merge"]


@dataclass(frozen=True, slots=True)
class DeltaOptions:
    """Options of one asset, validated; None for those it does not set."""

    mode: Mode | None = None
    schema_mode: SchemaMode | None = None
    partition_expr: PartitionExpr | None = None
    root_name: str | None = None
    columns: tuple[str, ...] | None = None
    version: int | str | None = None
    merge_predicate: str | None = None
    merge_type: MergeType | None = None
    change_feed: Mapping[str, int | str] | None = None
    table_configuration: Mapping[str, str] | None = None
    writer_properties: Mapping[str, Any] | None = None
    commit_properties: Mapping[str, Any] | None = None


def parse_options(asset_name: str, metadata: Mapping[str, Any] | None) -> DeltaOptions:
    """Return the options in an asset's metadata.

    Args:
        asset_name: The asset, for the message.
        metadata: Its static metadata; keys outside `delta/` are ignored.

    Raises:
        InvalidMetadataError: Options are unknown or have invalid values; all of them are listed.
    """
    if not metadata:
        return _DEFAULTS
    values, problems = _parse(metadata)
    if problems:
        raise InvalidMetadataError(f"Asset {asset_name!r}: {' '.join(problems)}")
    return DeltaOptions(**values) if values else _DEFAULTS


def find_problems(metadata: Mapping[str, Any]) -> list[str]:
    """Return one message for each `delta/` option that is unknown or has an invalid value.

    Args:
        metadata: An asset's static metadata.
    """
    return _parse(metadata)[1]


def _parse(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in metadata.items():
        namespace, slash, name = str(key).partition("/")
        if not slash or namespace.lower() != NAMESPACE:
            continue
        parse = _PARSERS.get(name) if namespace == NAMESPACE else None
        if parse is None:
            problems.append(f"{key!r} is not an option of the delta handler.{_suggestion(key)}")
            continue
        try:
            values[name] = parse(value)
        except (ValueError, TypeError) as error:
            problem = f"{key!r} {error}"
            problems.append(problem if problem.endswith((".", "?")) else f"{problem}.")
    if {"version", "change_feed"} <= values.keys():
        problems.append(
            f"'{NAMESPACE}/change_feed' and '{NAMESPACE}/version' exclude each other. Use 'start' and 'end' of the "
            "change feed to limit it."
        )
    return values, problems


def _suggestion(key: str) -> str:
    known = [f"{NAMESPACE}/{name}" for name in _PARSERS]
    return did_you_mean(key.lower(), known) or f" Use one of: {', '.join(known)}."


def _one_of(literal: Any) -> Callable[[Any], str]:
    allowed = get_args(literal)

    def parse(value: Any) -> str:
        if value in allowed:
            return str(value)
        raise ValueError(
            f"must be one of {', '.join(map(repr, allowed))}, got {value!r}.{did_you_mean(str(value), allowed)}"
        )

    return parse


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"must be non-empty text, got {value!r}")
    return value


def _root_name(value: Any) -> str:
    name = _text(value)
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise ValueError(
            f"must be the name of a folder in table_uri, got {name!r}; put parent folders in table_uri"
        )
    return name


def _columns(value: Any) -> tuple[str, ...]:
    columns = _from_json(value)
    if isinstance(columns, str) or not isinstance(columns, (list, tuple)) or not columns:
        raise TypeError(f"must be a list of column names, got {value!r}")
    names = tuple(_text(column) for column in columns)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(f"contains {', '.join(map(repr, repeated))} more than once")
    return names


def parse_version(value: Any) -> int | str:
    """Return a version: a number, or a timestamp in RFC 3339 and UTC, the only form that deltalake reads.

    Args:
        value: A number, a datetime or date, or text.

    Raises:
        ValueError: The value is ambiguous, or neither.
        TypeError: It has another type.
    """
    if isinstance(value, date):
        return _timestamp(value if isinstance(value, datetime) else datetime.combine(value, time()))
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"must be a version number or an ISO 8601 timestamp, got {value!r}")
    text = str(value).strip()
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        return _timestamp(_parse_timestamp(text, value))
    if isinstance(value, str) and _is_compact_date(text):
        raise ValueError(
            f"may be a version or a day, got {value!r}; use the number {text}, or "
            f"'{text[:4]}-{text[4:6]}-{text[6:]}'"
        )
    if int(text) < 0:
        raise ValueError(f"must be a version number of 0 or more, got {value!r}")
    return int(text)


def _parse_timestamp(text: str, value: Any) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be a version number or an ISO 8601 timestamp, got {value!r}") from None


def _timestamp(moment: datetime) -> str:
    """Return a timestamp in UTC, which is also the time zone of naive ones."""
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()
    except OverflowError:
        raise ValueError(f"must be in the years 1 to 9999, got {moment.isoformat()!r}") from None


def _is_compact_date(text: str) -> bool:
    if len(text) != len("YYYYMMDD"):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _change_feed(value: Any) -> Mapping[str, int | str]:
    given = _from_json(value)
    if given is True:
        return {}
    if not isinstance(given, Mapping) or set(given) - {"start", "end"}:
        raise TypeError(f"must be true, or {{'start': version or timestamp, 'end': ...}}, got {value!r}")
    return {name: parse_version(bound) for name, bound in given.items()}


def _table_properties(value: Any) -> Mapping[str, str]:
    given = _from_json(value)
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise TypeError(f"must be a dictionary of table properties, got {value!r}")
    texts = {key: item if isinstance(item, str) else json.dumps(item) for key, item in given.items()}
    return check_table_properties(texts)


def _from_json(value: Any) -> Any:
    """Return structured data, which may be given as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


_PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "mode": _one_of(Mode),
    "schema_mode": _one_of(SchemaMode),
    "partition_expr": PartitionExpr.parse,
    "root_name": _root_name,
    "columns": _columns,
    "version": parse_version,
    "merge_predicate": _text,
    "merge_type": _one_of(MergeType),
    "change_feed": _change_feed,
    "table_configuration": _table_properties,
    "writer_properties": lambda value: check_writer_properties(_from_json(value)),
    "commit_properties": lambda value: check_commit_properties(_from_json(value)),
}
_DEFAULTS: Final = DeltaOptions()
assert set(_PARSERS) == {field.name for field in fields(DeltaOptions)}
