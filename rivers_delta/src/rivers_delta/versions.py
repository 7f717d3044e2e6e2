"""Earlier versions of a table, or of one of its partitions: list, restore and prune them."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from rivers_core import InputContext, MetadataValue, StoredVersion
from rivers_core.exceptions import ConflictError, PartitionValidationError, RiversError
from rivers_delta.errors import subject_of
from rivers_delta.log.partition_markers import (
    data_version,
    is_data_commit,
    is_unfinished,
    written_partitions,
)
from rivers_delta.log.protocol import refuse_unwritable
from rivers_delta.log.table import LOG, open_table
from rivers_delta.read.data_files import DataFiles
from rivers_delta.read.load import absent_partitions, find_table, load, requested_rows
from rivers_delta.write.commit import commit_info, commit_properties
from rivers_delta.write.retry import commit_with_retries
from rivers_delta.write.writer import stored_version_of, write_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from rivers_core import OutputContext
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table
    from rivers_delta.log.table_cache import TableCache

    Item = TypeVar("Item")
    Result = TypeVar("Result")

_THREADS: Final = 16
_CHECKPOINT: Final = re.compile(rf"{LOG}(\d{{20}})\.checkpoint\.")


def list_versions(settings: TableSettings, context: InputContext) -> list[StoredVersion]:
    """Return the versions that can be loaded, the current one first.

    Args:
        settings: The table.
        context: Asset and partition; each commit that wrote rows of the partition is a version of it.
    """
    table = open_table(settings)
    if table is None or is_unfinished(table):
        return []
    return [version for _, version, _ in _loadable(settings, context, table, _stored_files(table))]


def restore(settings: TableSettings, context: OutputContext, version: str, cache: TableCache) -> str:
    """Make an earlier version the current one, in one commit; of a partition only its rows change.

    Args:
        settings: The table.
        context: Asset and partition; receives metadata and version of the new value.
        version: The version.
        cache: What the process knows of its tables.

    Returns:
        The restored version, as `list_versions` has it.

    Raises:
        VersionNotFoundError: The version is not stored.
        PartitionValidationError: The table has partitions, and the context names none.
        ConflictError: Other writers kept committing first.
    """
    asked = InputContext(
        context.asset_name,
        "restore",
        context.asset_metadata,
        context.partition,
        pa.Table,
        run_id=context.run_id,
        version=version,
    )
    whole = replace(settings, options=replace(settings.options, columns=None, change_feed=None))
    source = find_table(whole, asked)
    full = data_version(source, context.asset_name, context.partition)
    type_name = _type_of(source, full)
    if context.partition is not None:
        # Rows of other partitions may be in the same files, so that the rows are written again.
        rows = load(whole, asked)
        replacing = replace(settings, mode="overwrite", schema_mode="merge")
        write_output(replacing, context, rows, cache, type_name)
        return full
    if settings.options.partition_expr is not None:
        raise PartitionValidationError(
            f"Could not restore asset {context.asset_name!r}: its table has partitions, each with its own versions. "
            "Name one partition."
        )
    started = time.perf_counter()
    attempt = partial(_restore_table, settings, context, source.version())
    table = commit_with_retries("write", context, settings, attempt)
    totals = cache.history(settings.address).totals_of(table)
    given: dict[str, Any] = {} if type_name is None else {"delta/type": type_name}
    context.add_output_metadata(
        {
            "delta/table_uri": settings.shown_address,
            "delta/version": table.version(),
            "delta/num_rows": MetadataValue.int(totals.rows),
            "delta/size_bytes": MetadataValue.int(totals.bytes),
            "delta/write_duration_s": MetadataValue.float_(time.perf_counter() - started),
            "rivers/schema": MetadataValue.schema(pa.schema([column.given for column in table.columns()])),
            **given,
        }
    )
    context.offer_content_version(data_version(table, context.asset_name, None))
    return full


def prune(
    settings: TableSettings,
    context: InputContext,
    *,
    keep: int | None = None,
    older_than: timedelta | None = None,
    dry_run: bool = True,
) -> list[StoredVersion]:
    """Remove the data files that only earlier versions need, as a vacuum does.

    Args:
        settings: The table.
        context: The asset, without a partition: files belong to versions of the whole table.
        keep: Number of earlier versions that stay, of the table or of each of its partitions.
        older_than: Age that a version must exceed, and the time since its files were replaced.
        dry_run: Whether to change nothing.

    Returns:
        The versions that lack a file afterwards. A version whose rows are all still in the table cannot be removed.

    Raises:
        RiversError: The context names a partition.
    """
    if context.partition is not None:
        raise RiversError(
            f"Could not prune {subject_of(context)}, table {settings.shown_address!r}: the partitions of a table share "
            "its versions. Prune the asset without a partition."
        )
    table = open_table(settings)
    if table is None or is_unfinished(table):
        return []
    if not dry_run:
        refuse_unwritable(table, subject_of(context))
    limit = None if older_than is None else datetime.now(UTC) - older_than
    files = _stored_files(table)
    versions = list(_loadable(settings, context, table, files))
    protected = _kept_commits(table, files, keep or 0)
    obsolete = [
        (number, version, paths)
        for number, version, paths in versions
        if not version.is_current
        and number not in protected
        and (limit is None or version.stored_at is None or version.stored_at < limit)
    ]
    candidates = {number for number, _, _ in obsolete}
    kept = [number for number, _, _ in versions if number not in candidates]
    hours = 0 if older_than is None else -(older_than // -timedelta(hours=1))
    vacuum = partial(
        table.vacuum,
        retention_hours=hours,
        enforce_retention_duration=False,
        keep_versions=sorted({*kept, *protected}),
    )
    removed = set(vacuum(dry_run=True)) if obsolete else set[str]()
    if removed and not dry_run:
        vacuum(dry_run=False, commit_properties=commit_properties(settings, {}))
    return [version for _, version, paths in obsolete if not removed.isdisjoint(paths)]


def _restore_table(
    settings: TableSettings, context: OutputContext, version: int, table: Table | None, number: int
) -> Table:
    del number
    expected = context.expected_version
    stored = stored_version_of(settings, context, table)
    if table is None or (expected is not None and expected != stored):
        raise ConflictError(
            f"Could not restore {subject_of(context)}, table {settings.shown_address!r}; nothing was written: version "
            f"{stored or 'none'} is stored, not {expected}."
        )
    refuse_unwritable(table, subject_of(context))
    properties = commit_properties(settings, commit_info(context), (), 0)
    table.restore(version, commit_properties=properties)
    return table


def _loadable(
    settings: TableSettings, context: InputContext, table: Table, files: Mapping[str, int]
) -> Iterator[tuple[int, StoredVersion, list[str]]]:
    """Yield commit, version and data files of each version whose files are all stored, the latest first."""
    current = None
    if context.partition is None or not absent_partitions(settings, context, table):
        current = data_version(table, context.asset_name, context.partition)
    numbers, deleted = _commits_of(table, context, files)
    if current is not None and (deleted or not numbers):
        # its commit is no longer in the log, or another program wrote it after a deletion
        numbers = [table.version(), *numbers]

    def examined(index: int) -> tuple[int, StoredVersion, list[str]] | None:
        is_current = current is not None and index == 0
        number = numbers[index]
        version = table if is_current else open_table(settings, number)
        if version is None or (
            context.partition is not None and absent_partitions(settings, context, version)
        ):
            return None
        data = DataFiles(version, requested_rows(settings, context, version.columns()))
        entries = [(path, size) for path, size, _ in data.entries()]
        if not is_current and not all(files.get(path) == size for path, size in entries):
            return None
        text = current if is_current and current is not None else f"{version.metadata().id}@{number}"
        stored = StoredVersion(
            text, table.committed_at(number), sum(size for _, size in entries), is_current=is_current
        )
        return number, stored, [path for path, _ in entries]

    for item in _mapped(table, examined, range(len(numbers))):
        if item is not None:
            yield item


def _commits_of(table: Table, context: InputContext, files: Mapping[str, int]) -> tuple[list[int], bool]:
    """Return the commits that wrote rows, the latest first, and whether the value was deleted after the latest."""
    commits = _commits(table, files)
    tables = [number for number, commit in commits if is_data_commit(commit)]
    if context.partition is None:
        return tables, False
    keys = context.partition.keys
    marked = [
        (number, max(written.values()))
        for number, commit in commits
        if (written := written_partitions(commit, context.asset_name, keys))
    ]
    if not marked:
        return tables, False  # another program writes this partition
    return [number for number, version in marked if version], not marked[0][1]


def _kept_commits(table: Table, files: Mapping[str, int], keep: int) -> set[int]:
    """Return the commits of the current and of some earlier versions, of the table and of each partition."""
    by_partition: dict[str, list[int]] = {"": []}
    for number, commit in _commits(table, files):
        written = written_partitions(commit)
        if not written and is_data_commit(commit):
            by_partition[""].append(number)
        for marker, version in written.items():
            if version:
                by_partition.setdefault(marker, []).append(number)
    return {number for numbers in by_partition.values() for number in numbers[: keep + 1]}


def _commits(table: Table, files: Mapping[str, int]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Return the commits that versions can be loaded from, the latest first."""
    numbers = [
        number
        for number in range(table.version(), -1, -1)
        if f"{LOG}{number:020d}.json" in files and _is_openable(files, number)
    ]
    return list(zip(numbers, _mapped(table, table.read_commit, numbers), strict=True))


def _is_openable(files: Mapping[str, int], number: int) -> bool:
    """Return whether the log reaches back far enough to open a version."""
    if f"{LOG}{0:020d}.json" in files:
        return True
    checkpoints = (match for match in map(_CHECKPOINT.match, files) if match is not None)
    return any(int(match[1]) <= number for match in checkpoints)


def _mapped(table: Table, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Call a function for each item; several at once where each call is a request."""
    if table.settings.is_local:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(function, items)


def _stored_files(table: Table) -> dict[str, int]:
    """Return path and size of each file in the folder of a table."""
    from pyarrow import fs

    entries = table.file_system().get_file_info(fs.FileSelector("", recursive=True))
    return {entry.path: entry.size for entry in entries if entry.type == fs.FileType.File}


def _type_of(source: Table, version: str) -> str | None:
    """Return the type of the value that a version stored, as its commit says."""
    number = version.rpartition("@")[2].partition("-")[0]
    try:
        commit = source.read_commit(int(number))
    except FileNotFoundError:
        return None
    recorded = (action["commitInfo"].get("rivers.type") for action in commit if "commitInfo" in action)
    return next(recorded, None)
