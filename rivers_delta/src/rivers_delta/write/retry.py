"""Two writers at once: try again on what the other left, for a while, then say who it was."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from deltalake.exceptions import CommitFailedError

from rivers_core.exceptions import ConflictError
from rivers_delta.errors import redact_library_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_delta.config.properties import HandlerConfig
    from rivers_delta.log.table import Table

_Result = TypeVar("_Result")


def is_conflict(error: BaseException) -> bool:
    """Whether somebody else's commit came first, so that a new attempt may succeed.

    Args:
        error: What deltalake raised.
    """
    said = str(error)
    if isinstance(error, CommitFailedError):
        return "append-only" not in said
    return "A table already exists at" in said


def removed_twice(table: Table, based_on: int) -> bool:
    """Whether a commit removed files that another one, between it and what it was based on, had removed already.

    deltalake lets a commit pass over a compaction that came first: what is in the compacted files then stays beside
    what the commit wrote in their place.

    Args:
        table: At the version of the commit.
        based_on: The version that the commit was based on.
    """
    if table.version() <= based_on + 1:
        return False
    ours = _removed(table, table.version())
    return any(ours & _removed(table, version) for version in range(based_on + 1, table.version()))


def _removed(table: Table, version: int) -> set[str]:
    return {action["remove"]["path"] for action in table.read_commit(version) if "remove" in action}


def retried(
    attempt: Callable[[int], _Result],
    config: HandlerConfig,
    *,
    may_repeat: bool,
    give_up: Callable[[int, BaseException], ConflictError],
) -> _Result:
    """Run a write until it is not overtaken by another commit.

    Args:
        attempt: The write, from the opening of the table on; gets the number of the attempt.
        config: How often and how long.
        may_repeat: Whether the value can be read again.
        give_up: Makes the final error from the number of attempts and the last error.

    Raises:
        ConflictError: Every attempt was overtaken, or the value can be read only once.
    """
    last = config.max_attempts if may_repeat else 1
    for number in range(1, last + 1):
        try:
            return attempt(number)
        except Exception as error:
            if not is_conflict(error):
                raise
            if number == last:
                raise give_up(number, error) from None
        delay = min(config.longest_delay_s, config.first_delay_s * 2 ** (number - 1))
        time.sleep(delay * random.uniform(0.5, 1.0))
    raise AssertionError("unreachable: the last attempt returns or raises")


def describe_commits(before: int | None, table: Table | None) -> str:
    """The commits since a version, as a reader would name them: version, operation, who, when.

    Args:
        before: The version that the write was based on; None if there was no table.
        table: The table as it is now.
    """
    if table is None:
        return "a commit that is no longer there"
    since = -1 if before is None else before
    newer = max(1, min(3, table.version() - since))
    return "; ".join(_describe(commit) for commit in table.history(newer))


def _describe(commit: dict[str, Any]) -> str:
    who = [f"{word} {commit[key]!r}" for word, key in (("of asset", "rivers.asset"), ("in run", "rivers.run_id"))
           if commit.get(key)]  # fmt: skip
    moment = datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, tz=UTC)
    engine = "" if who else f" by {commit.get('engineInfo', 'another writer')}"
    told = " ".join([f"version {commit['version']} ({commit.get('operation', 'unknown operation')})", *who])
    return f"{told}{engine} at {moment:%Y-%m-%d %H:%M:%S} UTC"


def final_conflict(
    subject: str, address: str, attempts: int, others: str, error: BaseException, *, may_repeat: bool
) -> ConflictError:
    """The error for a write that was overtaken for good.

    Args:
        subject: The asset and partition.
        address: The table.
        attempts: How often it was tried.
        others: The other commits.
        error: What deltalake said last.
        may_repeat: Whether the value could have been read again.
    """
    tried = (
        f"after {attempts} attempts"
        if may_repeat
        else "at once, for its value is a stream that is read only once"
    )
    advice = (
        "Run it again when the other writer is done, or raise handler_config.max_attempts."
        if may_repeat
        else "Run the step again, or return a table or a LazyFrame, which can be written again."
    )
    return ConflictError(
        f"Writing {subject} to {address!r} gave way to another commit and gave up {tried}: {others}. Nothing of it was "
        f"stored. deltalake says: {redact_library_text(str(error)).rstrip('.')}. {advice}"
    )
