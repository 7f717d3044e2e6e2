"""Log records of a step, as the event log keeps them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rivers.execution.run import key_text
from rivers.storage.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import Step
    from rivers_core.partitions import PartitionKey

_formatter: Final = logging.Formatter()


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
