"""Event storage in memory: recording is one append, events are indexed when they are queried."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING

from rivers.exceptions import StorageError
from rivers.storage.base import EventStorage
from rivers.storage.events import DELETION, MATERIALIZATION, OBSERVATION
from rivers.storage.live_runs import running_steps
from rivers.storage.pruning import PrunedRuns
from rivers.storage.records import AssetRecord, check_startable, never_started

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rivers.storage.events import Event
    from rivers.storage.live_runs import LiveRun
    from rivers.storage.pruning import PruningPlan
    from rivers.storage.records import LogRecord, RunningStep, RunRecord, RunStatus

_by_id = attrgetter("id")


class _AssetHistory:
    """Events of one asset, and the newest materialization of each partition."""

    __slots__ = ("counts", "events", "latest", "latest_by_partition")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.latest: Event | None = None
        self.latest_by_partition: dict[str | None, Event] = {}
        self.counts: dict[str | None, int] = {}

    def add(self, event: Event) -> None:
        self.events.append(event)
        if event.event_type == MATERIALIZATION:
            self.latest = self.latest_by_partition[event.partition_key] = event
            self.counts[event.partition_key] = self.counts.get(event.partition_key, 0) + 1
        elif event.event_type == DELETION:
            self.latest_by_partition.pop(event.partition_key, None)
            self.counts.pop(event.partition_key, None)
            self.latest = max(self.latest_by_partition.values(), key=_by_id, default=None)

    def remove(self, removed: set[int]) -> None:
        """Forget events; counts and latest materializations stay."""
        self.events = [event for event in self.events if event.id not in removed]

    def needed(self) -> set[int | None]:
        """Return the numbers of the newest event, and of the newest materialization and observation by partition."""
        observations = {
            event.partition_key: event.id
            for event in self.events
            if event.event_type == OBSERVATION and event.data_version is not None
        }
        latest = (event.id for event in self.latest_by_partition.values())
        return {self.events[-1].id, *latest, *observations.values()}

    def made_from(self) -> Iterator[tuple[str, str]]:
        """Return asset and data version of the inputs of the latest materializations."""
        return (item for event in self.latest_by_partition.values() for item in event.loaded_versions)

    def with_versions(self, versions: Collection[str]) -> Iterator[int | None]:
        """Return the numbers of the newest event of each partition that has one of these data versions."""
        newest = {
            (event.partition_key, event.data_version): event.id
            for event in self.events
            if event.data_version in versions and event.event_type in (MATERIALIZATION, OBSERVATION)
        }
        return iter(newest.values())

    def record(self, asset: str) -> AssetRecord:
        return AssetRecord(
            asset_key=asset,
            last_event=self.events[-1],
            last_materialization=self.latest,
            materialization_count=sum(self.counts.values()),
            partition_count=len(self.latest_by_partition) - (None in self.latest_by_partition),
        )


_NO_HISTORY = _AssetHistory()


class MemoryStorage(EventStorage):
    """Event storage that lives as long as its process.

    Any thread may record at any time: numbering and appending are atomic in CPython.

    Args:
        keep_runs: Number of runs that are kept for certain; None for all.

    Raises:
        StorageError: `keep_runs` is negative.
    """

    def __init__(self, keep_runs: int | None = None) -> None:
        if keep_runs is not None and keep_runs < 0:
            raise StorageError(f"keep_runs must not be negative, got {keep_runs}. Use None to keep all runs.")
        self._keep_runs = keep_runs
        self._prune_above = 0  # number of events
        self._events: list[Event] = []
        self._append = self._events.append
        self._ids = count(1)
        self._indexed = 0
        self._by_asset: dict[str, _AssetHistory] = {}
        self._by_run: dict[str, list[Event]] = {}
        self._runs: dict[str, RunRecord] = {}
        self._dynamic: dict[str, dict[str, None]] = {}
        self._logs: list[LogRecord] = []
        self._log_ids = count(1)
        self._live: list[LiveRun] = []
        self._cancelled: set[str] = set()
        self._changes = 0  # of what is neither an event nor a log record
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[MemoryStorage], tuple[int | None]]:
        return MemoryStorage, (self._keep_runs,)

    def __repr__(self) -> str:
        return "Storage.memory()"

    def open(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing: no other process can read it."""

    def close(self) -> None:
        """Do nothing: events stay as long as the object."""

    def record(self, event: Event) -> None:
        """Add an event to the log and set its id."""
        event.id = next(self._ids)
        self._append(event)

    def record_log(self, log: LogRecord) -> None:
        """Keep a record of a step."""
        self._logs.append(replace(log, id=next(self._log_ids)))

    def attach_run(self, run: LiveRun) -> None:
        """Make the running steps of a run visible; no other process can see them, or cancel it."""
        with self._lock:
            self._live.append(run)
        if run.run_id in self._cancelled:
            run.cancel()

    def detach_run(self, run: LiveRun) -> None:
        """End what `attach_run` began."""
        with self._lock:
            self._live = [item for item in self._live if item is not run]

    def is_cancelled(self, run_id: str) -> bool:
        """Return whether cancellation of a run was requested since it was last started."""
        return run_id in self._cancelled

    def replace_running_steps(self, run_id: str, steps: Sequence[RunningStep]) -> None:
        """Do nothing: running steps are read from the runs."""

    def change_token(self) -> str:
        """Return a text that changes whenever anything is recorded."""
        with self._lock:
            return f"{len(self._events)}-{len(self._logs)}-{self._changes}-{len(self._running_now(None))}"

    def _request_cancellation(self, run_id: str, at: int) -> bool:
        del at
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and run.end_time is not None:
                return False
            self._cancelled.add(run_id)
            self._changes += 1
            runs = [item for item in self._live if item.run_id == run_id]
        for live in runs:
            live.cancel()
        return True

    def _running(self, run_id: str | None) -> list[RunningStep]:
        with self._lock:
            return self._running_now(run_id)

    def _running_now(self, run_id: str | None) -> list[RunningStep]:
        runs = (run for run in self._live if run_id in (None, run.run_id))
        return sorted((step for run in runs for step in running_steps(run)), key=attrgetter("started_at"))

    def _run_logs(self, run_id: str, step: str | None, after: int, limit: int | None) -> list[LogRecord]:
        logs = (
            log
            for log in self._logs.copy()
            if log.run_id == run_id and step in (None, log.step) and (log.id or 0) > after
        )
        return list(islice(logs, limit))

    def _begin(self, run: RunRecord) -> None:
        with self._lock:
            earlier = self._runs.get(run.run_id)
            check_startable(earlier)
            if earlier is not None:
                self._cancelled.discard(run.run_id)
            self._runs.pop(run.run_id, None)
            self._runs[run.run_id] = run
            self.record(run.event())
        if self._keep_runs is not None and len(self._runs) > self._keep_runs * 1.25 + 1:
            self._prune_old(self._keep_runs)

    def _prune_old(self, keep: int) -> None:
        # Pruning reads all events, of which the latest of each partition stay: only after growth by a quarter, so that
        # the cost of each run does not grow with the number of partitions.
        if len(self._events) > self._prune_above:
            self.prune_runs(keep=keep, dry_run=False)
            self._prune_above = len(self._events) * 5 // 4

    def _end(self, run_id: str, status: RunStatus, at: int, message: str | None) -> RunRecord:
        with self._lock:
            if (run := self._runs.get(run_id)) is None:
                raise never_started(run_id)
            run = self._runs[run_id] = run.ended(status, at, message)
            self.record(run.event())
        return run

    def _run(self, run_id: str) -> RunRecord | None:
        return self._runs.get(run_id)

    def _list_runs(self, limit: int | None, status: RunStatus | None) -> list[RunRecord]:
        with self._lock:
            newest_first = reversed(list(self._runs.values()))
        return list(islice((run for run in newest_first if status in (None, run.status)), limit))

    def vacuum(self) -> None:
        """Do nothing: the memory of removed runs is free already."""

    def _prune(self, plan: PruningPlan, *, dry_run: bool) -> PrunedRuns:
        with self._lock:
            self._catch_up()
            runs = [run for run in plan.runs if self._runs.get(run.run_id) == run]
            pruned = {run.run_id for run in runs}
            needed = self._needed_events()
            events = self._events[: self._indexed]
            kept = {event.id for event in events if event.run_id in pruned and event.id in needed}
            removed = {
                event.id or 0
                for event in events
                if event.id not in needed
                and (
                    event.run_id in pruned
                    or (event.run_id not in self._runs and event.timestamp < plan.before)
                )
            }
            logs = [log for log in self._logs if log.run_id not in pruned]
            result = PrunedRuns(tuple(runs), len(removed), len(kept), len(self._logs) - len(logs))
            if not dry_run:
                self._remove(pruned, removed)
        return result

    def _needed_events(self) -> set[int | None]:
        histories = self._by_asset.values()
        needed = {number for history in histories for number in history.needed()}
        needed.add(max((event.id or 0 for event in self._events[: self._indexed]), default=None))
        versions: dict[str, set[str]] = {}
        for asset, version in (item for history in histories for item in history.made_from()):
            versions.setdefault(asset, set()).add(version)
        for asset, used in versions.items():
            needed.update(self._by_asset.get(asset, _NO_HISTORY).with_versions(used))
        return needed

    def _remove(self, runs: set[str], events: set[int]) -> None:
        stay = [event for event in self._events[: self._indexed] if event.id not in events]
        # one operation: other threads append
        self._events[: self._indexed] = stay
        self._indexed = len(stay)
        for history in self._by_asset.values():
            history.remove(events)
        by_run: dict[str, list[Event]] = {}
        for event in sorted(stay, key=_by_id):
            by_run.setdefault(event.run_id, []).append(event)
        self._by_run = by_run
        for run_id in runs:
            del self._runs[run_id]
            self._cancelled.discard(run_id)
        count = len(self._logs)
        self._logs[:count] = [log for log in self._logs[:count] if log.run_id not in runs]
        self._changes += 1

    def _catch_up(self) -> None:
        fresh = self._events[self._indexed :]
        self._indexed += len(fresh)
        fresh.sort(key=_by_id)
        for event in fresh:
            self._by_run.setdefault(event.run_id, []).append(event)
            if event.asset_key is not None:
                if (history := self._by_asset.get(event.asset_key)) is None:
                    history = self._by_asset[event.asset_key] = _AssetHistory()
                history.add(event)

    def _history(self, asset: str) -> _AssetHistory:
        self._catch_up()
        return self._by_asset.get(asset, _NO_HISTORY)

    def _asset_events(self, asset: str, limit: int | None) -> list[Event]:
        with self._lock:
            return list(islice(reversed(self._history(asset).events), limit))

    def _run_events(self, run_id: str, after: int) -> list[Event]:
        with self._lock:
            self._catch_up()
            return [event for event in self._by_run.get(run_id, ()) if not after or (event.id or 0) > after]

    def _events_after(self, cursor: int, limit: int | None) -> list[Event]:
        newer = [event for event in self._events.copy() if (event.id or 0) > cursor]
        return sorted(newer, key=_by_id)[:limit]

    def _latest(self, asset: str, partition: str | None) -> Event | None:
        with self._lock:
            history = self._history(asset)
            return history.latest if partition is None else history.latest_by_partition.get(partition)

    def _latest_by_partition(self, asset: str) -> dict[str | None, Event]:
        with self._lock:
            return dict(self._history(asset).latest_by_partition)

    def _materialized(self, asset: str) -> list[str]:
        return [key for key in self._latest_by_partition(asset) if key is not None]

    def _asset_records(self, asset: str | None) -> list[AssetRecord]:
        with self._lock:
            self._catch_up()
            names = sorted(self._by_asset) if asset is None else [asset] if asset in self._by_asset else []
            return [self._by_asset[name].record(name) for name in names]

    def _add_keys(self, name: str, keys: list[str]) -> None:
        with self._lock:
            self._dynamic.setdefault(name, {}).update(dict.fromkeys(keys))
            self._changes += 1

    def _delete_key(self, name: str, key: str) -> None:
        with self._lock:
            self._dynamic.get(name, {}).pop(key, None)
            self._changes += 1

    def _keys(self, name: str) -> list[str]:
        with self._lock:
            return list(self._dynamic.get(name, ()))

    def _has_key(self, name: str, key: str) -> bool:
        return key in self._dynamic.get(name, ())
