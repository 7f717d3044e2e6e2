"""Partition markers: application transactions that record which writes and partitions a table has.

A marker records that a partition was written, even with no rows, and by which commit: its version is that of the
commit, plus one. It is part of the commit that writes the rows, survives checkpoints, and takes one entry per
partition. Markers of earlier releases have version 1, whichever commit wrote them.
"""

from __future__ import annotations

import json
import uuid
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rivers_core import PartitionContext, storage_key
from rivers_delta.partitions.filters import partition_predicate
from rivers_delta.partitions.predicates import OneOf
from rivers_delta.schema.encoding import PARTITION_HINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rivers_core import OutputContext, PartitionKey
    from rivers_delta.config.options import Mode
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column

IDENTIFIED_MODES: Final = frozenset(["append", "error", "ignore", "merge"])
"""Modes in which a write that is repeated by mistake would change the table."""

DIGESTS: Final = "rivers.digests"
"""Entry of a commit that records digests of data files and writes nothing."""

_PREFIX: Final = "rivers/partition/"
_UNFINISHED: Final = "rivers/unfinished"
_PARTITIONED: Final = "rivers/partitioned"
_DELETED: Final = 0
_MAINTENANCE: Final = frozenset(["OPTIMIZE", "VACUUM START", "VACUUM END"])
_MANY_KEYS: Final = 20


class AppTransaction(NamedTuple):
    """Application transaction of a commit.

    Args:
        app_id: Its identifier.
        version: Its version.
        expires: Whether the table may forget it after `delta.setTransactionRetentionDuration`.
    """

    app_id: str
    version: int
    expires: bool = False


UNFINISHED_TABLE: Final = AppTransaction(_UNFINISHED, 1)
"""Marks a table that was created empty for a merge whose rows follow in the next commit."""


def write_id(context: OutputContext) -> str:
    """Return the identifier of a write: run, step and partition; without a run, the call itself.

    Args:
        context: The context of the write.
    """
    if context.run_id is None:
        return f"rivers/call/{uuid.uuid4()}"
    keys = "" if context.partition is None else "\n".join(str(key) for key in context.partition.keys)
    digest = blake2b(f"{context.step_name}\n{keys}".encode(), digest_size=12).hexdigest()
    return f"rivers/run/{context.run_id}/{digest}"


def write_markers(
    context: OutputContext, mode: Mode, table: Table | None, app_id: str
) -> list[AppTransaction]:
    """Return the transactions that identify a write and mark its partitions as written.

    Args:
        context: The context of the write.
        mode: The mode of the write.
        table: The table; None if it is created.
        app_id: The identifier of the write.
    """
    partition = context.partition
    is_identified = mode in IDENTIFIED_MODES or context.expected_version is not None
    markers = [AppTransaction(app_id, 1, expires=True)] if is_identified else []
    if partition is None:
        if table is not None and mode == "create_or_replace" and is_marked_partitioned(table):
            markers.append(AppTransaction(_PARTITIONED, _DELETED))
        return markers
    keys: Iterable[PartitionKey] = partition.keys
    if table is not None:
        if not partition_columns(table) and not is_marked_partitioned(table):
            markers.append(AppTransaction(_PARTITIONED, 1))
        if mode == "ignore":
            keys = unmarked_keys(table, context.asset_name, partition)
    version = next_version(table) + 1
    return markers + [AppTransaction(_marker_id(context.asset_name, key), version) for key in keys]


def next_version(table: Table | None) -> int:
    """Return the version of the next commit, unless another commit comes first."""
    return 0 if table is None else table.version() + 1


