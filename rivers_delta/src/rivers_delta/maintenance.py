"""Keeping tables quick: small files put together, files that no version needs removed. First only told."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import ConfigurationError, IntegrityError, NotMaterializedError, RiversError
from rivers_delta.config.properties import build_commit_properties, build_writer_properties
from rivers_delta.errors import is_panic, sentence_of
from rivers_delta.log.location import is_local, shown, table_root
from rivers_delta.log.table import open_table
from rivers_delta.read.scan import all_columns
from rivers_delta.write.retry import removed_twice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core import InputContext
    from rivers_delta.handler import DeltaIOHandler
    from rivers_delta.log.table import Table

_TARGET_BYTES: Final = 100 * 1024 * 1024


def maintain(
    handler: DeltaIOHandler,
    contexts: Sequence[InputContext] = (),
    *,
    dry_run: bool = True,
    optimize: bool = True,
    vacuum: bool = True,
    retention_hours: int | None = None,
    target_file_size: int | None = None,
    z_order: Sequence[str] | str = (),
) -> list[dict[str, Any]]:
    """Compact and vacuum tables.

    Args:
        handler: Where tables lie.
        contexts: The assets whose tables are meant; none for every table under `table_uri` on this machine.
        dry_run: Whether to change nothing.
        optimize: Whether to put small files together.
        vacuum: Whether to remove files that no version within the retention needs.
        retention_hours: How long versions stay readable; the table's own setting (a week) if None.
        target_file_size: Bytes a file should have.
        z_order: Columns by which rows are put near each other; as text, with commas between.

    Returns:
        One dictionary per table and action: `table`, `action`, `files` and `bytes` that are (or would be) replaced or
        removed, `done`.

    Raises:
        RiversError: A table cannot be opened or changed; or tables in an object store are not named.
        ConfigurationError: An option is no such value.
    """
    _check_number("retention_hours", retention_hours, least=0)
    _check_number("target_file_size", target_file_size, least=1)
    columns = [name.strip() for name in z_order.split(",")] if isinstance(z_order, str) else list(z_order)
    reports: list[dict[str, Any]] = []
    for address in _addresses(handler, contexts):
        try:
            table = open_table(address, handler.plain_storage_options())
            if table is None:
                continue
            if optimize:
                target = target_file_size or handler.handler_config.target_file_size or _TARGET_BYTES
                reports.append(_optimize(handler, table, address, target, columns, dry_run))
            if vacuum:
                reports.append(_vacuum(handler, table, address, retention_hours, dry_run))
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            raise RiversError(
                f"Maintaining table {shown(address)!r} failed: {sentence_of(error, handler.secrets())}"
            ) from None
    return reports


def _check_number(name: str, value: Any, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ConfigurationError(f"{name!r} is a whole number from {least} upwards, got {value!r}.")


def _addresses(handler: DeltaIOHandler, contexts: Sequence[InputContext]) -> list[str]:
    if contexts:
        return list(dict.fromkeys(handler.address(one.asset_name, one.asset_metadata) for one in contexts))
    root = table_root(handler.table_uri)
    if not is_local(root):
        raise RiversError(
            f"Tables under {shown(root)!r} are not listed; name the assets whose tables are meant."
        )
    if not os.path.isdir(root):
        raise NotMaterializedError(
            "any", message=f"There is no folder {root!r}, so there are no tables to maintain."
        )
    return sorted(
        entry.path for entry in os.scandir(root) if os.path.isdir(os.path.join(entry.path, "_delta_log"))
    )


def _optimize(
    handler: DeltaIOHandler, table: Table, address: str, target: int, z_order: Sequence[str], dry_run: bool
) -> dict[str, Any]:
    files, size = _compactable(table, target, everything=bool(z_order))
    report = {"table": shown(address), "action": "optimize", "files": files, "bytes": size, "done": False}
    if dry_run or not files:
        return report
    arguments: dict[str, Any] = {
        "target_size": target,
        "writer_properties": build_writer_properties(
            handler.writer_properties, (column.stored for column in all_columns(table))
        ),
        "commit_properties": build_commit_properties(handler.commit_properties, {}, []),
    }
    based_on = table.version()
    metrics = table.optimize.z_order(z_order, **arguments) if z_order else table.optimize.compact(**arguments)
    if removed_twice(table, based_on):
        _take_back(table, address)
        return report | {"files": 0}
    return report | {"files": int(metrics["numFilesRemoved"]), "done": True}


def _take_back(table: Table, address: str) -> None:
    version = table.version()
    try:
        table.restore(version - 1)
    except Exception as error:
        raise IntegrityError(
            f"two compactions of {shown(address)!r} ran at once, and since version {version} rows are there twice; "
            "it could not be put right, for another commit followed. "
            f"Restore version {version - 1} with deltalake, and write again what came after."
        ) from error


def _compactable(table: Table, target: int, *, everything: bool) -> tuple[int, int]:
    """Files that compacting would replace: of each partition, those below the target, if there are several."""
    actions = table.get_add_actions(flatten=True)
    partition = [name for name in actions.column_names if name.startswith("partition.")]
    sizes = actions.column("size_bytes").to_pylist()
    keys = list(zip(*(actions.column(name).to_pylist() for name in partition), strict=True)) or [()] * len(
        sizes
    )
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for key, size in zip(keys, sizes, strict=True):
        if everything or size < target:
            groups[key].append(size)
    chosen = [sizes for sizes in groups.values() if everything or len(sizes) > 1]
    return sum(map(len, chosen)), sum(map(sum, chosen))


def _vacuum(
    handler: DeltaIOHandler, table: Table, address: str, retention_hours: int | None, dry_run: bool
) -> dict[str, Any]:
    files = table.vacuum(
        retention_hours=retention_hours,
        dry_run=dry_run,
        enforce_retention_duration=retention_hours is None,
        commit_properties=None if dry_run else build_commit_properties(handler.commit_properties, {}, []),
    )
    size = (
        sum(_size(os.path.join(address, file)) for file in files) if dry_run and is_local(address) else None
    )
    return {
        "table": shown(address),
        "action": "vacuum",
        "files": len(files),
        "bytes": size,
        "done": not dry_run,
    }


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
