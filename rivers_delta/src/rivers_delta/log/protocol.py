"""Protocol: the table features that are read and written correctly; a table with any other feature is rejected.

Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Table Features".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers_delta.log.table import Table

COLUMN_MAPPING: Final = "columnMapping"

_MAX_READER, _MAX_WRITER = 3, 7
_READABLE: Final = frozenset(
    ["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "variantType", "variantType-preview"]
)
"""Features that the scan of deltalake reads correctly."""

_WRITABLE: Final = _READABLE | {
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "generatedColumns",
    "invariants",
}
"""Features that deltalake writes correctly."""

_IN_CHANGE_FEEDS: Final = frozenset(["timestampNtz", "v2Checkpoint"])
_MAPPING_MODE: Final = "delta.columnMapping.mode"
_LEGACY_READERS: Final[dict[int, tuple[str, ...]]] = {2: (COLUMN_MAPPING,)}
_LEGACY_WRITERS: Final[dict[int, tuple[str, ...]]] = {
    5: (COLUMN_MAPPING,),
    6: (COLUMN_MAPPING, "identityColumns"),
}
"""Features of tables that have no list of them; the features of lower versions are all supported."""


def reader_features(table: Table) -> frozenset[str]:
    """Return the features that a reader of a table must support.

    Args:
        table: The table.
    """
    protocol = table.protocol()
    features = set(protocol.reader_features or _LEGACY_READERS.get(protocol.min_reader_version, ()))
    if _mapping_mode(table) != "none":
        features.add(COLUMN_MAPPING)
    return frozenset(features)


def refuse_unreadable(table: Table, subject: str) -> None:
    """Refuse a table with a feature that would be read incorrectly.

    Args:
        table: The table.
        subject: Asset and partition, for the message.

    Raises:
        RiversError: The message names the feature.
    """
    version = table.protocol().min_reader_version
    problems = _problems(table, "reader", version, _MAX_READER, reader_features(table) - _READABLE)
    if problems:
        raise RiversError(
            f"Could not read {subject}, table {table.address!r}: {problems}. Read it with the engine that wrote it, or "
            "drop the feature there."
        )


def refuse_unreadable_feed(table: Table, subject: str) -> None:
    """Refuse the change feed of a table with a feature that deltalake (up to 1.6) ignores in change feeds.

    Args:
        table: The table.
        subject: Asset and partition, for the message.

    Raises:
        RiversError: The message names the feature.
    """
    features = sorted(reader_features(table) - _IN_CHANGE_FEEDS)
    if features:
        raise RiversError(
            f"Could not read the change feed of {subject}, table {table.address!r}: the table uses "
            f"{_listed(features)}, which change feeds do not support. Load the table itself."
        )


def refuse_unwritable(table: Table, subject: str) -> None:
    """Refuse to write to a table with a feature that deltalake does not write; nothing is attempted.

    Args:
        table: The table.
        subject: Asset and partition, for the message.

    Raises:
        RiversError: The message names the feature.
    """
    protocol = table.protocol()
    version = protocol.min_writer_version
    features = set(protocol.writer_features or _LEGACY_WRITERS.get(version, ()))
    problems = _problems(
        table, "writer", version, _MAX_WRITER, (features | reader_features(table)) - _WRITABLE
    )
    if problems:
        raise RiversError(
            f"Cannot write {subject} to table {table.address!r}; nothing was written: {problems}. Write it with the "
            "engine that created it, or drop the feature there."
        )


def _problems(
    table: Table, role: str, version: int, supported: int, features: frozenset[str] | set[str]
) -> str:
    """Return why a table cannot be read or written; empty if it can."""
    if version > supported:
        return f"it requires {role} version {version}, and rivers-delta supports {supported}"
    if features:
        return f"it requires {_listed(sorted(features))}, which rivers-delta does not support"
    if _mapping_mode(table) not in {"none", "name"}:
        return (
            f"it has {_MAPPING_MODE!r} {_mapping_mode(table)!r} (feature {COLUMN_MAPPING!r}), and rivers-delta "
            "supports 'name'"
        )
    return ""


def _mapping_mode(table: Table) -> str:
    return (table.metadata().configuration.get(_MAPPING_MODE) or "none").lower()


def _listed(features: list[str]) -> str:
    return f"the feature{'s' if len(features) > 1 else ''} {', '.join(map(repr, features))}"
