"""Maintenance of tables: compaction of small files and removal of expired ones."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from rivers_core.authoring import locate_store
from rivers_core.exceptions import ConfigurationError, IntegrityError, NotMaterializedError, RiversError
from rivers_delta.compat import has_removed_twice
from rivers_delta.errors import is_panic, message_of
from rivers_delta.log.location import is_local, shown
from rivers_delta.log.protocol import refuse_unwritable
from rivers_delta.log.table import open_table
from rivers_delta.read.data_files import check_rewrite
from rivers_delta.write.commit import commit_properties, writer_properties
from rivers_objects import Folder
from rivers_objects.staging import writing_below
from rivers_objects.uploads import stale_uploads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table
    from rivers_objects import Leftover

_LOG: Final = logging.getLogger("rivers.handlers")
_TARGET_BYTES: Final = 100 * 1024 * 1024


def maintain(
    tables: Iterable[TableSettings],
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
        tables: The tables.
        dry_run: Whether to change nothing.
        optimize: Whether to compact small files.
        vacuum: Whether to remove files that no version within the retention period needs.
        retention_hours: How long versions stay readable; the table's own property (a week) if None.
        target_file_size: Bytes a file should have.
        z_order: Columns by which rows are clustered; as text, separated by commas.

    Returns:
        One dictionary per table and action: `table`, `action`, `files` and `bytes` that are (or would be) replaced or
        removed, `done`.

    Raises:
        RiversError: A table cannot be opened or changed.
        ConfigurationError: An option has an invalid value.
    """
    _check_integer("retention_hours", retention_hours, least=0)
    _check_integer("target_file_size", target_file_size, least=1)
    columns = [name.strip() for name in z_order.split(",")] if isinstance(z_order, str) else list(z_order)
    reports: list[dict[str, Any]] = []
    for settings in tables:
        try:
            table = open_table(settings)
            if table is None:
                continue
            if optimize:
                target = target_file_size or settings.config.target_file_size or _TARGET_BYTES
                is_marked = settings.is_local and not dry_run
                with writing_below(settings.address, settings.root) if is_marked else nullcontext():
                    reports.append(_optimize(settings, table, target, columns, dry_run=dry_run))
            if vacuum:
                reports.append(_vacuum(settings, table, retention_hours, dry_run=dry_run))
                reports += _sweep(settings, dry_run=dry_run)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            kind = IntegrityError if isinstance(error, IntegrityError) else RiversError
            raise kind(
                f"Could not maintain table {settings.shown_address!r}: {message_of(error, settings.storage_options)}"
            ) from None
    return reports


def local_tables(root: str) -> list[str]:
    """Return the addresses of all tables in a local folder.

    Args:
        root: The folder.

    Raises:
        NotMaterializedError: The folder does not exist.
        RiversError: It is in an object store, whose tables are not listed.
    """
    if not is_local(root):
        raise RiversError(
            f"Could not list tables in {shown(root)!r}: it is not a local folder. Name the assets."
        )
    if not os.path.isdir(root):
        raise NotMaterializedError(
            "any", message=f"Folder {root!r} not found, so there are no tables to maintain."
        )
    return sorted(
        entry.path for entry in os.scandir(root) if os.path.isdir(os.path.join(entry.path, "_delta_log"))
    )


def _check_integer(name: str, value: Any, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ConfigurationError(f"{name!r} must be an integer of {least} or more, got {value!r}.")


def _optimize(
    settings: TableSettings, table: Table, target: int, z_order: Sequence[str], *, dry_run: bool
) -> dict[str, Any]:
    if not dry_run:
        subject = f"asset {settings.asset_name!r}" if settings.asset_name else "the files"
        refuse_unwritable(table, subject)
        check_rewrite(table, subject)
    files, size = _compactable(table, target, everything=bool(z_order))
    report = {
        "table": settings.shown_address,
        "action": "optimize",
        "files": files,
        "bytes": size,
        "done": False,
    }
    if dry_run or not files:
        return report
    arguments: dict[str, Any] = {
        "target_size": target,
        "writer_properties": writer_properties(settings, table.columns()),
        "commit_properties": commit_properties(settings, {}),
    }
    based_on = table.version()
    metrics = table.optimize.z_order(z_order, **arguments) if z_order else table.optimize.compact(**arguments)
    if has_removed_twice(table.read_commit, table.version(), based_on):
        _undo_compaction(table)
        return report | {"files": 0}
    return report | {"files": int(metrics["numFilesRemoved"]), "done": True}


def _undo_compaction(table: Table) -> None:
    version = table.version()
    try:
        table.restore(version - 1)
    except Exception as error:
        raise IntegrityError(
            f"two compactions of {table.address!r} ran at the same time, so that version {version} has rows twice; "
            f"undoing it failed, because another commit followed. Restore version {version - 1} with deltalake, and "
            "write later values again."
        ) from error


def _compactable(table: Table, target: int, *, everything: bool) -> tuple[int, int]:
    """Return number and bytes of files to compact: of each partition, those below the target, if there are several."""
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
    settings: TableSettings, table: Table, retention_hours: int | None, *, dry_run: bool
) -> dict[str, Any]:
    files = table.vacuum(
        retention_hours=retention_hours,
        dry_run=dry_run,
        enforce_retention_duration=retention_hours is None,
        commit_properties=None if dry_run else commit_properties(settings, {}),
    )
    if files and not dry_run:
        _LOG.warning(
            "Vacuum removed %d files of table %r: a LazyFrame or reader that was loaded before may fail when it is "
            "collected, and versions that need these files cannot be loaded.",
            len(files),
            settings.shown_address,
        )
    size = None
    if dry_run and settings.is_local:
        size = sum(_size(os.path.join(settings.address, file)) for file in files)
    return {
        "table": settings.shown_address,
        "action": "vacuum",
        "files": len(files),
        "bytes": size,
        "done": not dry_run,
    }


def _sweep(settings: TableSettings, *, dry_run: bool) -> list[dict[str, Any]]:
    """Remove what killed writers left behind, one report for each kind."""
    if settings.is_local:
        remains = Folder(settings.address).leftovers()
    else:
        remains = stale_uploads(locate_store(settings.shown_address), settings.storage_options or {})
    by_action: dict[str, list[Leftover]] = defaultdict(list)
    for leftover in remains:
        if dry_run or leftover.remove():
            by_action[f"{leftover.action}s"].append(leftover)
    return [
        {
            "table": settings.shown_address,
            "action": action,
            "files": len(removed),
            "bytes": sum(leftover.size or 0 for leftover in removed),
            "done": not dry_run,
        }
        for action, removed in by_action.items()
    ]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
