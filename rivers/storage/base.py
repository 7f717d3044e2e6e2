"""The contract that every storage of events fulfils."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import contextmanager
from time import time_ns
from typing import TYPE_CHECKING

from rivers.exceptions import PartitionDefinitionError, StorageError
from rivers.storage.records import RunRecord, check_status
from rivers_core.partitions.keys import check_key_value

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from rivers.storage.events import Event
    from rivers.storage.records import AssetRecord, RunStatus
    from rivers_core.partitions import PartitionKey

_LOG = logging.getLogger("rivers.storage")


class EventStorage(ABC):
    """History of assets and runs, and the keys of dynamic partitions.

    `Storage.memory()` forgets with the process, `Storage.embedded(path)` keeps everything in a SQLite
    file; both answer every question alike. Any thread may use a storage; `with storage:` closes it.

    Examples:
        >>> storage = EventStorage.memory()
        >>> storage.start_run("r1", steps=["orders"]).status
        'running'
        >>> storage.finish_run("r1", "success").status
        'success'
        >>> [event.event_type for event in storage.get_events_for_run("r1")]
        ['RunStart', 'RunSuccess']
    """

    @staticmethod
    def memory() -> EventStorage:
        """A storage that lives as long as this process, the fastest there is.

        Sent to another process it arrives empty.
        """
        from rivers.storage.memory import MemoryStorage

        return MemoryStorage()

    @staticmethod
    def embedded(path: str | os.PathLike[str]) -> EventStorage:
        """A storage in a SQLite file of this machine, for any number of threads and processes at once.

        Nothing is touched before the first use; then the folder is made, an older file is brought up to date,
        and runs whose process is gone are closed as "interrupted". Events are on disk after 0.2 seconds at
        the latest.

        Args:
            path: A directory, created if needed; the file inside is `rivers.db`.

        Raises:
            StorageError: On first use, if the file is not one of rivers, is newer than this rivers, or cannot
                be opened or written.
        """
        from rivers.storage.sqlite.storage import SQLiteStorage

        return SQLiteStorage(path)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Make ready for use, which happens by itself at the first use; errors of the place show here."""

    @abstractmethod
    def flush(self) -> None:
        """Return when everything recorded so far is where other processes can read it."""

    @abstractmethod
    def close(self) -> None:
        """Flush and let go of everything; a later use opens again."""

    @abstractmethod
    def record(self, event: Event) -> None:
        """Add an event to the history; it gets its id when it is stored."""

    @contextmanager
    def watching(self, watcher: Callable[[Event], None]) -> Iterator[None]:
        """Show every event to a function as it is recorded, for as long as the block lasts.

        Costs nothing when nobody watches. Events of other processes, and those with which a run starts and
        ends, are not shown.

        Args:
            watcher: Called after the event was recorded, by whichever thread recorded it.
        """
        before = self.__dict__.get("record")
        unwatched = self.record

        def record(event: Event) -> None:
            unwatched(event)
            try:
                watcher(event)
            except Exception:
                _LOG.exception("what watches events raised; the run goes on")

        self.__dict__["record"] = record
        try:
            yield
        finally:
            if before is None:
                del self.__dict__["record"]
            else:
                self.__dict__["record"] = before

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
        """Note that a run starts, with a "RunStart" event; on disk when this returns.

        A run that has ended may start again (`resume`): its earlier events stay, its row begins anew.

        Args:
            run_id: Id of the run.
            job: Name of the job, if it is one.
            tags: `(key, value)` pairs.
            steps: Names of the planned steps.
            selection: What was asked for, None for everything.
            partition_key: The partition key or keys of the run.

        Returns:
            The run, with status "running".

        Raises:
            ConflictError: A run of this id is running.
        """
        run = RunRecord(
            run_id=run_id,
            status="running",
            start_time=time_ns(),
            job=job,
            tags=tuple((key, value) for key, value in tags),
            steps=tuple(steps),
            selection=None if selection is None else tuple(selection),
            partition_key=None if partition_key is None else str(partition_key),
        )
        self._begin(run)
        return run

    def finish_run(self, run_id: str, status: str, message: str | None = None) -> RunRecord:
        """Note how a run ended, with the event that says so; on disk when this returns.

        Args:
            run_id: Id of a run that was started.
            status: "success", "failure", "canceled" or "interrupted". If the run had ended before, this is
                how it ended.
            message: Why, for those who look at the run later.

        Returns:
            The run as it is now.

        Raises:
            StorageError: No such status, or no run of this id was ever started here.
        """
        return self._end(run_id, check_status(status, ended=True), time_ns(), message)

    def get_run(self, run_id: str) -> RunRecord | None:
        """The run of this id, None if there is none."""
        return self._run(run_id)

    def get_runs(self, limit: int | None = 100, status: str | None = None) -> list[RunRecord]:
        """The runs, last started first.

        Args:
            limit: How many at most, None for all.
            status: Only those with this status.

        Raises:
            StorageError: There is no such status, or `limit` is negative.
        """
        return self._list_runs(_checked_limit(limit), None if status is None else check_status(status))

    def get_events_for_asset(self, asset: str, limit: int | None = 100) -> list[Event]:
        """The events of an asset, newest first; at most `limit`, None for all.

        Raises:
            StorageError: `limit` is negative.
        """
        return self._asset_events(_name_of(asset), _checked_limit(limit))

    def get_events_for_run(self, run_id: str) -> list[Event]:
        """All events of a run, oldest first."""
        return self._run_events(run_id)

    def get_latest_materialization(
        self, asset: str, partition: str | PartitionKey | None = None
    ) -> Event | None:
        """The newest materialization of an asset, None if there is none.

        Args:
            asset: Name of the asset.
            partition: Only of this partition (a key or its display form); None takes whichever is newest.
        """
        return self._latest(_name_of(asset), None if partition is None else str(partition))

    def get_latest_materializations(self, asset: str) -> dict[str | None, Event]:
        """The newest materialization of each partition of an asset, first materialized partition first.

        The key is the display form of the partition, None for an asset without partitions.
        """
        return self._latest_by_partition(_name_of(asset))

    def get_materialized_partitions(self, asset: str) -> list[str]:
        """Display forms of the partitions that were ever materialized, first materialized first."""
        return self._materialized(_name_of(asset))

    def get_asset_record(self, asset: str) -> AssetRecord | None:
        """What the events say about an asset, None if they never mention it."""
        return next(iter(self._asset_records(_name_of(asset))), None)

    def get_asset_records(self) -> list[AssetRecord]:
        """What the events say about each asset they mention, sorted by name."""
        return self._asset_records(None)

    def add_dynamic_partitions(self, name: str, keys: Sequence[str]) -> None:
        """Add keys to a dynamic partitions definition; those it has already keep their place.

        Args:
            name: Name of the definition, as in `PartitionsDefinition.dynamic(name)`.
            keys: Keys to add, in order. Either all are added or, on an error, none.

        Raises:
            PartitionDefinitionError: A key is empty or has a reserved character, or `keys` is plain text.
        """
        self._add_keys(name, _checked_keys(name, keys))

    def delete_dynamic_partition(self, name: str, key: str) -> None:
        """Take a key, if it is there, out of a dynamic partitions definition; stored values stay."""
        self._delete_key(name, str(key))

    def get_dynamic_partitions(self, name: str) -> list[str]:
        """Keys of a dynamic partitions definition, in the order they were added."""
        return self._keys(name)

    def has_dynamic_partition(self, name: str, key: str) -> bool:
        """Whether a dynamic partitions definition has this key."""
        return self._has_key(name, str(key))

    # What a kind of storage implements: the same questions, their arguments checked.

    @abstractmethod
    def _begin(self, run: RunRecord) -> None: ...

    @abstractmethod
    def _end(self, run_id: str, status: RunStatus, at: int, message: str | None) -> RunRecord: ...

    @abstractmethod
    def _run(self, run_id: str) -> RunRecord | None: ...

    @abstractmethod
    def _list_runs(self, limit: int | None, status: RunStatus | None) -> list[RunRecord]: ...

    @abstractmethod
    def _asset_events(self, asset: str, limit: int | None) -> list[Event]: ...

    @abstractmethod
    def _run_events(self, run_id: str) -> list[Event]: ...

    @abstractmethod
    def _latest(self, asset: str, partition: str | None) -> Event | None: ...

    @abstractmethod
    def _latest_by_partition(self, asset: str) -> dict[str | None, Event]: ...

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


def _name_of(asset: str) -> str:
    """The name itself, where an asset was given in its place; histories are kept by name."""
    given: object = asset
    name = given if isinstance(given, str) else getattr(given, "name", None)
    if not isinstance(name, str):
        raise StorageError(f"histories are kept by the names of assets; {asset!r} is none")
    return name


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise StorageError(f"limit says how many rows to return and cannot be {limit}; None returns all.")
    return limit


def _checked_keys(name: str, keys: Sequence[str]) -> list[str]:
    if not name:
        raise PartitionDefinitionError("A dynamic partitions definition needs a name; got an empty one.")
    if isinstance(keys, str):
        raise PartitionDefinitionError(
            f"Keys of the dynamic partitions {name!r} come as a list; write [{keys!r}] instead of {keys!r}."
        )
    return list(dict.fromkeys(check_key_value(key) for key in keys))
