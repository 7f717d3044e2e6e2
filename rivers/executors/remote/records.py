"""Log records of steps: collected where a step runs, and handled again by the coordinator."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Records = list[dict[str, Any]]

_PLAIN = (str, int, float, bool, type(None))
_DROPPED = ("args", "exc_info", "msg")  # replaced by their text
_IMPORTED_IN: Final = uuid4().hex


class RecordCollector(logging.Handler):
    """Collects the records of each step that runs in this process, at the levels of the coordinator.

    Records of threads that a step starts belong to the step if no other runs meanwhile.
    """

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._current: ContextVar[Records | None] = ContextVar("records", default=None)
        self._running: list[Records] = []
        self._changes = Lock()
        self._levels: Mapping[str, int] = {}
        self.setFormatter(logging.Formatter())

    @contextmanager
    def collecting(self, levels: Mapping[str, int], redact: Callable[[str], str]) -> Iterator[Records]:
        """Yield the list that receives the records of a step; they are redacted when it ends.

        Args:
            levels: Level of each logger that has one in the coordinator; the root logger is "".
            redact: Removes credentials from a text.
        """
        records: Records = []
        with self._changes:
            self._running.append(records)
            self._apply(levels)
        token = self._current.set(records)
        try:
            yield records
        finally:
            self._current.reset(token)
            with self._changes:
                self._running = [item for item in self._running if item is not records]
            for record in records:
                record.update((name, redact(text)) for name, text in record.items() if isinstance(text, str))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it belongs to a step."""
        records = self._current.get()
        if records is None:
            if len(self._running) != 1:
                return
            records = self._running[0]
        try:
            records.append(self._plain(record))
        except Exception:  # arguments that do not fit the message, as logging itself reports them
            self.handleError(record)

    def _apply(self, levels: Mapping[str, int]) -> None:
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)
        if levels != self._levels:
            for name, level in {**dict.fromkeys(self._levels, 0), **levels}.items():
                logging.getLogger(name).setLevel(level)
            self._levels = dict(levels)

    def _plain(self, record: logging.LogRecord) -> dict[str, Any]:
        plain = {name: value for name, value in vars(record).items() if isinstance(value, _PLAIN)}
        for name in _DROPPED:
            plain.pop(name, None)
        plain["msg"] = record.getMessage()
        plain["rivers_origin"] = _this_process()
        if record.exc_info and not record.exc_text:
            assert self.formatter is not None
            plain["exc_text"] = self.formatter.formatException(record.exc_info)
        return plain


def current_levels() -> dict[str, int]:
    """Return the level of each logger of this process that has one; the root logger is ""."""
    loggers = logging.Logger.manager.loggerDict
    levels = {
        name: logger.level
        for name, logger in list(loggers.items())
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": logging.getLogger().level, **levels}


def handle_again(plain: Mapping[str, Any]) -> None:
    """Give a record of another process to the handlers of this one, as if it had been logged here."""
    if (
        plain.get("rivers_origin") == _this_process()
    ):  # of a channel whose steps run in threads of the coordinator
        return
    record = logging.makeLogRecord(dict(plain))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _this_process() -> str:
    # numbers of processes are equal on several hosts, and a fork has the modules of its parent
    return f"{os.getpid()} {_IMPORTED_IN}"
