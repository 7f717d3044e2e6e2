"""Retry of commits that lost a race: attempts, delays, what counts as a conflict, and which commit came first."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from rivers_core.authoring import counted
from rivers_core.exceptions import ConflictError
from rivers_delta.compat import LOST_TO_COMPACTION, CommitFailedError
from rivers_delta.errors import redact_library_text, subject_of
from rivers_delta.log.table import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_core import InputContext, OutputContext
    from rivers_delta.config.properties import HandlerConfig
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table

Result = TypeVar("Result")

# Only known conflicts are retried: any other error fails at the first attempt.
_CONFLICT: Final = re.compile(
    "a concurrent transactions? |Concurrent transaction failed|Metadata changed since last commit"
    "|Protocol changed since last commit|Tried committing existing table version"
    rf"|Failed to commit transaction: \d+\b|{LOST_TO_COMPACTION}"
)
_EXISTS: Final = re.compile("A table already exists at")
_DONE: Final = {"write": "written", "delete": "deleted"}


def commit_with_retries(
    verb: Literal["write", "delete"],
    context: OutputContext | InputContext,
    settings: TableSettings,
    attempt: Callable[[Table | None, int], Result],
    *,
    table: Table | None = None,
    is_replayable: bool = True,
) -> Result:
    """Attempt a commit on the latest version of a table until no other commit comes first.

    Args:
        verb: Verb for messages.
        context: Asset and partition.
        settings: The table, and how often and with which delays to try.
        attempt: Called with the table (None if it does not exist) and the number of the attempt.
        table: The open table for the first attempt, if it is known to be the latest version.
        is_replayable: Whether the value can be read again; if not, there is one attempt.

    Raises:
        ConflictError: Other writers kept committing first.
    """
    for number in _attempts(settings.config, is_replayable=is_replayable):
        if table is None:
            table = open_table(settings)
        based_on = None if table is None else table.version()
        try:
            return attempt(table, number)
        except Exception as error:
            if not is_conflict(error):
                raise
            reason, table = redact_library_text(str(error), settings.storage_options).rstrip("."), None
    first = _describe_commits(based_on, open_table(settings))
    if is_replayable:
        tried = f"after {counted(number, 'attempt')}"
        advice = "Run it again when the other writer is done, or raise handler_config.max_attempts."
    else:
        tried = "not retried, because the value is a one-shot stream"
        advice = "Run the step again, or return a table or a LazyFrame, which can be read again."
    raise ConflictError(
        f"Could not {verb} {subject_of(context)}, table {settings.shown_address!r}; nothing was {_DONE[verb]}, "
        f"{tried}: another commit came first, {first}. deltalake reports: {reason}. {advice}"
    )


def is_conflict(error: BaseException) -> bool:
    """Return whether another commit came first, so that a new attempt may succeed."""
    pattern = _CONFLICT if isinstance(error, CommitFailedError) else _EXISTS
    return pattern.search(str(error)) is not None


def _attempts(config: HandlerConfig, *, is_replayable: bool) -> Iterator[int]:
    """Yield the numbers of attempts, waiting before each but the first; delays double, with jitter."""
    yield 1
    for number in range(2, config.max_attempts + 1 if is_replayable else 1):
        delay = min(config.longest_delay_s, config.first_delay_s * 2 ** (number - 2))
        time.sleep(delay * random.uniform(0.5, 1.0))
        yield number


def _describe_commits(based_on: int | None, table: Table | None) -> str:
    """Return version, operation, author and time of the commits since a version, at most three."""
    if table is None:
        return "a commit that no longer exists"
    newer = max(1, min(3, table.version() - (-1 if based_on is None else based_on)))
    return "; ".join(_describe(commit) for commit in table.history(newer))


def _describe(commit: dict[str, Any]) -> str:
    author = [
        f"{word} {commit[key]!r}"
        for word, key in (("of asset", "rivers.asset"), ("in run", "rivers.run_id"))
        if commit.get(key)
    ]
    if not author:
        author = [f"by {commit.get('engineInfo', 'another writer')}"]
    moment = datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, tz=UTC)
    version = f"version {commit['version']} ({commit.get('operation', 'unknown operation')})"
    return f"{version} {' '.join(author)} at {moment:%Y-%m-%d %H:%M:%S} UTC"
