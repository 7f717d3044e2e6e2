"""Table cache: what a process knows of a table from its own writes, so that the next write need not read the log."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from rivers_delta.log.table import Table

MIN_VERSION: Final = 30
"""Version from which on a table is kept open: a shorter log is opened as quickly."""

_MAX_TABLES: Final = 16
_MAX_USES: Final = 20
_MAX_WRITES: Final = 100_000
_DEFAULT_CHECKPOINT_INTERVAL: Final = "100"


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows and bytes of a table at one version."""

    table_id: str
    version: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WriteStatistics:
    """Rows that one commit wrote, and the totals of the table after it."""

    rows: int
    totals: Totals


class WriteHistory:
    """Commits of an unbroken sequence of writes by this process; a commit of any other writer invalidates it.

    While it is valid, a repeated write is recognized without reading the log's transactions, of which there may be
    many, and rows and bytes are counted from each commit alone.
    """

    __slots__ = ("_committed", "_is_from_creation", "totals")

    def __init__(self) -> None:
        self.totals: Totals | None = None
        self._committed: set[str] = set()
        self._is_from_creation = False

    def is_committed(self, table: Table, app_id: str) -> bool:
        """Return whether the table has a write.

        Args:
            table: The table at its latest version.
            app_id: The identifier of the write.
        """
        if self._is_valid(table):
            if app_id in self._committed:
                return True
            if self._is_from_creation:
                return False
        return table.transaction_version(app_id) is not None

    def record(self, table: Table, app_id: str) -> WriteStatistics:
        """Record a commit of this process.

        Args:
            table: The table at the version of the commit.
            app_id: The identifier of the write.
        """
        before = self.totals
        written = _statistics(table, before)
        totals = self.totals = written.totals
        is_next = before is not None and (before.table_id, before.version + 1) == (
            totals.table_id,
            totals.version,
        )
        if totals.version == 0 or not is_next or len(self._committed) >= _MAX_WRITES:
            self._committed, self._is_from_creation = set(), totals.version == 0
        self._committed.add(app_id)
        return written

    def totals_of(self, table: Table) -> Totals:
        """Return rows and bytes of a table.

        Args:
            table: The table at its latest version.
        """
        if self.totals is None or not self._is_valid(table):
            self.totals, self._committed, self._is_from_creation = _count(table), set(), False
        return self.totals

    def _is_valid(self, table: Table) -> bool:
        known = self.totals
        return known is not None and (known.table_id, known.version) == (
            str(table.metadata().id),
            table.version(),
        )


class _FileIdentity(NamedTuple):
    inode: int
    modified_ns: int
    size: int


class _OpenTable(NamedTuple):
    """A table, and the identity of the file of its latest commit."""

    table: Table
    commit: _FileIdentity


class TableCache:
    """Cache of open tables between writes; the cost of opening a table grows with its log.

    A table is returned only while its last commit is still the latest: the commit's file is unchanged, and no later one
    exists. Only local tables are cached, because this check is a request in an object store.

    A table that is taken leaves the cache until it is kept again, so that no two threads write through one object.
    """

    __slots__ = ("_histories", "_open")

    def __init__(self) -> None:
        self._open: OrderedDict[str, _OpenTable] = OrderedDict()
        self._histories: dict[str, WriteHistory] = {}

    def history(self, address: str) -> WriteHistory:
        """Return the history of this process's writes to a table.

        Args:
            address: The path or URL of the table.
        """
        return self._histories.setdefault(address, WriteHistory())

    def take(self, address: str) -> Table | None:
        """Return an open table if no other writer changed it since.

        Args:
            address: The folder of the table.
        """
        cached = self._open.pop(address, None)
        if cached is None or _commit_identity(address, cached.table.version() + 1) is not None:
            return None
        return cached.table if _commit_identity(address, cached.table.version()) == cached.commit else None

    def keep(self, address: str, table: Table) -> None:
        """Keep a table open for the next write, if that saves time.

        Commits after its checkpoint are read one by one, so a table is opened again after each checkpoint.

        Args:
            address: The folder of the table.
            table: The table at its latest version, as far as this process knows.
        """
        version = table.version()
        if version < MIN_VERSION or table.uses >= _MAX_USES or not table.settings.is_local:
            return
        interval = table.metadata().configuration.get(
            "delta.checkpointInterval", _DEFAULT_CHECKPOINT_INTERVAL
        )
        commit = _commit_identity(address, version)
        if (version + 1) % int(interval) == 0 or commit is None:
            return
        table.uses += 1
        self._open[address] = _OpenTable(table, commit)
        while len(self._open) > _MAX_TABLES:
            self._open.popitem(last=False)


def _commit_identity(address: str, version: int) -> _FileIdentity | None:
    """Return the identity of the file of a commit; None if it does not exist."""
    try:
        status = os.stat(os.path.join(address, "_delta_log", f"{version:020d}.json"))
    except OSError:
        return None
    return _FileIdentity(status.st_ino, status.st_mtime_ns, status.st_size)


def _count(table: Table) -> Totals:
    """Count by the statistics in the log, which takes time per file but reads no data."""
    actions = table.get_add_actions()
    rows = sum(value or 0 for value in actions.column("num_records").to_pylist())
    size = sum(actions.column("size_bytes").to_pylist())
    return Totals(str(table.metadata().id), table.version(), rows, size)


def _statistics(table: Table, before: Totals | None) -> WriteStatistics:
    """Return the totals of the last commit, counted from that commit alone if the totals before it are known."""
    table_id, version = str(table.metadata().id), table.version()
    metrics: dict[str, Any] = {}
    rows, size, removes = 0, 0, False
    for action in table.read_commit():
        if "add" in action:
            rows += json.loads(action["add"].get("stats") or "{}").get("numRecords", 0)
            size += action["add"]["size"]
        removes = removes or "remove" in action
        metrics = metrics or action.get("commitInfo", {}).get("operationMetrics", {})
    if version == 0:
        before = Totals(table_id, -1, 0, 0)
    is_next = before is not None and (before.table_id, before.version + 1) == (table_id, version)
    if before is not None and is_next and not removes:
        totals = Totals(table_id, version, before.rows + rows, before.bytes + size)
    else:
        totals = _count(table)
    return WriteStatistics(int(metrics.get("num_added_rows", rows)), totals)
