"""Removal of old runs: which ones, and what stays of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivers.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from rivers.storage.records import RunRecord


@dataclass(frozen=True, slots=True)
class PrunedRuns:
    """Result of `EventStorage.prune_runs`: counts of what it removed, or would remove.

    Attributes:
        runs: The runs, most recently started first.
        event_count: Number of removed events, including those of runs that were removed earlier.
        kept_event_count: Number of events of these runs that stay, since the current state of an asset needs them.
        log_count: Number of removed log records.
    """

    runs: tuple[RunRecord, ...]
    event_count: int
    kept_event_count: int
    log_count: int


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """Runs that exceed all limits.

    Attributes:
        runs: The runs, most recently started first.
        before: Events without a run are removed if they are older than this, in nanoseconds since the epoch.
    """

    runs: tuple[RunRecord, ...]
    before: int

    @classmethod
    def of(
        cls, runs: Sequence[RunRecord], keep: int | None, older_than: timedelta | None, now: int
    ) -> PruningPlan:
        """Return the runs that have ended and exceed all given limits.

        Args:
            runs: All runs, most recently started first.
            keep: Number of runs that stay, the most recently started ones.
            older_than: Time since the end of a run that it must exceed.
            now: Nanoseconds since the epoch.

        Raises:
            StorageError: There is no limit, or one is negative.
        """
        if keep is None and older_than is None:
            raise StorageError(
                "prune_runs requires a limit. Use keep=COUNT, older_than=timedelta(...), or both."
            )
        if (keep or 0) < 0 or (older_than is not None and older_than.total_seconds() < 0):
            raise StorageError(f"keep and older_than must not be negative, got {keep} and {older_than}.")
        limits = []
        if older_than is not None:
            limits.append(now - round(older_than.total_seconds() * 1e9))
        before = [*limits]
        if keep is not None:
            oldest_kept = 0 if len(runs) <= keep else runs[keep - 1].start_time if keep else now
            before.append(oldest_kept)
        selected = [
            run
            for run in runs[keep or 0 :]
            if run.end_time is not None and all(run.end_time < limit for limit in limits)
        ]
        return cls(tuple(selected), min(before))