def data_version(table: Table, asset_name: str, partition: PartitionContext | None) -> str:
    """Return table id and version of the last commit that wrote rows of the partitions, or of the whole table.

    Commits to other partitions and maintenance do not change it. Of several partitions that different commits wrote, it
    includes a digest. Of a partition that another program wrote, it is that of the table.

    Args:
        table: The table at the version that is read.
        asset_name: The asset.
        partition: The partitions, if any.
    """
    markers = [] if partition is None else list(_marker_versions(table, asset_name, partition).values())
    if not markers or not all(markers):
        return f"{table.metadata().id}@{_last_data_commit(table)}"
    version = f"{max(marker or 0 for marker in markers) - 1}"
    if len(set(markers)) > 1:
        version += f"-{blake2b(repr(markers).encode(), digest_size=8).hexdigest()}"
    return f"{table.metadata().id}@{version}"


def is_data_commit(commit: Iterable[dict[str, Any]]) -> bool:
    """Return whether a commit changed a value: not maintenance, and not the creation of a table for a merge.

    Args:
        commit: The actions of the commit.
    """
    actions = list(commit)
    is_unfinished_creation = any(
        action["txn"]["appId"] == _UNFINISHED and action["txn"]["version"]
        for action in actions
        if "txn" in action
    )
    return not is_unfinished_creation and not _is_maintenance(actions)


def written_partitions(
    commit: Iterable[dict[str, Any]], asset_name: str = "", keys: Iterable[PartitionKey] | None = None
) -> dict[str, int]:
    """Return the markers of a commit with their versions; 0 for a partition that it deleted.

    Args:
        commit: The actions of the commit.
        asset_name: The asset.
        keys: The partitions to look for; None for all.
    """
    written = {
        action["txn"]["appId"]: int(action["txn"]["version"])
        for action in commit
        if "txn" in action and action["txn"]["appId"].startswith(_PREFIX)
    }
    if keys is None:
        return written
    wanted = {_marker_id(asset_name, key) for key in keys}
    return {marker: version for marker, version in written.items() if marker in wanted}


def _last_data_commit(table: Table) -> int:
    """Return the version of the last commit that was not maintenance, as far as the log reaches back."""
    version = table.version()
    try:
        while version > 0 and _is_maintenance(table.read_commit(version)):
            version -= 1
    except FileNotFoundError:
        return version + 1
    return version


def _is_maintenance(commit: Iterable[dict[str, Any]]) -> bool:
    info: dict[str, Any] = next((action["commitInfo"] for action in commit if "commitInfo" in action), {})
    if info.get("operation") in _MAINTENANCE or DIGESTS in info:
        return True
    files = [action.get("add") or action.get("remove") for action in commit]
    changes = [file.get("dataChange", True) for file in files if file]
    return bool(changes) and not any(changes)


def deletion_markers(asset_name: str, partition: PartitionContext) -> list[AppTransaction]:
    """Return the transactions that mark partitions as deleted.

    Args:
        asset_name: The asset.
        partition: The partitions.
    """
    return [AppTransaction(_marker_id(asset_name, key), _DELETED) for key in partition.keys]


def is_unfinished(table: Table) -> bool:
    """Return whether a table was created for a merge that did not follow: it counts as absent until the next commit.

    Args:
        table: The table.
    """
    return table.version() == 0 and table.transaction_version(_UNFINISHED) is not None


def partition_columns(table: Table) -> list[str]:
    """Return the partition columns that a table was created with.

    Args:
        table: The table.
    """
    hinted = [field.name for field in table.schema().fields if PARTITION_HINT in field.metadata]
    return list(dict.fromkeys([*table.metadata().partition_columns, *hinted]))


def is_marked_partitioned(table: Table) -> bool:
    """Return whether partitions were written to a table that was created without any.

    Args:
        table: The table.
    """
    return table.version() > 0 and bool(table.transaction_version(_PARTITIONED))


def unmarked_keys(table: Table, asset_name: str, partition: PartitionContext) -> list[PartitionKey]:
    """Return the keys that have no marker.

    Args:
        table: The table.
        asset_name: The asset.
        partition: The keys.
    """
    return [key for key, version in _marker_versions(table, asset_name, partition).items() if not version]


