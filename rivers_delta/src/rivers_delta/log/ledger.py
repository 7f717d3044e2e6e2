"""What a process knows of a table from its own writes, so that it need not ask the log each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_delta.log.totals import Totals, after_commit, count

if TYPE_CHECKING:
    from rivers_delta.log.table import Table
    from rivers_delta.log.totals import Written

_MOST_REMEMBERED = 100_000


class Ledger:
    """Knows the commits of an unbroken row of writes by this process; one commit of anybody else ends it.

    While the row is unbroken, a write that is tried again is recognised without reading the log's transactions,
    of which there may be many, and the rows and bytes of the table are counted from each commit alone.
    """

    __slots__ = ("_committed", "_is_from_creation", "totals")

    def __init__(self) -> None:
        self.totals: Totals | None = None
        self._committed: set[str] = set()
        self._is_from_creation = False

    def is_committed(self, table: Table, app_id: str) -> bool:
        """Whether a write with that transaction identifier is in the table.

        Args:
            table: As it is now.
            app_id: Of the write.
        """
        if self._is_unbroken(table):
            if app_id in self._committed:
                return True
            if self._is_from_creation:
                return False
        return table.transaction_version(app_id) is not None

    def record(self, table: Table, app_id: str) -> Written:
        """Take down a commit of this process.

        Args:
            table: At the version of the commit.
            app_id: Of the write.
        """
        before = self.totals
        written = after_commit(table, before)
        self.totals = written.totals
        follows = before is not None and (before.table_id, before.version + 1) == (
            written.totals.table_id,
            written.totals.version,
        )
        is_new = written.totals.version == 0
        if is_new or not follows or len(self._committed) >= _MOST_REMEMBERED:
            self._committed, self._is_from_creation = set(), is_new
        self._committed.add(app_id)
        return written

    def look(self, table: Table) -> Totals:
        """What a table holds that was not written to.

        Args:
            table: As it is now.
        """
        if not self._is_unbroken(table):
            self.totals, self._committed, self._is_from_creation = count(table), set(), False
        assert self.totals is not None
        return self.totals

    def _is_unbroken(self, table: Table) -> bool:
        known = self.totals
        return known is not None and (known.table_id, known.version) == (
            str(table.metadata().id),
            table.version(),
        )
