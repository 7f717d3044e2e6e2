"""Writing: one value, one commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rivers_core import PartitionContext
from rivers_core.exceptions import ConflictError, PartitionValidationError
from rivers_delta.errors import named
from rivers_delta.log.location import shown
from rivers_delta.log.partition_markers import absent_keys, is_unfinished
from rivers_delta.log.table import open_table
from rivers_delta.log.transactions import IDENTIFIED_MODES, transaction_id
from rivers_delta.read.scan import all_columns
from rivers_delta.write import one_shot as once
from rivers_delta.write.commit import Committer, Outcome
from rivers_delta.write.merge import inserted
from rivers_delta.write.prepared_write import Incoming
from rivers_delta.write.retry import describe_commits, final_conflict, is_conflict, retried

if TYPE_CHECKING:
    from rivers_delta.log.table import Table
    from rivers_delta.write.prepared_write import WriteRequest


def write(request: WriteRequest, opened: Table | None = None) -> Outcome:
    """Write a value in one commit.

    Args:
        request: What, where and how.
        opened: The table as it is now, if it is open already.

    Raises:
        AssetOutputValidationError: A column cannot be stored, or does not fit the table.
        PartitionValidationError: Rows belong elsewhere, or the partition and the table do not go together.
        ConflictError: Others kept committing, or what is there forbids the write.
    """
    writer = _Writer(request, opened)
    may_repeat = request.adapter.is_replayable(request.value)
    outcome = retried(writer.attempt, request.config, may_repeat=may_repeat, give_up=writer.give_up)
    if not outcome.is_written or outcome.is_repeated:
        return outcome
    written = request.ledger.record(outcome.table, writer.app_id)
    facts = outcome.facts or (inserted(written.rows) if request.mode == "merge" else {})
    if not may_repeat:
        once.remember(request.value, facts.get("delta/source_rows", written.rows))
    return replace(outcome, written=written, facts=facts)


class _Writer:
    """One write, through all its attempts."""

    def __init__(self, request: WriteRequest, opened: Table | None) -> None:
        self._request = request
        self._opened = opened
        self._context = request.context
        self._subject = named(request.context)
        self.app_id = transaction_id(request.context)
        self._committer = Committer(request, self._subject, self.app_id)
        self._based_on: int | None = None
        self._wanted: PartitionContext | None = None
        _check_shape(request)

    def attempt(self, number: int) -> Outcome:
        """Open the table as it is now, and write."""
        request = self._request
        table = self._opened or open_table(request.address, request.storage_options)
        self._opened = None
        self._based_on = None if table is None else table.version()
        if table is not None:
            if self._is_done(table, number):
                return Outcome(table, is_written=False, is_repeated=True)
            if request.mode in {"error", "ignore"}:
                there = self._there(table)
                if there is not None:
                    return self._not_touched(table, there)
        may_repeat = request.adapter.is_replayable(request.value)
        if not may_repeat:
            once.refuse_if_spent(self._subject, request.value, request.adapter)
        stream = Incoming(request, self._subject, table, self._wanted)
        if not may_repeat:
            once.remember(request.value, None)
        try:
            return self._committer.commit(table, stream, number)
        except BaseException as error:
            stream.rows.close()
            if stream.rows.failure is not None and not is_conflict(error):
                raise stream.rows.failure from None
            raise

    def give_up(self, attempts: int, error: BaseException) -> ConflictError:
        """The final error, which names who was first."""
        table = open_table(self._request.address, self._request.storage_options)
        others = describe_commits(self._based_on, table)
        may_repeat = self._request.adapter.is_replayable(self._request.value)
        return final_conflict(
            self._subject, shown(self._request.address), attempts, others, error, may_repeat=may_repeat
        )

    def _is_done(self, table: Table, number: int) -> bool:
        """Whether this very write was committed already; only asked where writing twice would matter."""
        if self._request.mode not in IDENTIFIED_MODES:
            return False
        if self._context.run_id is None and number == 1:
            return False
        return self._request.ledger.is_committed(table, self.app_id)

    def _there(self, table: Table) -> str | None:
        """What of this write is there already, as a sentence names it; None if nothing is."""
        partition, expr = self._context.partition, self._request.partition_expr
        if partition is None or expr is None:
            return None if is_unfinished(table) else self._subject
        absent = absent_keys(table, self._context.asset_name, partition, expr, all_columns(table))
        missing = set(absent)
        there = [key for key in partition.keys if key not in missing]
        if self._request.mode == "ignore" and absent:
            self._wanted = PartitionContext(absent, partition.definition)
            return None
        if len(there) == len(partition.keys):
            return self._subject
        shown_keys = ", ".join(repr(str(key)) for key in there[:3]) + (", ..." if len(there) > 3 else "")
        return f"{shown_keys} of {self._subject}" if there else None

    def _not_touched(self, table: Table, there: str) -> Outcome:
        if self._request.mode == "ignore":
            return Outcome(table, is_written=False)
        raise ConflictError(
            f"{there} is there already, in table {shown(self._request.address)!r} at version "
            f"{table.version()}, and 'delta/mode' is 'error'. Nothing was stored. Delete it, or use another mode."
        )


def _check_shape(request: WriteRequest) -> None:
    """Refuse what contradicts itself before anything is opened."""
    partition, expr = request.context.partition, request.partition_expr
    asset = request.context.asset_name
    if partition is not None and expr is None:
        raise PartitionValidationError(
            f"Asset {asset!r} has partitions, and nothing says in which column their keys are: each would replace the "
            "others. Give it metadata={'delta/partition_expr': <column>}, or {dimension: column} for several "
            "dimensions."
        )
    if partition is not None and request.mode == "create_or_replace":
        raise PartitionValidationError(
            f"{named(request.context)}: mode 'create_or_replace' would replace the table with this partition and "
            "drop all others. Use 'overwrite', which replaces the partition alone."
        )
    if partition is not None and request.schema_mode == "overwrite":
        raise PartitionValidationError(
            f"{named(request.context)}: schema_mode 'overwrite' would change the columns of all other partitions. Use "
            "'merge' to add columns."
        )
