"""Base class of event storages."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import monotonic, sleep, time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rivers.exceptions import (
    DynamicPartitionError,
    DynamicPartitionTypeError,
    PartitionDefinitionError,
    StorageError,
    StorageTypeError,
)
from rivers.storage.live_runs import live_runs
from rivers.storage.pruning import PruningPlan
from rivers.storage.records import AssetRecord, RunRecord, check_status
from rivers.storage.step_events import with_step_events
from rivers_core.authoring import plain_text
from rivers_core.partitions.keys import PartitionKey, check_key_value

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from rivers.storage.events import Event
    from rivers.storage.live_runs import LiveRun
    from rivers.storage.pruning import PrunedRuns
    from rivers.storage.records import AssetFacts, LogRecord, RunningStep, RunStatus
    from rivers_core.plugins import PluginRegistry

POLL_SECONDS: Final = 0.1

_LOG = logging.getLogger("rivers.storage")


class EventStorage(ABC):
    """Event log of assets and runs, and the keys of dynamic partitions.

    `Storage.memory()` lives as long as the process, `Storage.embedded(path)` is a SQLite file; both return
    the same results. Any thread may use a storage; `with storage:` closes it.

    Examples:
        >>> storage = EventStorage.memory()
        >>> storage.start_run("r1", steps=["orders"]).status
        'Started'
        >>> storage.finish_run("r1", "success").status
        'Success'
        >>> [event.event_type for event in storage.get_events_for_run("r1")]
        ['RunStart', 'RunSuccess']
    """

    _declared: Mapping[str, AssetFacts] = MappingProxyType({})

    @staticmethod
    def memory(*, keep_runs: int | None = 1000) -> EventStorage:
        """Return a storage that lives as long as this process, the fastest one.

        Pickled to another process, it is empty there.

        Args:
            keep_runs: Number of runs that are kept for certain; older ones are removed as by `prune_runs`, so that a
                process that runs forever does not fill its memory. None keeps all.

        Raises:
            StorageError: `keep_runs` is negative.
        """
        from rivers.storage.memory import MemoryStorage

        return MemoryStorage(keep_runs)

    @staticmethod
    def embedded(
        path: str | os.PathLike[str], *, read_only: bool = False, durable: bool = False
    ) -> EventStorage:
        """Return a storage in a SQLite file on this machine, shared by any number of threads and processes.

        The file is opened on first use: the folder is created, an older file is migrated, and runs whose
        process has ended are closed as "interrupted". Events are on disk after 0.2 seconds at the latest.

        Args:
            path: A directory, created if needed; the file inside is `rivers.db`.
            read_only: Only read an existing file: nothing is created or migrated, no run is closed, and writing raises.
            durable: Flush each commit to the disk, so that what is written survives a power cut, not only the end of
                the process.

        Raises:
            StorageError: On first use, if the file belongs to another program or a newer rivers, or cannot be
                opened or written.
        """
        from rivers.storage.sqlite.storage import SQLiteStorage

        return SQLiteStorage(path, read_only=read_only, durable=durable)

    @staticmethod
    def connect(url: str, *, read_only: bool = False, durable: bool = False) -> EventStorage:
        """Return the storage at a URL; it is opened on first use.

        Args:
            url: `memory:`, a folder or its `file:` URL, or the URL of a storage that a plugin provides, such as
                `postgresql://user@host/database`.
            read_only: Only read an existing storage.
            durable: Keep what is written through a power cut.

        Raises:
            HandlerNotFoundError: No plugin provides storages with this scheme.
            StorageError: The URL is not valid.
        """
        from rivers_core.plugins import get_registry

        return connect(url, get_registry(), read_only=read_only, durable=durable)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Open the storage and report errors of its location; called automatically on first use."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until other processes can read everything recorded so far."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release all resources; a later use opens the storage again."""

    @abstractmethod
    def record(self, event: Event) -> None:
        """Add an event to the log; it gets its id when it is stored."""

    @abstractmethod
    def record_log(self, log: LogRecord) -> None:
        """Keep a record that a step logged; it gets its id when it is stored."""

    @contextmanager
    def watching(self, watcher: Callable[[Event], None]) -> Iterator[None]:
        """Call a function with every event that is recorded within the block.

        Without a watcher this costs nothing. Events of other processes, and the start and end of a run, are
        not reported.

        Args:
            watcher: Called after an event was recorded, in the thread that recorded it.
        """
        attributes = vars(self)
        before = attributes.get("record")
        # one call, so that no interrupt comes between
        restore = (
            partial(attributes.pop, "record", None)
            if before is None
            else partial(attributes.update, record=before)
        )
        unwatched = self.record

        def record(event: Event) -> None:
            unwatched(event)
            try:
                watcher(event)
            except Exception:
                _LOG.exception("watcher of events raised; the run continues")

        try:
            attributes["record"] = record
            yield
        finally:
            restore()

    def start_run(
        self,
        run_id: str,
        *,
        job: str | None = None,
        tags: Iterable[tuple[str, str]] = (),
        steps: Iterable[str] = (),
        selection: Iterable[str] | None = None,
        partition_key: str | PartitionKey | None = None,
    ) -> RunRecord:
        """Record the start of a run and its "RunStart" event; on disk when this returns.

        A run that has ended may start again (`resume`): its earlier events stay, its row is replaced.

        Args:
            run_id: Id of the run.
            job: Name of the job, None for a plain `materialize`.
            tags: `(key, value)` pairs.
            steps: Names of the planned steps.
            selection: Selected names, None for everything.
            partition_key: The partition key or keys of the run.

        Returns:
            The run, with status "Started".

        Raises:
            ConflictError: A run with this id is running.
        """
        run = RunRecord(
            run_id=run_id,
            status="Started",
            start_time=time_ns(),
            job_name=job,
            tags=[(key, value) for key, value in tags],
            node_names=list(steps),
            selection=None if selection is None else tuple(selection),
            partition_key=None if partition_key is None else str(partition_key),
        )
        self._begin(run)
        return run

    def finish_run(self, run_id: str, status: str, message: str | None = None) -> RunRecord:
        """Record the end of a run and its event; on disk when this returns.

        Args:
            run_id: Id of a run that was started.
            status: "success", "failure", "canceled" or "interrupted"; replaces the status of a run that
                has ended.
            message: Reason, shown with the run.

        Returns:
            The updated run.

        Raises:
            StorageError: The status is unknown, or no run with this id was started.
        """
        return self._end(run_id, check_status(status, ended=True), time_ns(), message)

    def get_run(self, run_id: str) -> RunRecord | None:
        """Return the run with this id, None if there is none."""
        return self._run(run_id)

    def get_runs(self, limit: int | None = 100, status: str | None = None) -> list[RunRecord]:
        """Return the runs, most recently started first.

        Args:
            limit: Maximum number, None for all.
            status: Only those with this status, in any case.

        Raises:
            StorageError: The status is unknown, or `limit` is negative.
        """
        return self._list_runs(_checked_limit(limit), None if status is None else check_status(status))

    def prune_runs(
        self, *, keep: int | None = None, older_than: timedelta | None = None, dry_run: bool = True
    ) -> PrunedRuns:
        """Remove runs that have ended, with their events and log records, by count and age.

        With both limits, a run is removed if it exceeds both. Running runs stay, and so does what the current state
        of an asset needs: its newest event, the newest materialization and observation of each partition, and the
        events of the values that these were made from. A removed run can no longer be resumed.

        Args:
            keep: Number of runs that stay, the most recently started ones.
            older_than: Time since the end of a run that it must exceed.
            dry_run: Only return what would be removed.

        Returns:
            What was, or would be, removed.

        Raises:
            StorageError: There is no limit, or one is negative.
        """
        plan = PruningPlan.of(self._list_runs(None, None), keep, older_than, time_ns())
        return self._prune(plan, dry_run=dry_run)

    @abstractmethod
    def vacuum(self) -> None:
        """Return the space of removed runs to the file system, or to new events."""

    def attach_run(self, run: LiveRun) -> None:
        """Make the running steps of a run of this process visible, and cancel it when that is requested."""
        live_runs.add(run, self)
        if self.is_cancelled(run.run_id):
            run.cancel()

    def detach_run(self, run: LiveRun) -> None:
        """End what `attach_run` began."""
        live_runs.remove(run)

    @abstractmethod
    def replace_running_steps(self, run_id: str, steps: Sequence[RunningStep]) -> None:
        """Show these as the running steps of a run, unless it has ended; called in the background."""

    def request_cancellation(self, run_id: str) -> bool:
        """Ask the process of a run to cancel it, from any process.

        The run starts no further step and no further attempt, and ends with status "Canceled". A running attempt
        finishes, unless its executor can end it. A request for a run that was never started applies when it starts.

        Args:
            run_id: Id of the run.

        Returns:
            Whether the request applies; False if the run has ended.
        """
        applies = self._request_cancellation(run_id, time_ns())
        live_runs.refresh(run_id)
        return applies

    @abstractmethod
    def is_cancelled(self, run_id: str) -> bool:
        """Return whether cancellation of a run was requested since it was last started."""

    def get_running_steps(self, run_id: str | None = None) -> list[RunningStep]:
        """Return the steps that run now, the longest first.

        A file lists those that have been running for more than 0.25 seconds, of all processes.

        Args:
            run_id: Only those of this run.
        """
        return self._running(run_id)

    def get_run_logs(
        self, run_id: str, step: str | None = None, *, after: int | None = None, limit: int | None = None
    ) -> list[LogRecord]:
        """Return what the steps of a run logged with `context.log`, oldest first.

        Records from level INFO up are kept whatever the level of the logger, without credentials, and at most 10,000
        of a step.

        Args:
            run_id: Id of the run.
            step: Only those of this step.
            after: Only those with a greater id.
            limit: Maximum number, None for all.

        Raises:
            StorageError: `limit` is negative.
        """
        return self._run_logs(run_id, step, after or 0, _checked_limit(limit))

    def get_events_for_asset(
        self, asset_key: str, limit: int | None = 100, *, with_steps: bool = True
    ) -> list[Event]:
        """Return the events of an asset, newest first.

        Args:
            asset_key: Name of the asset.
            limit: Maximum number, None for all.
            with_steps: Whether to include "StepStart" and "StepSuccess", which are derived from the other events.

        Raises:
            StorageError: `limit` is negative.
        """
        events = self._asset_events(_name_of(asset_key), _checked_limit(limit))
        if not with_steps:
            return events
        return with_step_events(events[::-1], self._running_calls())[::-1][:limit]

    def get_events_for_run(
        self, run_id: str, after: int | None = None, *, with_steps: bool = True
    ) -> list[Event]:
        """Return all events of a run, oldest first.

        Args:
            run_id: Id of the run.
            after: Only events with a greater id.
            with_steps: Whether to include "StepStart" and "StepSuccess". Reading after an id is faster without them,
                because they are derived from all events of the run.
        """
        if not with_steps:
            return self._run_events(run_id, after or 0)
        events = with_step_events(self._run_events(run_id, 0), self._running_calls(run_id))
        return events if after is None else [event for event in events if (event.id or 0) > after]

    def get_events_after(self, cursor: int, limit: int | None = 1000) -> list[Event]:
        """Return recorded events of all runs with an id greater than a cursor, oldest first.

        Args:
            cursor: Id of the last event that the caller knows; 0 for none.
            limit: Maximum number, None for all.

        Raises:
            StorageError: `limit` is negative.
        """
        return self._events_after(cursor, _checked_limit(limit))

    @abstractmethod
    def change_token(self) -> str:
        """Return a text that changes whenever anything is recorded, by any process.

        It is cheap enough for a poll, and comparable only with other tokens of this object.
        """

    def wait_for_change(self, token: str, timeout_s: float) -> str:
        """Wait until anything is recorded, by any process, and return the new change token.

        Args:
            token: Change token that the caller knows.
            timeout_s: Maximum time in seconds; afterwards the token is returned unchanged.
        """
        end = monotonic() + timeout_s
        while (current := self.change_token()) == token and (left := end - monotonic()) > 0:
            self._wait(left)
        return current

    def _wait(self, seconds: float) -> None:
        """Wait until something may have been recorded, at most some time."""
        sleep(min(seconds, POLL_SECONDS))

    def _running_calls(self, run_id: str | None = None) -> set[tuple[str, str | None, int]]:
        return {(item.step, item.partition_key, item.attempt) for item in self._running(run_id)}

    def get_latest_materialization(
        self, asset_key: str, partition: str | PartitionKey | None = None
    ) -> Event | None:
        """Return the newest materialization of an asset, None if there is none or the value was deleted.

        Args:
            asset_key: Name of the asset.
            partition: Partition key or its display form; None returns the newest of all partitions.
        """
        return self._latest(_name_of(asset_key), None if partition is None else plain_text(partition))

    def get_latest_materializations(self, asset_key: str) -> dict[str | None, Event]:
        """Return the newest materialization of each partition of an asset, in order of first materialization.

        The key is the display form of the partition, None for an asset without partitions.
        """
        return self._latest_by_partition(_name_of(asset_key))

    def get_all_latest_materializations(self) -> dict[str, dict[str | None, Event]]:
        """Return `get_latest_materializations` of every asset, by its name; a SQL storage needs one query."""
        return self._latest_by_asset()

    def get_materialized_partitions(self, asset_key: str) -> list[str]:
        """Return display forms of all materialized partitions, in order of first materialization."""
        return self._materialized(_name_of(asset_key))

    def count_materialized_partitions(self, asset_key: str) -> int:
        """Return the number of materialized partitions."""
        return len(self.get_materialized_partitions(asset_key))

    def get_asset_record(self, asset_key: str) -> AssetRecord | None:
        """Return the record of an asset, None if it has no events and no resolved repository has it."""
        name = _name_of(asset_key)
        record = next(iter(self._asset_records(name)), None)
        facts = self._declared.get(name)
        return _described(name, record, facts) if facts is not None else record

    def get_asset_records(self) -> list[AssetRecord]:
        """Return the records of all assets with events or in resolved repositories, sorted by name."""
        records = self._asset_records(None)
        if not self._declared:
            return records
        by_name: dict[str, AssetRecord | None] = dict.fromkeys(self._declared)
        by_name |= {record.asset_key: record for record in records}
        return [_described(name, by_name[name], self._declared.get(name)) for name in sorted(by_name)]

    def declare_assets(self, assets: Mapping[str, AssetFacts]) -> None:
        """Add the definitions of resolved assets to the records that this object returns; nothing is written.

        Args:
            assets: Facts by name of the asset.
        """
        self._declared = {**self._declared, **assets}

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add keys to a dynamic partitions definition; existing keys keep their position.

        Args:
            partitions_def_name: Name of the definition, as in `PartitionsDefinition.dynamic(name)`.
            partition_keys: Keys to add, in order. Either all are added or, on an error, none.

        Raises:
            DynamicPartitionError: (also a StorageError) A key is empty or has a reserved character, or
                `partition_keys` is plain text.
        """
        self._add_keys(partitions_def_name, _checked_keys(partitions_def_name, partition_keys))

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Remove a key from a dynamic partitions definition if it exists; stored values stay."""
        self._delete_key(_checked_definition(partitions_def_name), _checked_key(partition_key))

    def get_dynamic_partitions(self, partitions_def_name: str) -> list[str]:
        """Return the keys of a dynamic partitions definition, in the order they were added."""
        return self._keys(_checked_definition(partitions_def_name))

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Return whether a dynamic partitions definition has this key."""
        return self._has_key(_checked_definition(partitions_def_name), _checked_key(partition_key))

    # Primitives that a storage implements; their arguments are checked already.

    @abstractmethod
    def _begin(self, run: RunRecord) -> None: ...

    @abstractmethod
    def _end(self, run_id: str, status: RunStatus, at: int, message: str | None) -> RunRecord: ...

    @abstractmethod
    def _run(self, run_id: str) -> RunRecord | None: ...

    @abstractmethod
    def _list_runs(self, limit: int | None, status: RunStatus | None) -> list[RunRecord]: ...

    @abstractmethod
    def _prune(self, plan: PruningPlan, *, dry_run: bool) -> PrunedRuns: ...

    @abstractmethod
    def _asset_events(self, asset: str, limit: int | None) -> list[Event]: ...

    @abstractmethod
    def _run_events(self, run_id: str, after: int) -> list[Event]: ...

    @abstractmethod
    def _events_after(self, cursor: int, limit: int | None) -> list[Event]: ...

    @abstractmethod
    def _request_cancellation(self, run_id: str, at: int) -> bool: ...

    @abstractmethod
    def _running(self, run_id: str | None) -> list[RunningStep]: ...

    @abstractmethod
    def _run_logs(self, run_id: str, step: str | None, after: int, limit: int | None) -> list[LogRecord]: ...

    @abstractmethod
    def _latest(self, asset: str, partition: str | None) -> Event | None: ...

    @abstractmethod
    def _latest_by_partition(self, asset: str) -> dict[str | None, Event]: ...

    def _latest_by_asset(self) -> dict[str, dict[str | None, Event]]:
        names = [record.asset_key for record in self._asset_records(None)]
        return {name: self._latest_by_partition(name) for name in names}

    @abstractmethod
    def _materialized(self, asset: str) -> list[str]: ...

    @abstractmethod
    def _asset_records(self, asset: str | None) -> list[AssetRecord]: ...

    @abstractmethod
    def _add_keys(self, name: str, keys: list[str]) -> None: ...

    @abstractmethod
    def _delete_key(self, name: str, key: str) -> None: ...

    @abstractmethod
    def _keys(self, name: str) -> list[str]: ...

    @abstractmethod
    def _has_key(self, name: str, key: str) -> bool: ...


def connect(
    url: str, registry: PluginRegistry, *, read_only: bool = False, durable: bool = False
) -> EventStorage:
    """Return the storage at a URL; see `EventStorage.connect`.

    Args:
        url: The URL.
        registry: Registry of the plugins that provide storages.
        read_only: Only read an existing storage.
        durable: Keep what is written through a power cut.

    Raises:
        StorageError: The URL is not valid, or its storage is not an `EventStorage`.
    """
    if url == "memory:":
        return EventStorage.memory()
    scheme, separator, _ = url.partition("://")
    if scheme == "file" or not separator:
        path = url.removeprefix("file:").removeprefix("//")
        if not path:
            raise StorageError(f"The URL of an event storage must name a folder, got {url!r}.")
        return EventStorage.embedded(path, read_only=read_only, durable=durable)
    storage = registry.storage(scheme)(url, read_only=read_only, durable=durable)
    if not isinstance(storage, EventStorage):
        raise StorageError(
            f"The storage of {scheme}: URLs must be an EventStorage, got {type(storage).__name__}."
        )
    return storage


def _described(name: str, record: AssetRecord | None, facts: AssetFacts | None) -> AssetRecord:
    if record is None:
        return AssetRecord(name, None, None, 0, 0, facts)
    return replace(record, definition=facts)


def _name_of(asset: str) -> str:
    """Return the name of an asset that is given by its name or as the asset itself."""
    given: object = asset
    name = given if isinstance(given, str) else getattr(given, "name", None)
    if not isinstance(name, str):
        raise StorageTypeError(f"asset_key must be the name of an asset, got {asset!r}.")
    return plain_text(name)


def _checked_limit(limit: int | None) -> int | None:
    given: object = limit
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise StorageTypeError(f"limit must be a whole number, got {given!r}. Use None for all rows.")
    if limit is not None and limit < 0:
        raise StorageError(f"limit must not be negative, got {limit}. Use None for all rows.")
    return limit


def _checked_definition(name: str) -> str:
    given: object = name
    if not isinstance(given, str):
        raise DynamicPartitionTypeError(
            f"The name of a dynamic partitions definition must be text, got {given!r}."
        )
    return plain_text(name)


def _checked_key(key: str) -> str:
    given: object = key
    if not isinstance(given, str | PartitionKey):
        raise DynamicPartitionTypeError(f"A key of dynamic partitions must be text, got {given!r}.")
    return plain_text(key)


def _checked_keys(name: str, keys: Sequence[str]) -> list[str]:
    if not _checked_definition(name):
        raise DynamicPartitionError("A dynamic partitions definition needs a name, got an empty one.")
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise DynamicPartitionTypeError(
            f"Keys of the dynamic partitions {name!r} must be a list, got {keys!r}. Use [{keys!r}]."
        )
    try:
        return list(dict.fromkeys(check_key_value(key) for key in keys))
    except PartitionDefinitionError as error:
        kind = DynamicPartitionTypeError if isinstance(error, TypeError) else DynamicPartitionError
        raise kind(f"Dynamic partitions {name!r}: {error}") from error
