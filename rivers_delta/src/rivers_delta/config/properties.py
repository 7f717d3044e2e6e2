"""Properties of the handler, of the Parquet writer and of commits, as users write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from rivers_core.authoring import did_you_mean

_WRITER: Final = (
    "data_page_size_limit", "dictionary_page_size_limit", "data_page_row_count_limit", "write_batch_size",
    "max_row_group_size", "compression", "compression_level", "statistics_truncate_length",
    "default_column_properties", "column_properties",
)  # fmt: skip
_COLUMN: Final = ("dictionary_enabled", "statistics_enabled", "bloom_filter_properties", "encoding")
_BLOOM: Final = ("set_bloom_filter_enabled", "fpp", "ndv")
_COMMIT: Final = ("custom_metadata", "max_commit_retries", "app_transactions")
_OBJECTS: Final = {
    "WriterProperties": _WRITER,
    "ColumnProperties": _COLUMN,
    "BloomFilterProperties": _BLOOM,
    "CommitProperties": _COMMIT,
}
"""Attributes of the classes of deltalake, which this module does not import."""
_COMPRESSION: Final = re.compile(r"(?P<name>\w+)(?:\((?P<level>\d+)\))?")


_FLAG: Final = (re.compile("true|false"), "'true' or 'false'")
_POSITIVE: Final = (re.compile(r"[1-9]\d*"), "an integer of 1 or more")
_INTERVAL: Final = (
    re.compile(r"interval \d+ (?:nano|micro|milli)?(?:second|minute|hour|day|week)s?", re.IGNORECASE),
    "an interval such as 'interval 7 days'",
)
_ANY: Final = (re.compile(".+"), "text")
_TABLE: Final = {
    "appendOnly": _FLAG,
    "autoOptimize.autoCompact": _ANY,
    "autoOptimize.optimizeWrite": _FLAG,
    "checkpoint.writeStatsAsJson": _FLAG,
    "checkpoint.writeStatsAsStruct": _FLAG,
    "checkpointInterval": _POSITIVE,
    "checkpointPolicy": _ANY,
    "columnMapping.mode": _ANY,
    "dataSkippingNumIndexedCols": (re.compile(r"-1|\d+"), "an integer of 0 or more, or -1 for all columns"),
    "dataSkippingStatsColumns": _ANY,
    "deletedFileRetentionDuration": _INTERVAL,
    "enableChangeDataFeed": _FLAG,
    "enableDeletionVectors": _FLAG,
    "enableExpiredLogCleanup": _FLAG,
    "isolationLevel": _ANY,
    "logRetentionDuration": _INTERVAL,
    "minReaderVersion": _POSITIVE,
    "minWriterVersion": _POSITIVE,
    "randomizeFilePrefixes": _FLAG,
    "randomPrefixLength": _POSITIVE,
    "setTransactionRetentionDuration": _INTERVAL,
    "targetFileSize": _ANY,
    "tuneFileSizesForRewrites": _FLAG,
}
"""Properties that deltalake (1.6) accepts for a new table; it ignores values that it cannot parse."""


def check_table_properties(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return properties of a table after checking names and values.

    Args:
        given: Name (`delta.*`) to value.

    Raises:
        ValueError: A name is unknown, or a value would be ignored.

    Source: "Delta table properties reference" of Delta Lake, and
    https://github.com/delta-io/delta/blob/master/PROTOCOL.md.
    """
    known = {f"delta.{name}": rule for name, rule in _TABLE.items()}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is not a table property.{did_you_mean(name, known)}")
        pattern, expected = known[name]
        if not pattern.fullmatch(value):
            raise ValueError(f"{name!r} must be {expected}, got {value!r}.")
    return given


