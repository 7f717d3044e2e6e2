"""Convert events and runs to rows of a database and back."""

from __future__ import annotations

import json
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rivers.exceptions import StorageError
from rivers.storage.events import DELETION, MATERIALIZATION, STEP_FAILURE, Event, damaged_text
from rivers.storage.records import LogRecord, RunningStep, RunRecord, check_status, stored_status
from rivers_core.metadata import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rivers.storage.sql.database import Connection

Row: TypeAlias = tuple[Any, ...]

EVENT_COLUMNS: Final = (
    "id, event_type, events.asset_key, run_id, events.partition_key, timestamp, data_version, "
    "code_version, handler, step, attempt, message, duration_ns, tags, input_data_versions, metadata"
)
RUN_COLUMNS: Final = (
    "run_id, status, start_time, end_time, job, partition_key, message, tags, steps, selection, owner"
)
RUNNING_COLUMNS: Final = "run_id, step, asset_key, partition_key, attempt, started_at, place"
LOG_COLUMNS: Final = "run_id, step, timestamp, level, message, asset_key, partition_key, attempt, id"

# Types of these columns: text or number, upper case if it may be absent. SQLite does not enforce them.
_TYPES: Final = {"t": (str,), "n": (int,), "T": (str, NoneType), "N": (int, NoneType)}
_EVENT_TYPES: Final = "ntTtTnTTTTnTNTTT"
_RUN_TYPES: Final = "ttnNTTTttTT"
_RUNNING_TYPES: Final = "tttTnnt"
_LOG_TYPES: Final = "ttnttTTnn"
_valid_types: Final[dict[str, set[tuple[type, ...]]]] = {}

_INSERT_EVENT: Final = f"INSERT INTO events VALUES ({', '.join('?' * 16)})"
_INSERT_RUN: Final = f"INSERT INTO runs ({RUN_COLUMNS}) VALUES ({', '.join('?' * 11)})"
_INSERT_RUNNING: Final = f"INSERT INTO running_steps ({RUNNING_COLUMNS}) VALUES ({', '.join('?' * 7)})"
_INSERT_LOG: Final = f"INSERT INTO logs ({LOG_COLUMNS.removesuffix(', id')}) VALUES ({', '.join('?' * 8)})"
_COUNT_MATERIALIZATIONS: Final = """
    INSERT INTO materialized (asset_key, partition_key, first_id, last_id, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (asset_key, partition_key)
    DO UPDATE SET last_id = excluded.last_id, count = materialized.count + excluded.count
"""

_DELETE_MATERIALIZED: Final = "DELETE FROM materialized WHERE asset_key = ? AND partition_key = ?"


def _check_types(row: Row, expected: str) -> None:
    """Raise if a column has another type than it was written with, since the file was changed."""
    types = tuple(map(type, row))
    valid = _valid_types.setdefault(expected, set())
    if types in valid:
        return
    for value, letter in zip(row, expected, strict=True):
        if not isinstance(value, _TYPES[letter]):
            raise damaged_text(value, TypeError(f"a column has the type {type(value).__name__}"))
    valid.add(types)


def insert_events(connection: Connection, events: Sequence[Event]) -> None:
    """Number events and write them; call it within a transaction, so that the numbers stay unique."""
    if not events:
        return
    last: int = connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0]
    for number, event in enumerate(events, last + 1):
        event.id = number
    _insert_rows(connection, _INSERT_EVENT, [event_row(event) for event in events])
    start = 0
    for position, event in enumerate(events):
        if event.event_type == DELETION:
            _insert_rows(connection, _COUNT_MATERIALIZATIONS, _materialized_rows(events[start:position]))
            _insert_rows(connection, _DELETE_MATERIALIZED, [(event.asset_key, event.partition_key or "")])
            start = position + 1
    _insert_rows(connection, _COUNT_MATERIALIZATIONS, _materialized_rows(events[start:] if start else events))


