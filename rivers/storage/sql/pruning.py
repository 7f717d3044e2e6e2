"""Statements that remove old runs, and those that find the events that stay."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Protocol

from rivers.storage.sql.rows import read_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rivers.storage.sql.database import Connection
    from rivers.storage.sql.rows import Row

_LATEST: Final = "SELECT last_id FROM materialized"
# The newest event is kept: its number would be used again otherwise, and a reader would miss the event that gets it.
_NEEDED: Final = (
    "SELECT MAX(id) FROM events",
    "SELECT MAX(id) FROM events WHERE asset_key IS NOT NULL GROUP BY asset_key",
    """
    SELECT MAX(id) FROM events WHERE event_type = 'Observation' AND data_version IS NOT NULL
    GROUP BY asset_key, partition_key
    """,
)
_CHUNK: Final = 1000
_VERSIONS: Final = """
    SELECT MAX(id), data_version FROM events
    WHERE asset_key = ? AND data_version IS NOT NULL AND event_type IN ('Materialization', 'Observation')
    GROUP BY partition_key, data_version
"""
_WITHOUT_RUN: Final = "SELECT id FROM events WHERE timestamp < ? AND run_id NOT IN (SELECT run_id FROM runs)"


class Query(Protocol):
    """Function that returns the rows of a statement."""

    def __call__(self, statement: str, *values: object) -> Sequence[Row]:
        """Return the rows of a statement."""
        ...


def needed_events(query: Query) -> set[int]:
    """Return the numbers of events that staleness, provenance and asset records need, whatever their runs.

    These are the newest event of each asset, the newest materialization and observation of each partition, and what
    these values were made from.

    Args:
        query: Returns the rows of a statement.
    """
    latest = sorted(number for (number,) in query(_LATEST))
    needed = {number for statement in _NEEDED for (number,) in query(statement) if number is not None}
    needed.update(latest)
    versions: dict[str, set[str]] = defaultdict(set)
    for inputs in _inputs_of(query, latest):
        for asset, version in read_pairs(inputs):
            versions[asset].add(version)
    for asset, used in versions.items():
        needed.update(number for number, version in query(_VERSIONS, asset) if version in used)
    return needed


def _inputs_of(query: Query, numbers: Sequence[int]) -> Iterator[str]:
    # In ascending order, a database reads each page of a large table once; a join of millions of rows it does not.
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        inputs = f"SELECT input_data_versions FROM events WHERE id IN ({marks}) AND input_data_versions IS NOT NULL"
        yield from {text for (text,) in query(inputs, *chunk)}


def without_run(query: Query, before: int, needed: set[int]) -> list[int]:
    """Return the numbers of events that are not needed, older than a time, and of runs that were removed earlier.

    Args:
        query: Returns the rows of a statement.
        before: Nanoseconds since the epoch.
        needed: Numbers of events that stay.
    """
    return [number for (number,) in query(_WITHOUT_RUN, before) if number not in needed]


def events_of(query: Query, run_id: str, needed: set[int]) -> tuple[list[int], int]:
    """Return the numbers of the events of a run that are not needed, and the number of those that are."""
    numbers = [number for (number,) in query("SELECT id FROM events WHERE run_id = ?", run_id)]
    unneeded = [number for number in numbers if number not in needed]
    return unneeded, len(numbers) - len(unneeded)


def delete_events(connection: Connection, numbers: Iterable[int]) -> None:
    """Delete events by number."""
    connection.executemany("DELETE FROM events WHERE id = ?", [(number,) for number in numbers])


def delete_run(connection: Connection, run_id: str, numbers: Iterable[int]) -> bool:
    """Delete a run with its log records and some of its events, unless it was started again.

    Args:
        connection: Open connection, within a transaction.
        run_id: Id of the run.
        numbers: Numbers of the events.

    Returns:
        Whether it was deleted.
    """
    row = connection.execute("SELECT end_time FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None or row[0] is None:
        return False
    delete_events(connection, numbers)
    for table in ("logs", "cancellations", "runs"):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    return True
