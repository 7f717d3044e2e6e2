"""Retry of writes that lost a race: when to try again, how long to wait, and who committed first."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from deltalake.exceptions import CommitFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_delta.config.properties import HandlerConfig
    from rivers_delta.log.table import Table

LOST_TO_COMPACTION: Final = "a compaction came first"
"""Message of a `CommitFailedError` for a commit that deltalake accepted although files were compacted."""

_CONFLICT: Final = re.compile(
    "a concurrent transactions? |Concurrent transaction failed|Metadata changed since last commit"
    "|Protocol changed since last commit|Tried committing existing table version"
    rf"|Failed to commit transaction: \d+\b|{LOST_TO_COMPACTION}"
)
_EXISTS: Final = re.compile("A table already exists at")


def attempts(config: HandlerConfig, *, is_replayable: bool = True) -> Iterator[int]:
    """Yield the numbers of attempts, waiting before each but the first.

    Args:
        config: How many, and how long to wait; delays double, with jitter.
        is_replayable: Whether the value can be read again; if not, there is one attempt.
    """
    yield 1
    for number in range(2, config.max_attempts + 1 if is_replayable else 1):
        delay = min(config.longest_delay_s, config.first_delay_s * 2 ** (number - 2))
        time.sleep(delay * random.uniform(0.5, 1.0))
        yield number


def is_conflict(error: BaseException) -> bool:
    """Return whether another commit came first, so that a new attempt may succeed.

    Args:
        error: The error of deltalake.
    """
    pattern = _CONFLICT if isinstance(error, CommitFailedError) else _EXISTS
    return pattern.search(str(error)) is not None


def has_removed_twice(table: Table, based_on: int) -> bool:
    """Return whether the latest commit removed files that a concurrent commit had removed before.

    deltalake (up to 1.6) lets a commit succeed after a compaction: rows of compacted files then stay next to the rows
    that were to replace them.

    Args:
        table: The table at the version of the commit.
        based_on: The version that the commit was based on.
    """
    if table.version() <= based_on + 1:
        return False
    ours = _removed_files(table, table.version())
    return any(ours & _removed_files(table, version) for version in range(based_on + 1, table.version()))


def describe_commits(based_on: int | None, table: Table | None) -> str:
    """Return version, operation, author and time of the commits since a version.

    Args:
        based_on: The version that a write was based on; None if there was no table.
        table: The table at its latest version.
    """
    if table is None:
        return "a commit that no longer exists"
    newer = max(1, min(3, table.version() - (-1 if based_on is None else based_on)))
    return "; ".join(_describe(commit) for commit in table.history(newer))


def _removed_files(table: Table, version: int) -> set[str]:
    return {action["remove"]["path"] for action in table.read_commit(version) if "remove" in action}


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