def is_stored(connection: Connection, event: Event) -> bool:
    """Return whether an event is in the file under the number that an earlier attempt to write it used."""
    if event.id is None:
        return False
    columns = "run_id, event_type, timestamp, COALESCE(step, '')"
    row = connection.execute(f"SELECT {columns} FROM events WHERE id = ?", (event.id,)).fetchone()
    return bool(row == (event.run_id, event.event_type, event.timestamp, event.step or ""))


def read_event(row: Row) -> Event:
    """Return the event of a row of `EVENT_COLUMNS`.

    Raises:
        StorageError: The row is damaged.
    """
    _check_types(row, _EVENT_TYPES)
    event = Event(
        row[1],
        asset_key=row[2],
        run_id=row[3],
        partition_key=row[4],
        timestamp=row[5],
        data_version=row[6],
        code_version=row[7],
        handler=row[8],
        step=row[9],
        attempt=row[10],
        message=row[11],
        duration_ns=row[12],
        tags=_tags(row[13]),
        input_data_versions=read_pairs(row[14]),
        metadata=row[15],
    )
    event.id = row[0]
    return event


def write_run(connection: Connection, run: RunRecord, owner: str | None) -> None:
    """Write the row of a run as the most recently started one, replacing an earlier row with its id."""
    selection = None if run.selection is None else _json(run.selection)
    row = (
        run.run_id,
        stored_status(run.status),
        run.start_time,
        run.end_time,
        run.job_name,
        run.partition_key,
        run.message,
    )
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run.run_id,))
    _insert_rows(connection, _INSERT_RUN, [(*row, _json(run.tags), _json(run.node_names), selection, owner)])


def end_run(connection: Connection, run: RunRecord) -> None:
    """Write the end of a run and its event; its position in the order of starts stays."""
    ending = (stored_status(run.status), run.end_time, run.message, run.run_id)
    _insert_rows(
        connection,
        "UPDATE runs SET status = ?, end_time = ?, message = ?, owner = NULL WHERE run_id = ?",
        [ending],
    )
    connection.execute("DELETE FROM running_steps WHERE run_id = ?", (run.run_id,))
    insert_events(connection, [run.event()])


def interrupt_run(connection: Connection, run: RunRecord, at: int) -> None:
    """Record that the process of a run has ended: its running steps failed, and the run is interrupted.

    Args:
        connection: Open connection to the file, within a transaction.
        run: The run.
        at: Time of detection, in nanoseconds since the epoch.
    """
    last = connection.execute("SELECT MAX(timestamp) FROM events WHERE run_id = ?", (run.run_id,))
    seen: int = last.fetchone()[0] or run.start_time
    running = connection.execute(
        f"SELECT {RUNNING_COLUMNS} FROM running_steps WHERE run_id = ?", (run.run_id,)
    )
    lost = [_lost_step(read_running(row), seen) for row in running.fetchall()]
    insert_events(connection, lost)
    end_run(connection, run.interrupted(at, seen))


def _lost_step(step: RunningStep, seen: int) -> Event:
    return Event(
        STEP_FAILURE,
        run_id=step.run_id,
        asset_key=step.asset_key,
        partition_key=step.partition_key,
        timestamp=max(seen, step.started_at),
        metadata={"rivers/failure_reason": MetadataValue.text("infrastructure")},
        step=step.step,
        attempt=step.attempt,
        message=f"Its process ended before it finished ({step.place}).",
        duration_ns=max(seen - step.started_at, 0),
    )


def replace_running(connection: Connection, run_id: str, steps: Sequence[RunningStep]) -> None:
    """Write the running steps of a run, unless it has ended."""
    connection.execute("DELETE FROM running_steps WHERE run_id = ?", (run_id,))
    if connection.execute("SELECT 1 FROM runs WHERE run_id = ? AND status = 'running'", (run_id,)).fetchone():
        _insert_rows(
            connection,
            _INSERT_RUNNING,
            [
                (s.run_id, s.step, s.asset_key, s.partition_key, s.attempt, s.started_at, s.place)
                for s in steps
            ],
        )


