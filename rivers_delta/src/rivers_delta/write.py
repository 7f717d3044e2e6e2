"""Writing: one value, one commit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from arro3.core import RecordBatchReader
from deltalake import PostCommitHookProperties, write_deltalake

from rivers_core.exceptions import ConflictError, PartitionValidationError
from rivers_core.partitions import PartitionContext
from rivers_delta import once
from rivers_delta.conflicts import describe_commits, final_conflict, is_conflict, retried
from rivers_delta.errors import named
from rivers_delta.incoming import Incoming
from rivers_delta.location import neighbour_in_the_way, shown
from rivers_delta.merging import add_operations, described, inserted, merge_predicate
from rivers_delta.partitions import folder_columns, presence_id
from rivers_delta.presence import (
    DELETED,
    PARTITIONED,
    UNFINISHED,
    WRITTEN,
    absent_keys,
    is_marked_partitioned,
    is_unfinished,
    partition_columns,
    unmarked_keys,
)
from rivers_delta.read import all_columns
from rivers_delta.settings import Mark, build_commit_properties, build_writer_properties
from rivers_delta.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arro3.core.types import ArrowStreamExportable

    from rivers_core.contexts import OutputContext
    from rivers_core.metadata import Schema
    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.incoming import WriteRequest
    from rivers_delta.tables import Table
    from rivers_delta.totals import Written

_COMMITS_PER_CLEANUP: Final = 100
_IDENTIFIED_MODES: Final = frozenset(["append", "error", "ignore", "merge"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a write.

    Args:
        table: The table after it.
        is_written: Whether there was a commit.
        is_repeated: Whether the commit was there already, from an attempt that was not acknowledged.
        schema: The columns of the value; None if it was not looked at.
        facts: Statistics of a merge.
        written: Rows and bytes of the commit, and of the table after it; None if there was no commit.
    """

    table: Table
    is_written: bool = True
    is_repeated: bool = False
    schema: Schema | None = None
    facts: Mapping[str, int] = field(default_factory=dict)
    written: Written | None = None


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
        self.app_id = _transaction_id(request.context)
        self._based_on: int | None = None
        self._wanted: PartitionContext | None = None
        self._columns: list[ArrowField] = []
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
        self._take()
        stream = Incoming(request, self._subject, table, self._wanted)
        self._columns = [column.stored for column in (*stream.columns, *stream.encoding.columns)]
        try:
            return self._commit(table, stream)
        except BaseException as error:
            stream.rows.close()
            if stream.rows.failure is not None and not is_conflict(error):
                raise stream.rows.failure from None
            raise

    def _take(self) -> None:
        """Refuse the rest of a stream that was read before; from here on, the value counts as such a one."""
        value, adapter = self._request.value, self._request.adapter
        if not adapter.is_replayable(value):
            once.refuse_if_spent(self._subject, value, adapter)
            once.remember(value, None)

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
        if self._request.mode not in _IDENTIFIED_MODES:
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
        there = [key for key in partition.keys if key not in absent]
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

    def _commit(self, table: Table | None, stream: Incoming) -> Outcome:
        request = self._request
        if table is None:
            return self._create(stream)
        if request.mode == "merge":
            return self._merge(table, stream)
        arguments: dict[str, Any] = {"mode": "append", "schema_mode": request.schema_mode}
        retries = None
        if request.mode == "create_or_replace":
            arguments = {"mode": "overwrite", "schema_mode": "overwrite", "partition_by": [],
                         "configuration": dict(request.configuration)}  # fmt: skip
        elif request.mode == "overwrite":
            predicate = None if stream.belonging is None else stream.belonging.sql()
            arguments = {"mode": "overwrite", "schema_mode": stream.schema_mode, "predicate": predicate}
        elif stream.schema_mode == "overwrite":
            arguments["schema_mode"] = None
        if arguments["mode"] == "overwrite" and arguments.get("predicate") is None:
            # deltalake would commit on top of a compaction that came first, and its rows would stay beside the new.
            retries = 0
        self._write(table, stream.rows.open(), self._transactions(table), retries, **arguments)
        return Outcome(table, schema=stream.encoding.schema())

    def _create(self, stream: Incoming) -> Outcome:
        """Make the table with the value in it; a merge that does more than insert gets an empty one first."""
        merge = self._request.merge if self._request.mode == "merge" else None
        if merge is None or merge.inserts_everything:
            self._make(stream, stream.rows.open(), self._transactions(None))
            return Outcome(self._made(), schema=stream.encoding.schema())
        self._make(stream, stream.rows.empty(), [Mark(UNFINISHED, 1)])
        return self._merge(self._made(), stream)

    def _make(self, stream: Incoming, rows: ArrowStreamExportable, transactions: list[Mark]) -> None:
        """Make the table; of several writers that try at once, one gets through and the others see a conflict."""
        request, partition = self._request, self._context.partition
        other = neighbour_in_the_way(request.address, request.storage_options)
        if other is not None:
            raise ConflictError(
                f"{self._subject} would be a table at {request.address!r}, and {other!r} is one already: a table "
                "inside of another takes part in its vacuuming. Nothing was stored. Give one of them another table_uri."
            )
        folders: list[str] = []
        if partition is not None and request.partition_expr is not None:
            columns = stream.encoding.columns
            folders = folder_columns(partition, request.partition_expr, columns, request.root)
        self._write(
            request.address,
            rows,
            transactions,
            retries=0,
            mode="error",
            partition_by=folders or None,
            configuration=dict(request.configuration),
            storage_options=dict(request.storage_options) if request.storage_options else None,
        )

    def _made(self) -> Table:
        """The table as this write made it, also if somebody has gone on from there."""
        table = open_table(self._request.address, self._request.storage_options, version=0)
        assert table is not None
        return table

    def _write(
        self,
        target: Table | str,
        rows: ArrowStreamExportable,
        transactions: list[Mark],
        retries: int | None = None,
        **arguments: Any,
    ) -> None:
        request = self._request
        write_deltalake(
            target,
            rows,
            writer_properties=build_writer_properties(request.writer_properties, self._columns),  # type: ignore[arg-type]
            commit_properties=self._commit_properties(transactions, retries),
            post_commithook_properties=self._hooks(),
            target_file_size=request.config.target_file_size,
            **arguments,
        )

    def _hooks(self) -> PostCommitHookProperties:
        """Checkpoints as the table says; expired log files are looked for now and then.

        deltalake looks for them after every commit, and for that reads the age of each file of the log.
        """
        next_version = 0 if self._based_on is None else self._based_on + 1
        return PostCommitHookProperties(
            create_checkpoint=True,
            cleanup_expired_logs=None if next_version and next_version % _COMMITS_PER_CLEANUP == 0 else False,
        )

    def _commit_properties(self, transactions: list[Mark], retries: int | None = None) -> Any:
        context = self._context
        facts = {"rivers.asset": context.asset_name, "rivers.type": self._request.type_name}
        if context.run_id is not None:
            facts["rivers.run_id"] = context.run_id
        if context.partition is not None:
            facts["rivers.partition"] = ",".join(str(key) for key in context.partition.keys)
        return build_commit_properties(self._request.commit_properties, facts, transactions, retries)

    def _transactions(self, table: Table | None) -> list[Mark]:
        """What identifies this write, and what says that its partitions are there from now on."""
        marks: list[Mark] = []
        if self._request.mode in _IDENTIFIED_MODES:
            marks.append(Mark(self.app_id, 1, expires=True))
        partition, name = self._context.partition, self._context.asset_name
        if partition is None:
            if (
                self._request.mode == "create_or_replace"
                and table is not None
                and is_marked_partitioned(table)
            ):
                marks.append(Mark(PARTITIONED, DELETED))
            return marks
        if table is not None and not partition_columns(table) and not is_marked_partitioned(table):
            marks.append(Mark(PARTITIONED, WRITTEN))
        # Two appends that both carry a mark conflict; overwrites of one partition do so anyway.
        fresh = table is None or self._request.mode == "overwrite"
        keys = partition.keys if fresh or table is None else unmarked_keys(table, name, partition)
        return marks + [Mark(presence_id(name, key), WRITTEN) for key in keys]

    def _mark_unchanged(self, table: Table) -> None:
        """Say that what a merge left as it was is there: without a change, deltalake makes no commit."""
        partition = self._context.partition
        is_marked = partition is None or not unmarked_keys(table, self._context.asset_name, partition)
        if is_marked and not is_unfinished(table):
            return
        nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
        self._write(table, nothing, self._transactions(table), mode="append")

    def _merge(self, table: Table, stream: Incoming) -> Outcome:
        request = self._request
        merge = request.merge
        assert merge is not None
        assert merge.predicate is not None
        before = table.version()
        merger = table.merge(
            stream.rows.open(),
            predicate=merge_predicate(merge.predicate, merge.target_alias, stream.belonging),
            source_alias=merge.source_alias,
            target_alias=merge.target_alias,
            merge_schema=request.schema_mode == "merge",
            error_on_type_mismatch=merge.error_on_type_mismatch,
            writer_properties=build_writer_properties(request.writer_properties, self._columns),
            commit_properties=self._commit_properties(self._transactions(table)),
            post_commithook_properties=self._hooks(),
        )
        columns = [column.name for column in stream.encoding.columns]
        there = [column.name for column in stream.columns]
        target = (
            [*there, *(name for name in columns if name not in there)]
            if request.schema_mode == "merge"
            else there
        )
        metrics = add_operations(merger, merge, columns, target, stream.belonging).execute()
        if table.version() == before:
            self._mark_unchanged(table)
        return Outcome(table, schema=stream.encoding.schema(), facts=described(metrics))


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


def _transaction_id(context: OutputContext) -> str:
    """What identifies a write: run, step and partition; without a run, the call itself."""
    if context.run_id is None:
        return f"rivers/call/{uuid.uuid4()}"
    keys = "" if context.partition is None else "\n".join(str(key) for key in context.partition.keys)
    parts = blake2b(f"{context.step_name}\n{keys}".encode(), digest_size=12).hexdigest()
    return f"rivers/run/{context.run_id}/{parts}"
