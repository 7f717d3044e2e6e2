"""Settings of the handler that are more than one word: writer and commit properties, retries."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rivers_delta.compat import without_rounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltalake import CommitProperties, WriterProperties

    from rivers_core.metadata.schema import ArrowField

_WRITER: Final = (
    "data_page_size_limit", "dictionary_page_size_limit", "data_page_row_count_limit", "write_batch_size",
    "max_row_group_size", "compression", "compression_level", "statistics_truncate_length",
    "default_column_properties", "column_properties",
)  # fmt: skip
_COLUMN: Final = ("dictionary_enabled", "statistics_enabled", "bloom_filter_properties", "encoding")
_BLOOM: Final = ("set_bloom_filter_enabled", "fpp", "ndv")
_DELTALAKE_USUAL: Final[dict[str, Any]] = {"compression": "SNAPPY", "statistics_truncate_length": 64}
_COMMIT: Final = ("custom_metadata", "max_commit_retries")


class Mark(NamedTuple):
    """An application transaction of a commit.

    Args:
        app: Its identifier.
        version: Its version.
        expires: Whether the table may forget it after `delta.setTransactionRetentionDuration`.
    """

    app: str
    version: int
    expires: bool = False


class HandlerConfig(BaseModel):
    """How the handler itself behaves.

    Args:
        max_attempts: How often a write that conflicts with another commit is tried in all.
        first_delay_s: Seconds to wait before the second attempt; doubled after each, with jitter.
        longest_delay_s: Seconds that no wait exceeds.
        checkpoint_interval: After how many commits a table that this handler creates gets a log checkpoint.
        target_file_size: Bytes a data file should have; deltalake's own default if None.
        default_type: What a value is loaded as when neither consumer, producer nor event says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(default=10, ge=1, le=100)
    first_delay_s: float = Field(default=0.02, ge=0)
    longest_delay_s: float = Field(default=2.0, ge=0)
    checkpoint_interval: int = Field(default=10, ge=1)
    target_file_size: int | None = Field(default=None, gt=0)
    default_type: str | None = None


def read_writer_properties(value: Any) -> dict[str, Any]:
    """Settings for the Parquet writer, checked by name.

    Args:
        value: A dictionary of what `deltalake.WriterProperties` takes; `column_properties` is a dictionary of
            dictionaries.

    Raises:
        ValueError: A name is not one of them.
        TypeError: It is no dictionary.
    """
    properties = _checked(value, _WRITER, "writer property")
    default = properties.get("default_column_properties")
    columns = properties.get("column_properties") or {}
    if not isinstance(columns, Mapping):
        raise TypeError(f"'column_properties' is a dictionary {{column: properties}}, got {columns!r}")
    for column in ([default] if default is not None else []) + list(columns.values()):
        bloom = _checked(column, _COLUMN, "column property").get("bloom_filter_properties")
        if bloom is not None:
            _checked(bloom, _BLOOM, "bloom filter property")
    return properties


def read_commit_properties(value: Any) -> dict[str, Any]:
    """Settings for a commit, checked by name.

    Args:
        value: A dictionary with `custom_metadata` and `max_commit_retries`.

    Raises:
        ValueError: A name is not one of them.
        TypeError: A value is of another type.
    """
    properties = _checked(value, _COMMIT, "commit property")
    metadata = properties.get("custom_metadata", {})
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise TypeError(f"'custom_metadata' is a dictionary with text as keys, got {metadata!r}")
    retries = properties.get("max_commit_retries", 0)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise TypeError(f"'max_commit_retries' is a number from 0 upwards, got {retries!r}")
    return properties


def build_writer_properties(
    properties: Mapping[str, Any] | None, columns: Iterable[ArrowField] = ()
) -> WriterProperties | None:
    """What deltalake takes, from checked settings; None if there are none.

    A setting changes what it names: deltalake itself would write without compression as soon as there is any.

    Args:
        properties: As `read_writer_properties` gives them.
        columns: The columns that are written, as the table has them; some of them need settings of their own.
    """
    arguments = without_rounded(properties or {}, columns)
    if not arguments:
        return None
    from deltalake import WriterProperties

    if arguments.get("default_column_properties") is not None:
        arguments["default_column_properties"] = _column(arguments["default_column_properties"])
    if arguments.get("column_properties"):
        arguments["column_properties"] = {
            name: _column(column) for name, column in arguments["column_properties"].items()
        }
    given = {name: item for name, item in arguments.items() if item is not None}
    return WriterProperties(**given if "compression_level" in given else {**_DELTALAKE_USUAL, **given})


def build_commit_properties(
    properties: Mapping[str, Any] | None,
    facts: Mapping[str, str],
    transactions: list[Mark],
    retries: int | None = None,
) -> CommitProperties:
    """What deltalake takes for one commit.

    Args:
        properties: The user's, as `read_commit_properties` gives them.
        facts: What this handler writes into the commit's metadata.
        transactions: Application transactions.
        retries: How often deltalake may retry on its own; None leaves it to the user or to deltalake.
    """
    import time

    from deltalake import CommitProperties, Transaction

    given = properties or {}
    now = time.time_ns() // 1_000_000
    return CommitProperties(
        custom_metadata={**facts, **given.get("custom_metadata", {})},
        max_commit_retries=given.get("max_commit_retries") if retries is None else retries,
        app_transactions=[
            Transaction(mark.app, mark.version, now if mark.expires else None) for mark in transactions
        ],
    )


def _column(properties: Mapping[str, Any]) -> Any:
    from deltalake import BloomFilterProperties, ColumnProperties

    arguments = dict(properties)
    if arguments.get("bloom_filter_properties") is not None:
        arguments["bloom_filter_properties"] = BloomFilterProperties(**arguments["bloom_filter_properties"])
    return ColumnProperties(**arguments)


def _checked(value: Any, allowed: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"is a dictionary, got {value!r}")
    for name in value:
        if name not in allowed:
            close = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else f"; there are {', '.join(allowed)}"
            raise ValueError(f"{name!r} is no {what}{hint}")
    return dict(value)
