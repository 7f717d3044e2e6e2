"""Workarounds for defects of deltalake, arro3 and pyarrow, each with the versions that have it.

For each defect a test in `tests/test_delta/test_compat.py` fails once the installed version no longer has it.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import types as pat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from arro3.core import Table as ArrowTable
    from pyarrow.dataset import Dataset
    from pyarrow.fs import FileSystem


@contextmanager
def _without_credential_log() -> Iterator[None]:
    """Import deltalake (up to 1.6) without its log of absent credentials, which rivers reports in one error.

    Where a store has no credentials, deltalake writes three warnings about the address of a metadata service to stderr.
    It reads the variable when it is imported; later, and in child processes, it is not set.
    """
    if "RUST_LOG" in os.environ:
        yield
        return
    os.environ["RUST_LOG"] = "warn,aws_config=off"
    try:
        yield
    finally:
        del os.environ["RUST_LOG"]


with _without_credential_log():
    from deltalake import DeltaTable as DeltaTable
    from deltalake import PostCommitHookProperties
    from deltalake import write_deltalake as write_deltalake
    from deltalake.exceptions import CommitFailedError as CommitFailedError
    from deltalake.exceptions import TableNotFoundError as TableNotFoundError

_FILE: Final = "file://"

# Bounds of decimals. deltalake (up to 1.6) writes the smallest and largest decimal of a file as a 64-bit float, and
# every reader skips files by them. Beyond 15 digits such a bound is another number, and rows are not found: of a
# decimal(20, 0), 9007199254740993 becomes 9007199254740992. Unsigned 64-bit integers are stored as decimal(20, 0).

_NO_STATISTICS: Final = {"statistics_enabled": "NONE"}
_DEFAULT_LEVEL: Final = "PAGE"


def has_rounded_bounds(kind: pa.DataType) -> bool:
    """Return whether deltalake rounds the bounds of a stored column, or of a field nested in it.

    Args:
        kind: The stored type.
    """
    if pat.is_decimal(kind):
        return bool(kind.precision > sys.float_info.dig)
    return bool(pat.is_struct(kind)) and any(
        has_rounded_bounds(kind.field(i).type) for i in range(kind.num_fields)
    )


def without_rounded_bounds(properties: Mapping[str, Any], columns: Iterable[pa.Field]) -> dict[str, Any]:
    """Return writer properties that disable statistics of columns whose bounds would be rounded.

    Fields of structs cannot be named there: if one of them is rounded, statistics of all structs are disabled.

    Args:
        properties: The user's properties.
        columns: The columns to write, as the table stores them.
    """
    by_name = {column.name: column for column in columns}
    rounded = [column for column in by_name.values() if has_rounded_bounds(column.type)]
    if not rounded:
        return dict(properties)
    result = dict(properties)
    own = dict(properties.get("column_properties") or {})
    default = properties.get("default_column_properties") or {}
    if any(pat.is_struct(column.type) for column in rounded):
        level = {"statistics_enabled": default.get("statistics_enabled") or _DEFAULT_LEVEL}
        plain = [name for name, column in by_name.items() if not pat.is_nested(column.type)]
        own |= {name: level | own.get(name, {}) for name in plain}
        result["default_column_properties"] = default | _NO_STATISTICS
    own |= {
        column.name: own.get(column.name, {}) | _NO_STATISTICS
        for column in rounded
        if not pat.is_struct(column.type)
    }
    return result | {"column_properties": own}


def without_bounds_of(actions: ArrowTable, names: Collection[str]) -> ArrowTable:
    """Return the files of a table without the bounds of some columns.

    Args:
        actions: As `DeltaTable.get_add_actions` returns them.
        names: The columns.
    """
    from arro3.core import Table

    table = pa.table(actions)
    for bound in ("min", "max"):
        if bound not in table.column_names:
            continue
        structs = table.column(bound).combine_chunks()
        kept = [field.name for field in structs.type if field.name not in names]
        place = table.column_names.index(bound)
        if not kept:
            table = table.drop_columns([bound])
        elif len(kept) < structs.type.num_fields:
            fields = [structs.type.field(name) for name in kept]
            arrays = [structs.field(name) for name in kept]
            table = table.set_column(place, bound, pa.StructArray.from_arrays(arrays, fields=fields))
    return Table.from_arrow(table)


def has_submillisecond(value: object) -> bool:
    """Return whether a value is a timestamp that the bounds of its file may exclude.

    deltalake (up to 1.6) keeps milliseconds in the log and widens upper bounds by one when it reads them, but not for
    some years after 2262.

    Args:
        value: A value of a column.
    """
    return getattr(value, "microsecond", 0) % 1000 > 0


# Paths of local tables. deltalake (1.0 up to 1.6) percent-encodes them: `my data` becomes `my%20data`.


class UnescapedTable(DeltaTable):
    """A table whose local paths are paths, not URLs."""

    @property
    def table_uri(self) -> str:
        """The folder or URL of the table."""
        encoded = str(super().table_uri)
        return unquote(encoded.removeprefix(_FILE)) if _is_escaped(encoded) else encoded

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:
        """Return paths or URLs of the data files."""
        paths = super().file_uris(*args, **kwargs)
        encoded = str(super().table_uri)
        if not _is_escaped(encoded):
            return paths
        folder = encoded.removeprefix(_FILE)
        return [unquote(folder) + path.removeprefix(folder) for path in paths]

    def get_add_actions(self, flatten: bool = False) -> ArrowTable:
        """Return the data files, without bounds that are rounded, since polars skips files by them.

        Args:
            flatten: Whether statistics become separate columns; then all are included.
        """
        actions = super().get_add_actions(flatten)
        if flatten:
            return actions
        rounded = [field.name for field in pa.schema(self.schema()) if has_rounded_bounds(field.type)]
        return without_bounds_of(actions, rounded) if rounded else actions


def _is_escaped(encoded: str) -> bool:
    return "%" in encoded and encoded.startswith(_FILE)


def is_before_first_version(
    asked: datetime, committed: datetime | None, version: int, is_earlier_kept: bool
) -> bool:
    """Return whether a table did not exist at a moment that `load_as_version` accepted.

    deltalake (up to 1.6) then loads the first version whose commit is still in the log.

    Args:
        asked: The moment.
        committed: When the loaded version was committed; None if its commit is no longer in the log.
        version: The loaded version.
        is_earlier_kept: Whether the commit before it is still in the log.
    """
    return committed is not None and committed > asked and not (version and is_earlier_kept)


# Client options. polars (up to 2.1) takes numbers of retries as integers only, deltalake as text only.

_POLARS_INTEGERS: Final = frozenset(
    ["max_retries", "retry_timeout_ms", "retry_init_backoff_ms", "retry_max_backoff_ms"]
)


def polars_options(options: Mapping[str, str] | None) -> dict[str, Any]:
    """Return storage options that polars takes in another form than deltalake.

    Args:
        options: The options of deltalake.
    """
    return {name: int(value) for name, value in (options or {}).items() if name in _POLARS_INTEGERS}


# Compactions. deltalake (up to 1.6) lets a commit succeed after a compaction: rows of compacted files then stay next to
# the rows that were to replace them.

LOST_TO_COMPACTION: Final = "a compaction came first"
"""Message of a `CommitFailedError` for a commit that deltalake accepted although files were compacted."""


def has_removed_twice(
    read_commit: Callable[[int], Iterable[Mapping[str, Any]]], version: int, based_on: int
) -> bool:
    """Return whether a commit removed files that a concurrent commit had removed before.

    Args:
        read_commit: Returns the actions of a version.
        version: The version that the commit created.
        based_on: The version that the commit was based on.
    """

    def removed(number: int) -> set[str]:
        return {action["remove"]["path"] for action in read_commit(number) if "remove" in action}

    between = range(based_on + 1, version)
    return bool(between) and any(removed(version) & removed(number) for number in between)


# Cleanup of the log. deltalake (up to 1.6) looks for expired log files after every commit, and reads the age of each
# file in the log.

_COMMITS_PER_CLEANUP: Final = 100


def post_commit_hooks(table: DeltaTable | None) -> PostCommitHookProperties:
    """Return hooks that create checkpoints as the table requires, and remove expired log files every 100 commits.

    Args:
        table: The table before the commit; None if it is created.
    """
    is_due = table is not None and (table.version() + 1) % _COMMITS_PER_CLEANUP == 0
    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=None if is_due else False)


# Datasets at exit. pyarrow reads ahead in threads that release a file some time after the last row was returned. If
# files come from a file system written in Python, releasing needs the GIL, and a process that ends meanwhile is
# aborted or hangs (pyarrow 18 up to 26 with deltalake 1.0 up to 1.6).

_MAX_WAIT_S: Final = 2.0
_file_systems: weakref.WeakSet[Any] = weakref.WeakSet()
_readers: weakref.WeakSet[Any] = weakref.WeakSet()


def dataset_of(table: DeltaTable, files: FileSystem, *, trust_bounds: bool) -> Dataset:
    """Return a table as a pyarrow dataset.

    Args:
        table: The table, at the version to read.
        files: The folder of the table.
        trust_bounds: Whether files may be skipped by the bounds of their columns.
    """
    from pyarrow.dataset import ParquetReadOptions
    from pyarrow.fs import PyFileSystem

    # pyarrow (up to 26) reads INT96, the timestamps of Spark, as nanoseconds by default, which end in the year 2262.
    options = ParquetReadOptions(coerce_int96_timestamp_unit="us")
    dataset = table.to_pyarrow_dataset(filesystem=files, parquet_read_options=options)
    if isinstance(files, PyFileSystem):
        _file_systems.add(files.handler)
    return dataset if trust_bounds else _without_bounds(dataset)


def closed_at_exit(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return a reader over a dataset that stops reading ahead when the process ends.

    Args:
        reader: The reader.
    """
    _readers.add(reader)
    return reader


@atexit.register
def _close_readers() -> None:
    for reader in list(_readers):
        reader.close()
    until = time.monotonic() + _MAX_WAIT_S
    while len(_file_systems) and time.monotonic() < until:
        time.sleep(0.005)


def _without_bounds(dataset: Dataset) -> Dataset:
    from pyarrow.dataset import FileSystemDataset

    fragments = [
        dataset.format.make_fragment(
            fragment.path, fragment.filesystem, _folder_expression(dataset.schema, fragment)
        )
        for fragment in dataset.get_fragments()
    ]
    return FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def _folder_expression(schema: pa.Schema, fragment: Any) -> Any:
    """Return what the folders of a file guarantee about its rows: equality, where bounds say `>=` and `<=`."""
    import pyarrow.compute as pc
    from pyarrow.dataset import get_partition_keys

    expression = pc.scalar(True)
    for name, value in get_partition_keys(fragment.partition_expression).items():
        field = pc.field(name)
        is_value = field.is_null() if value is None else field == pa.scalar(value, schema.field(name).type)
        expression = expression & is_value
    return expression
