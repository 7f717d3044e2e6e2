"""Events of assets and runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from time import time_ns
from typing import TYPE_CHECKING, Final

from rivers.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers_core.metadata import MetadataValue

MATERIALIZATION: Final = "Materialization"
OBSERVATION: Final = "Observation"
DELETION: Final = "Deletion"
STEP_START: Final = "StepStart"
STEP_SUCCESS: Final = "StepSuccess"
STEP_FAILURE: Final = "StepFailure"
STEP_RETRY: Final = "StepRetry"
STEP_SKIPPED: Final = "StepSkipped"
RUN_START: Final = "RunStart"
RUN_SUCCESS: Final = "RunSuccess"
RUN_FAILURE: Final = "RunFailure"
RUN_CANCELED: Final = "RunCanceled"
RUN_INTERRUPTED: Final = "RunInterrupted"


class Event:
    """Record of a materialization, observation, failed step, or start or end of a run.

    Events are immutable, except that the storage that records one sets its `id`. Equality and hash ignore
    the `id`.

    The constructor accepts `metadata` as typed values by name, or as the JSON text of `metadata_json`.

    Attributes:
        id: Ascending number of the event in its storage; None until it is stored. "StepStart" and "StepSuccess" are
            derived when events are read, and have the number of the stored event of the attempt.
        event_type: "StepStart", "Materialization", "Observation", "Deletion", "StepSuccess", "StepFailure",
            "StepRetry", "StepSkipped", "RunStart", "RunSuccess", "RunFailure", "RunCanceled" or "RunInterrupted".
        run_id: Id of the run.
        asset_key: Name of the asset or node; None for events of a whole run.
        partition_key: Display form of the partition key; None without partitions.
        timestamp: Nanoseconds since the epoch (UTC).
        data_version: Version of the stored data.
        code_version: Version of the code that produced it.
        handler: Name of the handler that stored the value.
        step: Name of the step.
        attempt: Number of the attempt, from 1.
        message: Text for people, such as that of an error.
        duration_ns: Duration in nanoseconds.
    """

    __slots__ = (
        "_input_data_versions",
        "_metadata",
        "asset_key",
        "attempt",
        "code_version",
        "data_version",
        "duration_ns",
        "event_type",
        "handler",
        "id",
        "message",
        "partition_key",
        "run_id",
        "step",
        "stored_tags",
        "timestamp",
    )

    id: int | None
    _metadata: Mapping[str, MetadataValue] | str | None

    def __init__(
        self,
        event_type: str,
        *,
        run_id: str,
        asset_key: str | None = None,
        partition_key: str | None = None,
        timestamp: int | None = None,
        metadata: Mapping[str, MetadataValue] | str | None = None,
        data_version: str | None = None,
        code_version: str | None = None,
        input_data_versions: Sequence[tuple[str, str]] = (),
        tags: Sequence[str | tuple[str, str]] = (),
        handler: str | None = None,
        step: str | None = None,
        attempt: int = 1,
        message: str | None = None,
        duration_ns: int | None = None,
    ) -> None:
        self.id = None
        self.event_type = event_type
        self.run_id = run_id
        self.asset_key = asset_key
        self.partition_key = partition_key
        self.timestamp = time_ns() if timestamp is None else timestamp
        self._metadata = metadata
        self.data_version = data_version
        self.code_version = code_version
        self._input_data_versions = input_data_versions
        self.stored_tags = tags
        self.handler = handler
        self.step = step
        self.attempt = attempt
        self.message = message
        self.duration_ns = duration_ns

    @property
    def typed_metadata(self) -> Mapping[str, MetadataValue]:
        """Metadata as typed values by name; empty if there is none."""
        if isinstance(self._metadata, str):
            self._metadata = _decoded(self._metadata)
        return self._metadata or {}

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """Metadata as `(name, text)` pairs, in the given order."""
        return [(name, value.to_text()) for name, value in self.typed_metadata.items()]

    @property
    def metadata_json(self) -> str | None:
        """Typed metadata as JSON text, which the constructor accepts; None if there is none."""
        if not self._metadata:
            return None
        if isinstance(self._metadata, str):
            return self._metadata
        return f"{{{', '.join([f'{_quoted(name)}: {item.to_json()}' for name, item in self._metadata.items()])}}}"

    @property
    def input_data_versions(self) -> list[tuple[str, str]]:
        """`(asset, data version)` of each loaded input."""
        return list(self._input_data_versions)

    @property
    def tags(self) -> list[str | tuple[str, str]]:
        """`(key, value)` pairs, and plain strings."""
        return list(self.stored_tags)

    @property
    def loaded_versions(self) -> Sequence[tuple[str, str]]:
        """`input_data_versions` without a copy, for storages."""
        return self._input_data_versions

    def _content(self) -> tuple[object, ...]:
        return (
            self.event_type,
            self.run_id,
            self.asset_key,
            self.partition_key,
            self.timestamp,
            dict(self.typed_metadata),
            self.data_version,
            self.code_version,
            self.input_data_versions,
            self.tags,
            self.handler,
            self.step,
            self.attempt,
            self.message,
            self.duration_ns,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash((self.event_type, self.run_id, self.asset_key, self.partition_key, self.timestamp))

    def __getstate__(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for name, value in zip(self.__slots__, state, strict=True):
            setattr(self, name, value)

    def _repr_html_(self) -> str:
        """Return the event as a table, with its metadata, which notebooks show."""
        from rivers.definitions.html import html_facts

        duration = None if self.duration_ns is None else f"{self.duration_ns / 1e9:.3g} s"
        facts = {
            "asset": self.asset_key,
            "partition": self.partition_key,
            "run": self.run_id,
            "time": f"{datetime.fromtimestamp(self.timestamp / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "duration": duration,
            "handler": self.handler,
            "data version": self.data_version,
            "message": self.message,
            **dict(self.metadata),
        }
        return html_facts(self.event_type, facts)

    def __repr__(self) -> str:
        shown = ("asset_key", "partition_key", "run_id", "timestamp", "data_version", "message")
        given = ((name, getattr(self, name)) for name in shown)
        fields = "".join(f", {name}={value!r}" for name, value in given if value is not None)
        return f"Event({self.event_type!r}{fields})"


def materialization(
    run_id: str,
    asset_key: str,
    step: str,
    handler: str,
    data_version: str,
    code_version: str | None,
    input_data_versions: Sequence[tuple[str, str]],
    metadata: Mapping[str, MetadataValue] | None,
    tags: Sequence[str | tuple[str, str]],
    duration_ns: int,
) -> Event:
    """Return the event of a value without a partition, stored by the first attempt.

    Equal to a call of `Event`, which takes twice as long: CPython packs the keywords of a class into a dictionary.
    """
    event = _new_event(Event)
    event.id = event.partition_key = event.message = None
    event.event_type = MATERIALIZATION
    event.run_id = run_id
    event.asset_key = asset_key
    event.timestamp = time_ns()
    event._metadata = metadata  # noqa: SLF001
    event.data_version = data_version
    event.code_version = code_version
    event._input_data_versions = input_data_versions  # noqa: SLF001
    event.stored_tags = tags
    event.handler = handler
    event.step = step
    event.attempt = 1
    event.duration_ns = duration_ns
    return event


_new_event: Final = object.__new__
_quoted: Final = json.encoder.encode_basestring


def _decoded(text: str) -> dict[str, MetadataValue]:
    from rivers_core.metadata import MetadataValue

    try:
        return {name: MetadataValue.from_plain(plain) for name, plain in json.loads(text).items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise damaged_text(text, error) from error


def damaged_text(text: object, error: Exception) -> StorageError:
    """Return the error for a text of the event log that cannot be decoded.

    Args:
        text: The text.
        error: What is wrong with it.
    """
    return StorageError(
        f"Could not read a row of the event log, {str(text)[:60]!r}: {error}. The event log is damaged. Restore a "
        "copy, or move it to start a new one."
    )