class HandlerConfig(BaseModel):
    """Behavior of the handler itself.

    Args:
        max_attempts: How often a write that conflicts with another commit is attempted in all.
        first_delay_s: Seconds to wait before the second attempt; doubled after each, with jitter.
        longest_delay_s: Upper limit of a delay, in seconds.
        checkpoint_interval: After how many commits a table that this handler creates gets a log checkpoint.
        target_file_size: Bytes a data file should have; deltalake's default if None.
        digests: Whether to record a digest of each data file, which `verify` compares; costs reading each file again.
        default_type: Type of a loaded value if neither consumer, producer nor event names one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(default=10, ge=1, le=100)
    first_delay_s: float = Field(default=0.02, ge=0)
    longest_delay_s: float = Field(default=2.0, ge=0)
    checkpoint_interval: int = Field(default=10, ge=1)
    target_file_size: int | None = Field(default=None, gt=0)
    digests: bool = False
    default_type: str | None = None

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore a pickle; fields that an earlier release did not have get their defaults."""
        defaults = {name: field.get_default() for name, field in type(self).model_fields.items()}
        super().__setstate__({**state, "__dict__": defaults | state["__dict__"]})


def check_writer_properties(value: Any) -> dict[str, Any]:
    """Return properties of the Parquet writer after checking their names.

    Args:
        value: A `deltalake.WriterProperties`, or a dictionary of its arguments; `column_properties` is a dictionary of
            dictionaries.

    Raises:
        ValueError: A name is unknown.
        TypeError: It is neither.
    """
    properties = _checked(value, _WRITER, "writer property")
    if not isinstance(value, Mapping) and (compression := properties.get("compression")) is not None:
        parts = _COMPRESSION.fullmatch(compression)  # deltalake keeps "ZSTD(3)"
        assert parts is not None
        properties["compression"] = parts["name"]
        if parts["level"] is not None:
            properties["compression_level"] = int(parts["level"])
    default = properties.get("default_column_properties")
    columns = properties.get("column_properties") or {}
    if not isinstance(columns, Mapping):
        raise TypeError(f"needs a dictionary {{column: properties}} as 'column_properties', got {columns!r}")
    for column in ([default] if default is not None else []) + list(columns.values()):
        bloom = _checked(column, _COLUMN, "column property").get("bloom_filter_properties")
        if bloom is not None:
            _checked(bloom, _BLOOM, "bloom filter property")
    return properties


def check_commit_properties(value: Any) -> dict[str, Any]:
    """Return properties of commits after checking their names.

    Args:
        value: A `deltalake.CommitProperties`, or a dictionary with its arguments; `app_transactions` may also be tuples
            of identifier and version.

    Raises:
        ValueError: A name is unknown.
        TypeError: A value has another type.
    """
    properties = _checked(value, _COMMIT, "commit property")
    if "app_transactions" in properties:
        properties["app_transactions"] = [_transaction(item) for item in properties["app_transactions"]]
    metadata = properties.get("custom_metadata", {})
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise TypeError(f"needs a dictionary with text as keys as 'custom_metadata', got {metadata!r}")
    retries = properties.get("max_commit_retries", 0)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise TypeError(f"needs an integer of 0 or more as 'max_commit_retries', got {retries!r}")
    return properties


def _transaction(value: Any) -> tuple[Any, ...]:
    """Return the arguments of a `deltalake.Transaction`, which cannot be pickled."""
    if hasattr(value, "app_id"):
        return value.app_id, value.version, value.last_updated
    match value:
        case (str(), int()) | (str(), int(), int() | None):
            return tuple(value)
    raise TypeError(f"needs identifier and version of each of 'app_transactions', got {value!r}")


def _checked(value: Any, allowed: tuple[str, ...], what: str) -> dict[str, Any]:
    properties = _plain(value)
    if not isinstance(properties, Mapping):
        raise TypeError(f"must be a dictionary or an object of deltalake, got {value!r}")
    for name in properties:
        if name not in allowed:
            hint = did_you_mean(str(name), allowed) or f" Use one of: {', '.join(allowed)}."
            raise ValueError(f"contains {name!r}, which is not a {what}.{hint}")
    return dict(properties)


def _plain(value: Any) -> Any:
    """Return properties as dictionaries, which can be compared and pickled; objects of deltalake by what they set."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    kind = type(value)
    if kind.__name__ not in _OBJECTS or not kind.__module__.startswith("deltalake."):
        return value
    given = {name: getattr(value, name, None) for name in _OBJECTS[kind.__name__]}
    return {name: _plain(item) for name, item in given.items() if item is not None}
