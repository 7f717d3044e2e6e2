"""Logger `rivers.run`: report each stored value, retry and failure to `logging`; silent unless configured."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from rivers.storage.events import MATERIALIZATION, OBSERVATION, STEP_FAILURE, STEP_RETRY
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rivers.execution.run import Run
    from rivers.storage import Event

_LOG: Final = logging.getLogger("rivers.run")
# without a handler, `logging` would print warnings and errors to stderr
_LOG.addHandler(logging.NullHandler())

_LEVELS: Final = {STEP_RETRY: logging.WARNING, STEP_FAILURE: logging.ERROR}


def logging_values(run: Run) -> AbstractContextManager[None]:
    """Log each value that a run stores within the block, at level INFO; costs nothing if that level is disabled."""

    def log_value(event: Event) -> None:
        if event.run_id == run.run_id and event.event_type in (MATERIALIZATION, OBSERVATION):
            _LOG.info("%s: %s", _subject(event), _outcome(event))

    return run.storage.watching(log_value) if _LOG.isEnabledFor(logging.INFO) else nullcontext()


def log_problem(event: Event) -> None:
    """Log the event of a retry at level WARNING, and that of a failure at level ERROR."""
    level = _LEVELS.get(event.event_type)
    if level is not None:
        _LOG.log(level, "%s: attempt %d: %s", _subject(event), event.attempt, event.message)


def _subject(event: Event) -> str:
    return f"{event.asset_key} [{event.partition_key}]" if event.partition_key else str(event.asset_key)


def _outcome(event: Event) -> str:
    if event.event_type == OBSERVATION:
        parts = ["observed"]
    else:
        parts = ["materialized" if event.handler is None else f"stored with {event.handler}"]
    for name, value in event.typed_metadata.items():
        if name.rpartition("/")[2] == "size_bytes":
            parts.append(counted(value.raw_value(), "byte"))
            break
    if event.duration_ns is not None:
        parts.append(f"{event.duration_ns / 1e9:.3f} s")
    return ", ".join(parts)
