"""Log records of a step that the event log keeps: the logger of its context, and the records of one attempt."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from rivers.execution.run import key_text
from rivers.storage.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import Step
    from rivers_core.partitions import PartitionKey

Keep: TypeAlias = "Callable[[logging.LogRecord], None]"

_current: ContextVar[tuple[str, Keep] | None] = ContextVar("rivers_step_records", default=None)
_running: dict[str, list[Keep]] = {}
_changes = Lock()
_formatter: Final = logging.Formatter()


class StepLogger(logging.Logger):
    """Logger of an asset or task: while its function runs, records from level INFO up are kept.

    They reach the handlers of `logging` only if the level of the logger allows it.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of `logging`
        """Return whether a record of this level is kept, or enabled in `logging`."""
        return super().isEnabledFor(level) or (level >= logging.INFO and _keep_of(self.name) is not None)

    def handle(self, record: logging.LogRecord) -> None:
        """Keep the record, and handle it if its level is enabled."""
        keep = _keep_of(self.name) if record.levelno >= logging.INFO else None
        if keep is not None:
            keep(record)
        if super().isEnabledFor(record.levelno):
            super().handle(record)


@contextmanager
def keeping_records(name: str, keep: Keep) -> Iterator[None]:
    """Keep the records of a logger within the block, in this thread and coroutine.

    Those of threads that the function starts are kept if no other call with this logger runs meanwhile.

    Args:
        name: Name of the logger.
        keep: Called with each record from level INFO up.
    """
    logger = logging.getLogger(name)
    if not isinstance(logger, StepLogger):
        logger.__class__ = _step_logger_class(type(logger))
    with _changes:
        _running.setdefault(name, []).append(keep)
    token = _current.set((name, keep))
    try:
        yield
    finally:
        _current.reset(token)
        with _changes:
            _running[name].remove(keep)
            if not _running[name]:
                del _running[name]


def _step_logger_class(base: type[logging.Logger]) -> type[logging.Logger]:
    # the program or a library may have set a logger class
    return StepLogger if base is logging.Logger else type("StepLogger", (StepLogger, base), {})


def _keep_of(name: str) -> Keep | None:
    """Return the function that keeps the records of a logger now; None if no call with it runs here."""
    running = _running.get(name)
    if not running:
        return None
    current = _current.get()
    if current is not None and current[0] == name:
        return current[1]
    return running[0] if len(running) == 1 else None


class StepLogs:
    """Keeps the records that one attempt of a step logs.

    Args:
        step: The step.
        run: The run; its secrets are redacted.
        keys: The partition keys of the call; None without partitions.
        attempt: Number of the attempt, from 1.
    """

    def __init__(self, step: Step, run: Run, keys: Sequence[PartitionKey] | None, attempt: int) -> None:
        self._step = step
        self._run = run
        self._key = key_text(keys)
        self._attempt = attempt

    def __call__(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._run.keep_log(
            LogRecord(
                self._run.run_id,
                self._step.name,
                int(record.created * 1e9),
                record.levelname,
                self._run.without_secrets(_text_of(record)),
                self._step.owner,
                self._key,
                self._attempt,
            )
        )


def _text_of(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # arguments that do not fit the message; `logging` reports them
        text = str(record.msg)
    if record.exc_info and record.exc_info[0] is not None:
        text = f"{text}\n{_formatter.formatException(record.exc_info)}"
    return text
