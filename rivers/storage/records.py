"""Records of runs and assets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from rivers.exceptions import ConflictError, StorageError
from rivers.storage.events import (
    RUN_CANCELED,
    RUN_FAILURE,
    RUN_INTERRUPTED,
    RUN_START,
    RUN_SUCCESS,
    Event,
)

RunStatus = Literal["Started", "Success", "Failure", "Canceled", "Interrupted"]

_END_EVENTS: Final[dict[str, str]] = {
    "Success": RUN_SUCCESS,
    "Failure": RUN_FAILURE,
    "Canceled": RUN_CANCELED,
    "Interrupted": RUN_INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Row of one run.

    Attributes:
        run_id: Id of the run.
        status: "Started", "Success", "Failure", "Canceled" or "Interrupted" (its process has ended).
        start_time: Nanoseconds since the epoch (UTC).
        end_time: Nanoseconds since the epoch (UTC), None while it runs.
        job_name: Name of the job, None for a plain `materialize`.
        tags: `(key, value)` pairs.
        node_names: Names of the planned steps, in the order of the plan.
        selection: Selected names, None for everything.
        partition_key: Display form of the partition key or keys, None without partitions.
        message: Why it failed or was canceled, None otherwise.
    """

    run_id: str
    status: RunStatus
    start_time: int
    end_time: int | None = None
    job_name: str | None = None
    tags: list[tuple[str, str]] = field(default_factory=list)
    node_names: list[str] = field(default_factory=list)
    selection: tuple[str, ...] | None = None
    partition_key: str | None = None
    message: str | None = None

    def __hash__(self) -> int:
        return hash((self.run_id, self.status, self.start_time, self.end_time))

    @property
    def priority(self) -> int:
        """Whole number of the tag `rivers/priority`; 0 without one."""
        text = dict(self.tags).get("rivers/priority", "0")
        return int(text) if text.removeprefix("-").isdecimal() else 0

    @property
    def duration_ns(self) -> int | None:
        """Duration in nanoseconds, None while the run is running."""
        return None if self.end_time is None else self.end_time - self.start_time

    def ended(self, status: RunStatus, at: int, message: str | None = None) -> RunRecord:
        """Return the run with an end status; `at` is in nanoseconds since the epoch."""
        return replace(self, status=status, end_time=at, message=message)

    def interrupted(self, at: int, last_seen: int | None) -> RunRecord:
        """Return the run as interrupted, because its process has ended.

        Args:
            at: Time of detection, in nanoseconds since the epoch.
            last_seen: Time of its last event, in nanoseconds since the epoch.
        """
        seen = datetime.fromtimestamp((last_seen or self.start_time) / 1e9, UTC)
        message = (
            f"Its process ended without finishing it; the last event was at {seen:%Y-%m-%d %H:%M:%S} UTC."
        )
        return self.ended("Interrupted", at, message)

    def event(self) -> Event:
        """Return the event of the current status: the start or the end of the run."""
        return Event(
            _END_EVENTS.get(self.status, RUN_START),
            run_id=self.run_id,
            partition_key=self.partition_key,
            timestamp=self.start_time if self.end_time is None else self.end_time,
            tags=self.tags,
            message=self.message,
            duration_ns=self.duration_ns,
        )


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """Facts from the definition of an asset, as records show them.

    Attributes:
        tags: Tags.
        kinds: Kinds.
        group: Group, None without one.
        code_version: Version of the code, None without one.
    """

    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    group: str | None = None
    code_version: str | None = None


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """Definition of one asset, and summary of its events.

    Attributes:
        asset_key: Name of the asset.
        last_event: The newest event of any kind; None if there is none.
        last_materialization: The newest materialization of any partition that was not deleted; None if there is none.
        materialization_count: Number of materializations of all partitions, without deleted values.
        partition_count: Number of distinct partitions that are materialized.
        definition: Facts of its definition; None if no repository with it was resolved with this storage.
    """

    asset_key: str
    last_event: Event | None
    last_materialization: Event | None
    materialization_count: int
    partition_count: int
    definition: AssetFacts | None = None

    @property
    def tags(self) -> list[str] | None:
        """Tags of the definition; None if it has none, or is unknown."""
        return None if self.definition is None else list(self.definition.tags) or None

    @property
    def kinds(self) -> list[str]:
        """Kinds of the definition; empty if it is unknown."""
        return [] if self.definition is None else list(self.definition.kinds)

    @property
    def group(self) -> str | None:
        """Group of the definition; None if it has none, or is unknown."""
        return None if self.definition is None else self.definition.group

    @property
    def code_version(self) -> str | None:
        """Code version of the definition; None if it has none, or is unknown."""
        return None if self.definition is None else self.definition.code_version

    @property
    def last_event_id(self) -> int | None:
        """Id of the last event; None if there is none."""
        return None if self.last_event is None else self.last_event.id

    @property
    def last_run_id(self) -> str | None:
        """Id of the run that recorded the last event; None if there is none."""
        return None if self.last_event is None else self.last_event.run_id

    @property
    def last_timestamp(self) -> int | None:
        """Nanoseconds since the epoch (UTC) of the last event; None if there is none."""
        return None if self.last_event is None else self.last_event.timestamp

    @property
    def last_data_version(self) -> str | None:
        """Newest version of the data, of a materialization or an observation; None if unknown."""
        newest = None if self.last_event is None else self.last_event.data_version
        if newest is None and self.last_materialization is not None:
            newest = self.last_materialization.data_version
        return newest

    @property
    def last_materialization_code_version(self) -> str | None:
        """Code version of the last materialization; None if unknown."""
        return None if self.last_materialization is None else self.last_materialization.code_version

    @property
    def last_input_data_versions(self) -> list[tuple[str, str]]:
        """Asset and data version of each input of the last materialization."""
        return [] if self.last_materialization is None else self.last_materialization.input_data_versions


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A call of a step that runs now.

    Attributes:
        run_id: Id of the run.
        step: Name of the step.
        asset_key: Name of the asset or task that users know.
        partition_key: Display form of the partition key, None without partitions and for several in one call.
        attempt: Number of the attempt, from 1.
        started_at: Nanoseconds since the epoch (UTC).
        place: Where it runs, such as `process 4711 on laptop`; before that is known, the executor.
    """

    run_id: str
    step: str
    asset_key: str
    partition_key: str | None
    attempt: int
    started_at: int
    place: str


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record that a step logged with `context.log`.

    Attributes:
        run_id: Id of the run.
        step: Name of the step.
        timestamp: Nanoseconds since the epoch (UTC).
        level: Name of the level, such as "INFO".
        message: Text with its arguments, and the traceback if there is one; without credentials.
        asset_key: Name of the asset or task that users know.
        partition_key: Display form of the partition key, None without partitions and for several in one call.
        attempt: Number of the attempt, from 1.
        id: Ascending number of the record in its storage; None until it is stored.
    """

    run_id: str
    step: str
    timestamp: int
    level: str
    message: str
    asset_key: str | None = None
    partition_key: str | None = None
    attempt: int = 1
    id: int | None = None


