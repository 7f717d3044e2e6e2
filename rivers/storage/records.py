"""Records of runs and assets."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

RunStatus = Literal["running", "success", "failure", "canceled", "interrupted"]

_END_EVENTS: Final[dict[str, str]] = {
    "success": RUN_SUCCESS,
    "failure": RUN_FAILURE,
    "canceled": RUN_CANCELED,
    "interrupted": RUN_INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known about one run.

    Attributes:
        run_id: Its id.
        status: "running", "success", "failure", "canceled" or "interrupted" (its process is gone).
        start_time: Nanoseconds since the epoch (UTC).
        end_time: Nanoseconds since the epoch (UTC), None while it runs.
        job: Name of the job, None for a plain `materialize`.
        tags: `(key, value)` pairs.
        steps: Names of the planned steps, in the order of the plan.
        selection: What was asked for, None when everything was.
        partition_key: Display form of the partition key or keys, None without partitions.
        message: Why it failed or was canceled, None otherwise.
    """

    run_id: str
    status: RunStatus
    start_time: int
    end_time: int | None = None
    job: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    steps: tuple[str, ...] = ()
    selection: tuple[str, ...] | None = None
    partition_key: str | None = None
    message: str | None = None

    @property
    def duration_ns(self) -> int | None:
        """How long it took in nanoseconds, None while it runs."""
        return None if self.end_time is None else self.end_time - self.start_time

    def ended(self, status: RunStatus, at: int, message: str | None = None) -> RunRecord:
        """The same run, ended with `status` at `at` (nanoseconds since the epoch)."""
        return replace(self, status=status, end_time=at, message=message)

    def interrupted(self, at: int, last_seen: int | None) -> RunRecord:
        """The same run, closed by somebody else because its process is gone.

        Args:
            at: When that was noticed, in nanoseconds since the epoch.
            last_seen: When its last event happened, in nanoseconds since the epoch.
        """
        seen = datetime.fromtimestamp((last_seen or self.start_time) / 1e9, UTC)
        message = (
            f"Its process ended without finishing it; the last event was at {seen:%Y-%m-%d %H:%M:%S} UTC."
        )
        return self.ended("interrupted", at, message)

    def event(self) -> Event:
        """The event that tells of the state that the run is in: its start, or the way it ended."""
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
class AssetRecord:
    """What the events say about one asset.

    Attributes:
        asset_key: Name of the asset.
        last_event: The newest event of any kind.
        last_materialization: The newest materialization, whatever partition; None if there is none.
        materialization_count: How often it was materialized, all partitions counted.
        partition_count: How many different partitions were materialized.
    """

    asset_key: str
    last_event: Event
    last_materialization: Event | None
    materialization_count: int
    partition_count: int

    @property
    def last_run_id(self) -> str:
        """The run that last had to do with the asset."""
        return self.last_event.run_id


def check_status(status: str, *, ended: bool = False) -> RunStatus:
    """`status` itself if there is such a status.

    Args:
        status: Name of a run status.
        ended: True accepts only what a run can end with.

    Raises:
        StorageError: There is no such status; the message lists those there are.
    """
    known = tuple(_END_EVENTS) if ended else get_args(RunStatus)
    if status not in known:
        purpose = "end with" if ended else "have"
        raise StorageError(f"No run can {purpose} the status {status!r}; it is one of {', '.join(known)}.")
    return cast("RunStatus", status)


def check_startable(existing: RunRecord | None) -> None:
    """Refuse to start a run while one of the same id runs.

    Raises:
        ConflictError: `existing` is running.
    """
    if existing is not None and existing.status == "running":
        raise ConflictError(
            f"Run {existing.run_id!r} is running already; wait until it has ended, or use another run id."
        )


def never_started(run_id: str) -> StorageError:
    """The error for ending a run that nobody started."""
    return StorageError(
        f"Run {run_id!r} was never started in this storage, so it cannot end; call start_run first."
    )