def read_running(row: Row) -> RunningStep:
    """Return the running step of a row of `RUNNING_COLUMNS`.

    Raises:
        StorageError: The row is damaged.
    """
    _check_types(row, _RUNNING_TYPES)
    return RunningStep(*row)


def insert_logs(connection: Connection, logs: Sequence[LogRecord]) -> None:
    """Write records of steps; their numbers ascend."""
    rows = [
        (log.run_id, log.step, log.timestamp, log.level, log.message, log.asset_key, log.partition_key, log.attempt)
        for log in logs
    ]  # fmt: skip
    _insert_rows(connection, _INSERT_LOG, rows)


def read_log(row: Row) -> LogRecord:
    """Return the log record of a row of `LOG_COLUMNS`.

    Raises:
        StorageError: The row is damaged.
    """
    _check_types(row, _LOG_TYPES)
    return LogRecord(*row)


def read_run(row: Row) -> RunRecord:
    """Return the run of a row of `RUN_COLUMNS`.

    Raises:
        StorageError: The row is damaged.
    """
    _check_types(row, _RUN_TYPES)
    try:
        status = check_status(row[1])
    except StorageError:
        raise damaged_text(row[1], ValueError("no status of a run")) from None
    return RunRecord(
        run_id=row[0],
        status=status,
        start_time=row[2],
        end_time=row[3],
        job_name=row[4],
        partition_key=row[5],
        message=row[6],
        tags=list(read_pairs(row[7])),
        node_names=list(_texts(row[8])),
        selection=None if row[9] is None else _texts(row[9]),
    )


def event_row(event: Event) -> Row:
    """Return the values of `EVENT_COLUMNS` for an event."""
    return (
        event.id,
        event.event_type,
        event.asset_key,
        event.run_id,
        event.partition_key,
        event.timestamp,
        event.data_version,
        event.code_version,
        event.handler,
        event.step,
        event.attempt,
        event.message,
        event.duration_ns,
        _json(event.stored_tags) if event.stored_tags else None,
        _pairs_json(event.loaded_versions),
        event.metadata_json,
    )


def _materialized_rows(events: Iterable[Event]) -> list[Row]:
    return [
        (event.asset_key, event.partition_key or "", event.id, event.id, 1)
        for event in events
        if event.event_type == MATERIALIZATION and event.asset_key is not None
    ]


def _insert_rows(connection: Connection, statement: str, rows: list[Row]) -> None:
    connection.execute("SAVEPOINT all_rows")
    try:
        connection.executemany(statement, rows)
    except connection.unstorable:
        connection.execute("ROLLBACK TO all_rows")
        connection.executemany(statement, [tuple(map(_storable, row)) for row in rows])
    connection.execute("RELEASE all_rows")


def _storable(value: Any) -> Any:
    # File names in errors may contain lone surrogates, which UTF-8 cannot encode, and PostgreSQL has no NUL in text;
    # one must not fail the batch.
    if value is None or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _pairs_json(pairs: Iterable[tuple[str, str]]) -> str | None:
    # the text that `_json` gives, in a fifth of the time
    items = [f"[{_quoted(name)}, {_quoted(text)}]" for name, text in pairs]
    return f"[{', '.join(items)}]" if items else None


_quoted: Final = json.encoder.encode_basestring_ascii


def _json(value: Iterable[Any]) -> str:
    return json.dumps(list(value))


def _tags(text: str | None) -> tuple[str | tuple[str, str], ...]:
    if text is None:
        return ()
    try:
        return tuple(tag if isinstance(tag, str) else (tag[0], tag[1]) for tag in json.loads(text))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise damaged_text(text, error) from error


def read_pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs in a JSON text.

    Raises:
        StorageError: It is damaged.
    """
    if text is None:
        return ()
    try:
        return tuple((key, value) for key, value in json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged_text(text, error) from error


def _texts(text: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged_text(text, error) from error
