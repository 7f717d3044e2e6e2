"""The commits of a write: an existing table written to or merged into, or a new one made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from arro3.core import RecordBatchReader
from deltalake import PostCommitHookProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from rivers_core.exceptions import ConflictError
from rivers_delta.config.properties import Mark, build_commit_properties, build_writer_properties
from rivers_delta.log.location import neighbour_in_the_way
from rivers_delta.log.partition_markers import UNFINISHED, is_unfinished, unmarked_keys
from rivers_delta.log.table import open_table
from rivers_delta.log.transactions import marks_for
from rivers_delta.partitions.filters import folder_columns
from rivers_delta.write.merge import add_operations, described, merge_predicate
from rivers_delta.write.retry import removed_twice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arro3.core.types import ArrowStreamExportable

    from rivers_core import Schema
    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.log.table import Table
    from rivers_delta.log.totals import Written
    from rivers_delta.write.prepared_write import Incoming, WriteRequest

_COMMITS_PER_CLEANUP: Final = 100
_PATIENCE: Final = 3


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


class Committer:
    """Makes the commit of one attempt.

    Args:
        request: What, where and how.
        subject: The asset and partition, for messages.
        app_id: What identifies the write.
    """

    def __init__(self, request: WriteRequest, subject: str, app_id: str) -> None:
        self._request = request
        self._context = request.context
        self._subject = subject
        self._app_id = app_id
        self._columns: list[ArrowField] = []
        self._next_version = 0

    def commit(self, table: Table | None, stream: Incoming, number: int = 1) -> Outcome:
        """Put rows into a table.

        Args:
            table: As it is now; None if it has to be made.
            stream: The rows.
            number: Of the attempt.
        """
        request = self._request
        self._columns = [column.stored for column in (*stream.columns, *stream.encoding.columns)]
        self._next_version = 0 if table is None else table.version() + 1
        if table is None:
            return self._create(stream)
        if request.mode == "merge":
            return self._merge(table, stream)
        if request.mode == "create_or_replace" or (request.mode == "overwrite" and stream.belonging is None):
            self._replace(table, stream, number)
        elif request.mode == "overwrite":
            assert stream.belonging is not None
            self._put(table, stream, mode="overwrite", predicate=stream.belonging.sql())
        else:
            self._put(table, stream, mode="append")
        return Outcome(table, schema=stream.encoding.schema())

    def _put(self, table: Table, stream: Incoming, retries: int | None = None, **arguments: Any) -> None:
        schema_mode = stream.schema_mode
        if arguments["mode"] == "append" and schema_mode == "overwrite":
            schema_mode = None
        marks = marks_for(self._request, table, self._app_id)
        self._write(table, stream.rows.open(), marks, retries, **{"schema_mode": schema_mode, **arguments})

    def _replace(self, table: Table, stream: Incoming, number: int) -> None:
        """Replace all rows, starting again if there was another commit in between.

        deltalake itself would go on from there, also from a compaction, whose rows would then stay beside the new. To
        get through between many appends it may after a few attempts; what came first is then looked at.
        """
        before, request = table.version(), self._request
        arguments: dict[str, Any] = {"schema_mode": stream.schema_mode}
        if request.mode == "create_or_replace":
            properties = dict(request.configuration)
            arguments = {"schema_mode": "overwrite", "partition_by": [], "configuration": properties}
        keeps_schema = arguments["schema_mode"] != "overwrite"
        is_pressed = keeps_schema and _PATIENCE < number < request.config.max_attempts
        self._put(table, stream, None if is_pressed else 0, mode="overwrite", **arguments)
        if is_pressed and removed_twice(table, before):
            raise CommitFailedError("a compaction came first")

    def _create(self, stream: Incoming) -> Outcome:
        """Make the table with the value in it; a merge that does more than insert gets an empty one first."""
        merge = self._request.merge if self._request.mode == "merge" else None
        if merge is None or merge.inserts_everything:
            self._make(stream, stream.rows.open(), marks_for(self._request, None, self._app_id))
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
            commit_properties=self._properties(transactions, retries),
            post_commithook_properties=self._hooks(),
            target_file_size=request.config.target_file_size,
            **arguments,
        )

    def _hooks(self) -> PostCommitHookProperties:
        """Checkpoints as the table says; expired log files are looked for now and then.

        deltalake looks for them after every commit, and for that reads the age of each file of the log.
        """
        is_due = self._next_version and self._next_version % _COMMITS_PER_CLEANUP == 0
        return PostCommitHookProperties(
            create_checkpoint=True, cleanup_expired_logs=None if is_due else False
        )

    def _properties(self, transactions: list[Mark], retries: int | None = None) -> Any:
        context = self._context
        facts = {"rivers.asset": context.asset_name, "rivers.type": self._request.type_name}
        if context.run_id is not None:
            facts["rivers.run_id"] = context.run_id
        if context.partition is not None:
            facts["rivers.partition"] = ",".join(str(key) for key in context.partition.keys)
        return build_commit_properties(self._request.commit_properties, facts, transactions, retries)

    def _mark_unchanged(self, table: Table) -> None:
        """Say that what a merge left as it was is there: without a change, deltalake makes no commit."""
        partition = self._context.partition
        is_marked = partition is None or not unmarked_keys(table, self._context.asset_name, partition)
        if is_marked and not is_unfinished(table):
            return
        nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
        self._write(table, nothing, marks_for(self._request, table, self._app_id), mode="append")

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
            commit_properties=self._properties(marks_for(self._request, table, self._app_id)),
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
