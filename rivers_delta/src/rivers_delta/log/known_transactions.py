"""All application transactions of a table at once: deltalake reads the whole log for each that it is asked for."""

from __future__ import annotations

import importlib.util
import json
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers_delta.log.table import Table


def transactions_of(table: Table) -> dict[str, int] | None:
    """The latest version of each application transaction, from the last checkpoint and the commits since.

    Args:
        table: At the version that is meant.

    Returns:
        Identifier to version; None if the log is not as simple as that, and deltalake has to be asked.

    Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Transaction Identifiers" and "Checkpoints".
    """
    try:
        checkpoint = _last_checkpoint(table)
        found = {} if checkpoint is None else dict(_of_checkpoint(table, checkpoint))
        for version in range(0 if checkpoint is None else checkpoint + 1, table.version() + 1):
            for action in table.read_commit(version):
                if "txn" in action:
                    found[action["txn"]["appId"]] = action["txn"]["version"]
    except (OSError, LookupError, ValueError):
        return None
    return found


def _last_checkpoint(table: Table) -> int | None:
    """The version of the last checkpoint; None if there is none yet.

    Raises:
        LookupError: It is later than the table, or in several files.
    """
    try:
        told = json.loads(table.read_log("_last_checkpoint"))
    except FileNotFoundError:
        return None
    if told["version"] > table.version() or told.get("parts"):
        raise LookupError("no checkpoint that can be used")
    return int(told["version"])


def _of_checkpoint(table: Table, version: int) -> Iterable[tuple[str, int]]:
    stored = BytesIO(table.read_log(f"{version:020d}.checkpoint.parquet"))
    if importlib.util.find_spec("polars") is not None:
        import polars as pl

        column = pl.read_parquet(stored, columns=["txn"])["txn"].drop_nulls()
        rows = column.to_list()
    elif importlib.util.find_spec("pyarrow") is not None:
        import pyarrow.parquet as pq

        rows = pq.read_table(stored, columns=["txn"]).column("txn").drop_null().to_pylist()
    else:
        raise LookupError("nothing here reads Parquet")
    return ((row["appId"], row["version"]) for row in rows)
