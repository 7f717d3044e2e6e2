"""Options of an asset in its static metadata: `delta/mode`, `delta/partition_expr` and so on."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.config.partition_expr import PartitionExpr
from rivers_delta.config.properties import read_commit_properties, read_writer_properties

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE: Final = "delta"

Mode = Literal["overwrite", "append", "error", "ignore", "merge", "create_or_replace"]
SchemaMode = Literal["overwrite", "merge"]
MergeType = Literal["deduplicate_insert", "update_only", "upsert", "replace_delete_unmatched", "custom"]


@dataclass(frozen=True, slots=True)
class DeltaOptions:
    """The options of one asset, read and checked; None for what is not given."""

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


def read_options(asset_name: str, metadata: Mapping[str, Any] | None) -> DeltaOptions:
    """The options in an asset's metadata.

    Args:
        asset_name: The asset, for the message.
        metadata: Its static metadata; keys outside of `delta/` are not looked at.

    Raises:
        InvalidMetadataError: An option is unknown or has a value that cannot be; all of them are listed.
    """
    if not metadata:
        return _NONE_GIVEN
    values, faults = _parse(metadata)
    if faults:
        raise InvalidMetadataError(f"Asset {asset_name!r}: {' '.join(faults)}")
    return DeltaOptions(**values) if values else _NONE_GIVEN


def find_faults(metadata: Mapping[str, Any]) -> list[str]:
    """One sentence for each `delta/` option that is unknown or has a value that cannot be.

    Args:
        metadata: An asset's static metadata.
    """
    return _parse(metadata)[1]


def _parse(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in metadata.items():
        namespace, slash, name = str(key).partition("/")
        if not slash or namespace.lower() != NAMESPACE:
            continue
        reader = _READERS.get(name) if namespace == NAMESPACE else None
        if reader is None:
            faults.append(f"{key!r} is no option of the delta handler{_nearest(key)}.")
            continue
        try:
            values[name] = reader(value)
        except (ValueError, TypeError) as error:
            faults.append(f"{key!r}: {error}.")
    if {"version", "change_feed"} <= values.keys():
        faults.append(
            f"'{NAMESPACE}/change_feed' is what happened between versions, and '{NAMESPACE}/version' is one of them; "
            "give one of the two, and bounds of the feed as its 'start' and 'end'."
        )
    return values, faults


def _nearest(key: str) -> str:
    known = [f"{NAMESPACE}/{name}" for name in _READERS]
    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f"; it has {', '.join(known)}"


def _one_of(literal: Any) -> Callable[[Any], str]:
    allowed = get_args(literal)

    def read(value: Any) -> str:
        if value in allowed:
            return str(value)
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"is one of {', '.join(map(repr, allowed))}, got {value!r}{hint}")

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"is non-empty text, got {value!r}")
    return value


def _root_name(value: Any) -> str:
    name = _text(value)
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise ValueError(
            f"is the name of a table right under table_uri, got {name!r}; folders belong into table_uri"
        )
    return name


def _columns(value: Any) -> tuple[str, ...]:
    columns = _from_json(value)
    if isinstance(columns, str) or not isinstance(columns, (list, tuple)) or not columns:
        raise TypeError(f"is a list of column names, got {value!r}")
    names = tuple(_text(column) for column in columns)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(f"names {', '.join(map(repr, repeated))} more than once")
    return names


def _version(value: Any) -> int | str:
    """A number, or a moment in RFC 3339 and UTC, which is all that deltalake reads."""
    if isinstance(value, date):
        return _moment(value if isinstance(value, datetime) else datetime.combine(value, time()))
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"is a version number or a timestamp in ISO 8601, got {value!r}")
    text = str(value).strip()
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        return _moment(_read_moment(text, value))
    if isinstance(value, str) and _is_compact_day(text):
        raise ValueError(
            f"is a version or a day, and {value!r} may be either; write the number {text}, or "
            f"'{text[:4]}-{text[4:6]}-{text[6:]}'"
        )
    if int(text) < 0:
        raise ValueError(f"is a version number from 0 upwards, got {value!r}")
    return int(text)


def _read_moment(text: str, value: Any) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is a version number or a timestamp in ISO 8601, got {value!r}") from None


def _moment(moment: datetime) -> str:
    """A moment without a zone is meant in UTC."""
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()
    except OverflowError:
        raise ValueError(f"is a timestamp within the years 1 to 9999, got {moment.isoformat()!r}") from None


def _is_compact_day(text: str) -> bool:
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
        raise TypeError(f"is true, or {{'start': version or timestamp, 'end': ...}}, got {value!r}")
    return {name: _version(bound) for name, bound in given.items()}


def _configuration(value: Any) -> Mapping[str, str]:
    given = _from_json(value)
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise TypeError(f"is a dictionary of table properties, got {value!r}")
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in given.items()}


def _from_json(value: Any) -> Any:
    """Structure, given as such or as a string of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "mode": _one_of(Mode),
    "schema_mode": _one_of(SchemaMode),
    "partition_expr": PartitionExpr.read,
    "root_name": _root_name,
    "columns": _columns,
    "version": _version,
    "merge_predicate": _text,
    "merge_type": _one_of(MergeType),
    "change_feed": _change_feed,
    "table_configuration": _configuration,
    "writer_properties": lambda value: read_writer_properties(_from_json(value)),
    "commit_properties": lambda value: read_commit_properties(_from_json(value)),
}
_NONE_GIVEN: Final = DeltaOptions()
assert set(_READERS) == {field.name for field in fields(DeltaOptions)}
