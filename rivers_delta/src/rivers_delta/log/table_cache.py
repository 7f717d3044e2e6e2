"""Tables with a long log, kept open from one write of this process to its next."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from rivers_delta.log.location import is_local

if TYPE_CHECKING:
    from rivers_delta.log.table import Table

LONG: Final = 30
_MOST_TABLES: Final = 16
_MOST_WRITES: Final = 20
_DEFAULT_INTERVAL: Final = "100"

_Identity = tuple[int, int, int]


class _Kept(NamedTuple):
    """A table, and what its last commit looks like on disk.

    Args:
        table: At the version of that commit.
        commit: Identity of the commit's file.
    """

    table: Table
    commit: _Identity


class WarmTables:
    """Saves a write the opening of its table, which takes the longer the more commits and files there are.

    A table is given out only while its last commit is the latest one still: the commit's file is the very file that
    it was, and there is none after it. To look at the log by opening it says nothing more. That is asked of the file
    system; in an object store, where it would be a request, every write opens its table. A short log is opened as
    quickly as anything, and not kept either.

    What is given out is gone from here until it is kept again, so no two threads write through one object.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def take(self, address: str) -> Table | None:
        """The table as this process left it, if nothing happened to it since.

        Args:
            address: Its folder.
        """
        kept = self._kept.pop(address, None)
        if kept is None or _identity(address, kept.table.version() + 1) is not None:
            return None
        if _identity(address, kept.table.version()) != kept.commit:
            return None
        return kept.table

    def keep(self, address: str, table: Table) -> None:
        """Keep a table for the next write, if that spares anything.

        What came after its checkpoint is read from as many files; so it is opened anew with each checkpoint.

        Args:
            address: Its folder.
            table: At its latest version, as far as this process knows.
        """
        version = table.version()
        if version < LONG or table.uses >= _MOST_WRITES or not is_local(address):
            return
        interval = table.metadata().configuration.get("delta.checkpointInterval", _DEFAULT_INTERVAL)
        commit = _identity(address, version)
        if (version + 1) % int(interval) == 0 or commit is None:
            return
        table.uses += 1
        self._kept[address] = _Kept(table, commit)
        while len(self._kept) > _MOST_TABLES:
            self._kept.popitem(last=False)


def _identity(address: str, version: int) -> _Identity | None:
    """What tells the file of one commit from any other; None if there is no such file."""
    try:
        found = os.stat(os.path.join(address, "_delta_log", f"{version:020d}.json"))
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
