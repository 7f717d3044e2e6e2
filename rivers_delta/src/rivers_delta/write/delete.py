"""Delete: partitions in one commit, or a whole table."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from arro3.core import RecordBatchReader

from rivers_core import PartitionContext
from rivers_core.exceptions import RiversError
from rivers_delta.compat import write_deltalake
from rivers_delta.errors import subject_of
from rivers_delta.log.location import DISCARDED
from rivers_delta.log.partition_markers import deletion_markers, is_unfinished, unmarked_keys
from rivers_delta.log.protocol import refuse_unwritable
from rivers_delta.log.table import CREATION, LOG, open_table
from rivers_delta.partitions.filters import partition_predicate
from rivers_delta.read.data_files import check_rewrite
from rivers_delta.read.load import absent_partitions
from rivers_delta.write.commit import commit_info, commit_properties, writer_properties
from rivers_delta.write.retry import commit_with_retries

if TYPE_CHECKING:
    from rivers_core import InputContext
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table

_THREADS: Final = 16


def delete(settings: TableSettings, context: InputContext) -> None:
    """Delete a table or some of its partitions; deleting what was never stored does nothing.

    Args:
        settings: The table.
        context: Asset and partition.

    Raises:
        ConflictError: Other writers kept committing first.
        RiversError: Files of the table cannot be removed.
    """
    if context.partition is None and not settings.is_local:
        _delete_objects(settings)
        return
    if (
        context.partition is None
        and os.path.islink(settings.address)
        and _delete_behind_link(settings, context)
    ):
        return
    table = open_table(settings)
    if table is None or (context.partition is not None and is_unfinished(table)):
        return
    if context.partition is None:
        _delete_table(settings, context)
        return
    absent = set(absent_partitions(settings, context, table))
    stored = [key for key in context.partition.keys if key not in absent]
    if stored:
        partition = PartitionContext(stored, context.partition.definition)
        attempt = partial(_attempt, settings, context, partition)
        commit_with_retries("delete", context, settings, attempt, table=table)


def _attempt(
    settings: TableSettings,
    context: InputContext,
    partition: PartitionContext,
    table: Table | None,
    number: int,
) -> None:
    """Delete the rows of partitions, and mark the partitions as deleted."""
    del number
    expr = settings.options.partition_expr
    if table is None or expr is None:
        return
    refuse_unwritable(table, subject_of(context))
    if not {*expr.columns} <= {*table.metadata().partition_columns}:
        check_rewrite(table, subject_of(context))
    columns, based_on = table.columns(), table.version()
    predicate = partition_predicate(context.asset_name, partition, expr, columns)
    markers = deletion_markers(context.asset_name, partition)
    info = {**commit_info(context), "rivers.partition": ",".join(map(str, partition.keys))}
    commit = commit_properties(settings, info, markers)
    writer = writer_properties(settings, columns)
    table.delete(predicate.sql(), writer_properties=writer, commit_properties=commit)
    is_marked = len(unmarked_keys(table, context.asset_name, partition)) < len(markers)
    if table.version() == based_on and is_marked:
        # There were no rows, and deltalake makes no commit without a change.
        nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
        write_deltalake(table, nothing, mode="append", commit_properties=commit)


def _delete_table(settings: TableSettings, context: InputContext) -> None:
    """Delete a local table: move it away first, so that it disappears at once, then remove its files."""
    subject, address = subject_of(context), settings.address
    discarded = _discard(address)
    if discarded is None:
        return
    try:
        shutil.rmtree(discarded)
    except FileNotFoundError:
        pass  # another deletion removes these files too
    except OSError as error:
        raise RiversError(
            f"Deleted {subject}, but could not remove all of its files: {error}. Remove {discarded!r} yourself."
        ) from error
    # Including the remains of deletions that were killed.
    shutil.rmtree(os.path.dirname(discarded), ignore_errors=True)


def _delete_behind_link(settings: TableSettings, context: InputContext) -> bool:
    """Delete the files of a local table whose folder is a link; link and folder stay for the next table.

    The folder may be a mount point, which cannot be moved away. The last commit is removed last: a deletion that is
    interrupted leaves a table that cannot be read, and the next deletion removes the rest.

    Returns:
        Whether there was a table; nothing is removed from any other folder.

    Raises:
        RiversError: Files cannot be removed.
    """
    address = settings.address
    # links to folders below are not followed
    files = [os.path.join(parent, name) for parent, _, names in os.walk(address) for name in names]
    log = os.path.join(address, LOG, "")
    if not any(file.startswith(log) for file in files):
        return False

    def position(file: str) -> tuple[bool, bool, str]:
        name = file.removeprefix(log)
        return file.startswith(log), name.endswith(".json") and name[:1].isdigit(), name

    try:
        for file in sorted(files, key=position):
            with suppress(FileNotFoundError):
                os.unlink(file)
    except OSError as error:
        raise RiversError(
            f"Could not delete {subject_of(context)}, table {address!r}: {error}. Delete it again when its files "
            "can be removed."
        ) from error
    for parent, folders, _ in os.walk(address, topdown=False):
        for name in folders:
            with suppress(OSError):
                os.rmdir(os.path.join(parent, name))
    return True


def _delete_objects(settings: TableSettings) -> None:
    """Delete all objects of a table in an object store, the oldest commits first.

    A deletion that is interrupted leaves a table that cannot be opened, never an older version of it; the next deletion
    removes the rest, because it does not open the table.
    """
    from pyarrow import fs

    from rivers_delta.log.remote_files import refuse_absent, remote_files

    store = remote_files(settings.address, settings.storage_options)
    entries = store.get_file_info(fs.FileSelector("", recursive=True, allow_not_found=True))
    paths = [entry.path for entry in entries if entry.type == fs.FileType.File]
    if not paths:
        refuse_absent(settings.address, settings.storage_options)
    log = sorted(path for path in paths if path.startswith(LOG) and path != CREATION)
    commits = [path for path in log if path.endswith(".json") and path[len(LOG)].isdigit()]
    for path in [path for path in log if path not in commits] + commits:
        store.delete_file(path)
    with ThreadPoolExecutor(_THREADS) as pool:
        deque(pool.map(store.delete_file, [path for path in paths if not path.startswith(LOG)]), maxlen=0)
    if CREATION in paths:
        store.delete_file(CREATION)


def _discard(address: str) -> str | None:
    """Move a table away from its location: a kill before leaves all of it, a kill after leaves none.

    Returns:
        The new location; None if another deletion came first.
    """
    folder = os.path.join(os.path.dirname(address), DISCARDED)
    target = os.path.join(folder, uuid.uuid4().hex)
    while os.path.isdir(address):
        os.makedirs(folder, exist_ok=True)
        try:
            os.rename(address, target)
        except FileNotFoundError:
            continue  # another deletion has just removed the folder
        return target
    return None
