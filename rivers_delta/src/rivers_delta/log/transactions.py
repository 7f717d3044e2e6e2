"""Application transactions: what tells a write from any other, and what says that partitions are there."""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from rivers_delta.config.properties import Mark
from rivers_delta.log.partition_markers import (
    DELETED,
    PARTITIONED,
    WRITTEN,
    is_marked_partitioned,
    partition_columns,
    unmarked_keys,
)
from rivers_delta.partitions.filters import presence_id

if TYPE_CHECKING:
    from rivers_core import OutputContext
    from rivers_delta.log.table import Table
    from rivers_delta.write.prepared_write import WriteRequest

IDENTIFIED_MODES: Final = frozenset(["append", "error", "ignore", "merge"])
"""Modes in which writing twice would matter."""


def transaction_id(context: OutputContext) -> str:
    """What identifies a write: run, step and partition; without a run, the call itself.

    Args:
        context: Of the write.
    """
    if context.run_id is None:
        return f"rivers/call/{uuid.uuid4()}"
    keys = "" if context.partition is None else "\n".join(str(key) for key in context.partition.keys)
    parts = blake2b(f"{context.step_name}\n{keys}".encode(), digest_size=12).hexdigest()
    return f"rivers/run/{context.run_id}/{parts}"


def marks_for(request: WriteRequest, table: Table | None, app_id: str) -> list[Mark]:
    """What identifies a write, and what says that its partitions are there from now on.

    Args:
        request: The write.
        table: As it is now; None if it has to be made.
        app_id: What identifies the write.
    """
    marks = [Mark(app_id, 1, expires=True)] if request.mode in IDENTIFIED_MODES else []
    partition, name = request.context.partition, request.context.asset_name
    if table is None:
        keys = [] if partition is None else partition.keys
    elif partition is None:
        if request.mode == "create_or_replace" and is_marked_partitioned(table):
            marks.append(Mark(PARTITIONED, DELETED))
        keys = []
    else:
        if not partition_columns(table) and not is_marked_partitioned(table):
            marks.append(Mark(PARTITIONED, WRITTEN))
        # Two appends that both carry a mark conflict; overwrites of one partition do so anyway.
        replaces = request.mode == "overwrite"
        keys = partition.keys if replaces else unmarked_keys(table, name, partition)
    return marks + [Mark(presence_id(name, key), WRITTEN) for key in keys]