def _marker_versions(
    table: Table, asset_name: str, partition: PartitionContext
) -> dict[PartitionKey, int | None]:
    known = app_transactions(table) if len(partition.keys) >= _MANY_KEYS else None
    version_of = table.transaction_version if known is None else known.get
    return {key: version_of(_marker_id(asset_name, key)) for key in partition.keys}


def absent_keys(
    table: Table, asset_name: str, partition: PartitionContext, expr: PartitionExpr, columns: Sequence[Column]
) -> list[PartitionKey]:
    """Return the keys that were never written: without a marker and, in a table of another writer, without rows.

    Args:
        table: The table.
        asset_name: The asset.
        partition: The keys.
        expr: The columns that hold them.
        columns: The columns of the table.
    """
    unmarked = unmarked_keys(table, asset_name, partition)
    folders = _folder_values(table, expr) if len(unmarked) >= _MANY_KEYS else None
    absent = []
    for key in unmarked:
        single = PartitionContext([key], partition.definition)
        predicate = partition_predicate(asset_name, single, expr, columns)
        if not (_has_rows(table, predicate) if folders is None else _values(predicate, expr) in folders):
            absent.append(key)
    return absent


def app_transactions(table: Table) -> dict[str, int] | None:
    """Return the latest version of each application transaction, from the last checkpoint and later commits.

    deltalake (up to 1.6) reads the whole log for each transaction it is asked for.

    Args:
        table: The table.

    Returns:
        Identifier to version; None if the log is not that simple, and deltalake has to be asked.

    Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Transaction Identifiers" and "Checkpoints".
    """
    try:
        checkpoint = _last_checkpoint(table)
        transactions = {} if checkpoint is None else dict(_checkpoint_transactions(table, checkpoint))
        for version in range(0 if checkpoint is None else checkpoint + 1, table.version() + 1):
            for action in table.read_commit(version):
                if "txn" in action:
                    transactions[action["txn"]["appId"]] = action["txn"]["version"]
    except (OSError, LookupError, ValueError):
        return None
    return transactions


def _marker_id(asset_name: str, key: PartitionKey) -> str:
    return _PREFIX + storage_key(asset_name, key)


def _has_rows(table: Table, predicate: Predicate) -> bool:
    batches = table.scan(columns=[predicate.columns[0]], predicate=predicate.sql())
    return any(batch.num_rows for batch in batches)


def _folder_values(table: Table, expr: PartitionExpr) -> set[tuple[Any, ...]] | None:
    """Return the values that have folders with rows; None if the table has folders of other columns."""
    if not set(expr.columns) <= set(table.metadata().partition_columns):
        return None
    actions = table.get_add_actions(flatten=True)
    return set(zip(*(actions.column(f"partition.{name}").to_pylist() for name in expr.columns), strict=True))


def _values(predicate: Predicate, expr: PartitionExpr) -> tuple[Any, ...]:
    """Return the values of one key, one for each column."""
    (terms,) = predicate.groups
    by_column = {term.column: term.values[0] for term in terms if isinstance(term, OneOf)}
    return tuple(by_column.get(name) for name in expr.columns)


def _last_checkpoint(table: Table) -> int | None:
    """Return the version of the last checkpoint; None if there is none yet.

    Raises:
        LookupError: It is later than the table, or has several files.
    """
    try:
        pointer = json.loads(table.read_log("_last_checkpoint"))
    except FileNotFoundError:
        return None
    if pointer["version"] > table.version() or pointer.get("parts"):
        raise LookupError("the checkpoint cannot be used")
    return int(pointer["version"])


def _checkpoint_transactions(table: Table, version: int) -> Iterable[tuple[str, int]]:
    import pyarrow.parquet as pq

    file = BytesIO(table.read_log(f"{version:020d}.checkpoint.parquet"))
    rows = pq.read_table(file, columns=["txn"]).column("txn").drop_null().to_pylist()
    return ((row["appId"], row["version"]) for row in rows)
