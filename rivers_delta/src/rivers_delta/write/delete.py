"""Deleting: a partition in one commit, or a whole table."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING

from arro3.core import RecordBatchReader
from deltalake import write_deltalake

from rivers_core import InputContext, PartitionContext
from rivers_core.exceptions import ConflictError, NotMaterializedError, RiversError
from rivers_delta.config.options import read_options
from rivers_delta.config.properties import Mark, build_commit_properties, build_writer_properties
from rivers_delta.errors import named, redact_library_text
from rivers_delta.log.location import DISCARDED, is_local, shown
from rivers_delta.log.partition_markers import DELETED, unmarked_keys
from rivers_delta.log.table import open_table
from rivers_delta.partitions.filters import partition_predicate, presence_id
from rivers_delta.read.load import find
from rivers_delta.read.scan import all_columns
from rivers_delta.write.retry import describe_commits, retried

if TYPE_CHECKING:
    from rivers_delta.handler import DeltaIOHandler
    from rivers_delta.log.table import Table


def delete(handler: DeltaIOHandler, context: InputContext) -> None:
    """Delete the partitions of a context, or the whole table; what was never stored is skipped.

    Args:
        handler: Where tables lie.
        context: Which asset and partition.

    Raises:
        ConflictError: Others kept committing first.
        RiversError: It is a whole table in an object store.
    """
    partition = context.partition
    try:
        find(handler, context)
    except NotMaterializedError:
        partition = _stored_part(handler, context)
        if partition is None:
            return
    if partition is None:
        _delete_table(context, handler.address(context.asset_name, context.asset_metadata))
        return
    deletion = _PartitionDeletion(handler, context, partition)
    retried(deletion.attempt, handler.handler_config, may_repeat=True, give_up=deletion.give_up)


def _stored_part(handler: DeltaIOHandler, context: InputContext) -> PartitionContext | None:
    """Return those of several partitions that are stored; None if there are none."""
    partition = context.partition
    if partition is None or partition.is_single:
        return None
    definition = partition.definition
    single = (PartitionContext([key], definition) for key in partition.keys)
    stored = [
        part.key
        for part in single
        if handler.exists(
            InputContext(context.asset_name, context.downstream_asset, context.asset_metadata, part)
        )
    ]
    return PartitionContext(stored, definition) if stored else None


class _PartitionDeletion:
    """The deletion of partitions, through all its attempts."""

    def __init__(self, handler: DeltaIOHandler, context: InputContext, partition: PartitionContext) -> None:
        self._handler = handler
        self._context = context
        self._partition = partition
        self._address = handler.address(context.asset_name, context.asset_metadata)
        self._based_on: int | None = None

    def attempt(self, number: int) -> None:
        """Delete the rows that are there now, and say that the partitions are not there any more.

        Args:
            number: Of the attempt; what another deleted meanwhile is deleted.
        """
        del number
        table = self._open()
        if table is None:
            return
        self._based_on = table.version()
        name, partition = self._context.asset_name, self._partition
        expr = read_options(name, self._context.asset_metadata).partition_expr
        assert expr is not None
        columns = all_columns(table)
        predicate = partition_predicate(name, partition, expr, columns)
        marks = [Mark(presence_id(name, key), DELETED) for key in partition.keys]
        commit = build_commit_properties(self._handler.commit_properties, self._facts(), marks)
        writer = build_writer_properties(
            self._handler.writer_properties, (column.stored for column in columns)
        )
        table.delete(predicate.sql(), writer_properties=writer, commit_properties=commit)
        if table.version() == self._based_on and len(unmarked_keys(table, name, partition)) < len(marks):
            # there were no rows, for which deltalake makes no commit
            nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
            write_deltalake(table, nothing, mode="append", commit_properties=commit)

    def give_up(self, attempts: int, error: BaseException) -> ConflictError:
        """The final error, which names who was first.

        Args:
            attempts: How often it was tried.
            error: What deltalake said last.
        """
        others = describe_commits(self._based_on, self._open())
        said = redact_library_text(str(error), self._handler.secrets()).rstrip(".")
        return ConflictError(
            f"Deleting {named(self._context)} from {shown(self._address)!r} gave way to another commit and gave up "
            f"after {attempts} attempts: {others}. Nothing of it was deleted. deltalake says: {said}. "
            "Run it again when the other writer is done, or raise handler_config.max_attempts."
        )

    def _open(self) -> Table | None:
        return open_table(self._address, self._handler.plain_storage_options())

    def _facts(self) -> dict[str, str]:
        facts = {
            "rivers.asset": self._context.asset_name,
            "rivers.partition": ",".join(map(str, self._partition.keys)),
        }
        return facts if self._context.run_id is None else facts | {"rivers.run_id": self._context.run_id}


def _delete_table(context: InputContext, address: str) -> None:
    """Delete a table of this machine: it is gone at once, its files follow."""
    if not is_local(address):
        raise RiversError(
            f"{named(context)}: deltalake cannot remove a whole table from an object store; delete the folder "
            f"{shown(address)!r} with the store's own tool. Nothing was deleted."
        )
    if os.path.islink(address):
        raise RiversError(
            f"{named(context)}: {address!r} is a link to a table elsewhere; delete both by hand. Nothing was deleted."
        )
    discarded = _set_aside(address)
    if discarded is None:
        return
    try:
        shutil.rmtree(discarded)
    except FileNotFoundError:
        pass  # another deletion is tidying up
    except OSError as error:
        raise RiversError(
            f"{named(context)} is deleted, but not all of its files could be removed: {error}. "
            f"Remove the rest by hand; it lies in {discarded!r}."
        ) from error
    # with what deletions that were killed have left
    shutil.rmtree(os.path.dirname(discarded), ignore_errors=True)


def _set_aside(address: str) -> str | None:
    """Move a table to where nobody looks for one: a kill before leaves it whole, a kill after leaves none.

    Returns:
        Where it lies now; None if another deletion came first.
    """
    folder = os.path.join(os.path.dirname(address), DISCARDED)
    target = os.path.join(folder, uuid.uuid4().hex)
    while os.path.isdir(address):
        os.makedirs(folder, exist_ok=True)
        try:
            os.rename(address, target)
        except FileNotFoundError:
            continue  # another deletion has just tidied up
        return target
    return None
