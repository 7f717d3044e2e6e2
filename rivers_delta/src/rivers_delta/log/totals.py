"""Rows and bytes of a table and of one write, without listing the files of the table each time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers_delta.log.table import Table


@dataclass(frozen=True, slots=True)
class Totals:
    """What a table holds at one version.

    Args:
        table_id: Which table.
        version: Which version.
        rows: How many rows.
        bytes: How many bytes its data files have.
    """

    table_id: str
    version: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Written:
    """What one commit did, and what the table holds after it."""

    rows: int
    totals: Totals
    metrics: dict[str, Any]


def count(table: Table) -> Totals:
    """Count by the statistics in the log: exact, reads no data file, and takes time per file.

    Args:
        table: At the version that is meant.
    """
    actions = table.get_add_actions()
    rows = sum(value or 0 for value in actions.column("num_records").to_pylist())
    size = sum(actions.column("size_bytes").to_pylist())
    return Totals(str(table.metadata().id), table.version(), rows, size)


def after_commit(table: Table, before: Totals | None) -> Written:
    """What the last commit did; counted from that commit alone where what was before is known.

    Args:
        table: At the version of the commit.
        before: What the table held at some earlier version, as far as this process knows.
    """
    table_id, version = str(table.metadata().id), table.version()
    commit = table.read_commit()
    added = [action["add"] for action in commit if "add" in action]
    removed = any("remove" in action for action in commit)
    metrics: dict[str, Any] = next(
        (action["commitInfo"].get("operationMetrics", {}) for action in commit if "commitInfo" in action), {}
    )
    rows = sum(_rows(one) for one in added)
    size = sum(one["size"] for one in added)
    known = version == 0 or (
        before is not None and before.table_id == table_id and before.version == version - 1
    )
    if known and not removed:
        base = before if version and before is not None else Totals(table_id, -1, 0, 0)
        totals = Totals(table_id, version, base.rows + rows, base.bytes + size)
    else:
        totals = count(table)
    return Written(int(metrics.get("num_added_rows", rows)), totals, metrics)


def _rows(added: dict[str, Any]) -> int:
    statistics = added.get("stats")
    return int(json.loads(statistics).get("numRecords", 0)) if statistics else 0
