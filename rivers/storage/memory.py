"""Event storage in memory: recording is one append, events are indexed when they are queried."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING

from rivers.storage.base import EventStorage
from rivers.storage.events import DELETION, MATERIALIZATION
from rivers.storage.live_runs import running_steps
from rivers.storage.records import AssetRecord, check_startable, never_started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.storage.events import Event
    from rivers.storage.live_runs import LiveRun
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
    """

    def __init__(self) -> None:
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

    def __reduce__(self) -> tuple[type[MemoryStorage], tuple[()]]:
        return MemoryStorage, ()

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