def stored_status(status: RunStatus) -> str:
    """Return a status as storages keep it."""
    return "running" if status == "Started" else status.lower()


def check_status(status: str, *, ended: bool = False) -> RunStatus:
    """Return a run status after checking it.

    Args:
        status: Name of a run status, in any case; "running" is another name of "Started".
        ended: Whether to accept only statuses with which a run ends.

    Raises:
        StorageError: The status is unknown; the message lists the known ones.
    """
    known = tuple(_END_EVENTS) if ended else get_args(RunStatus)
    given: object = status
    name = given.capitalize() if isinstance(given, str) else ""
    name = "Started" if name == "Running" else name
    if name not in known:
        subject = "The final status of a run" if ended else "The status of a run"
        raise StorageError(f"{subject} must be one of {', '.join(known)}; got {status!r}.")
    return cast("RunStatus", name)


def check_startable(existing: RunRecord | None) -> None:
    """Raise if a run with the same id is running.

    Raises:
        ConflictError: `existing` is running.
    """
    if existing is not None and existing.status == "Started":
        raise ConflictError(
            f"Run {existing.run_id!r} is already running. Wait until it has ended, or use another run id."
        )


def never_started(run_id: str) -> StorageError:
    """Return the error for ending a run that was not started."""
    return StorageError(
        f"Cannot end run {run_id!r}: it was never started in this event log. Call start_run first."
    )
