"""Data files: the files of a table as its log records them, checked before any of them is read."""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs
from pyarrow import types as pat

from rivers_core.authoring import counted
from rivers_core.exceptions import IntegrityError, RiversError
from rivers_frames.arrow_types import contains

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column

_PHYSICAL_NAME: Final = "delta.columnMapping.physicalName"
_NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"
_FIRST_NS: Final = datetime(1677, 9, 22, tzinfo=UTC)
_LAST_NS: Final = datetime(2262, 4, 11, tzinfo=UTC)
_MAX_KNOWN_FILES: Final = 100_000
_THREADS: Final = 16
_int96_of: dict[tuple[str, str, int], frozenset[str]] = {}


class DataFiles:
    """The data files of one version of a table.

    Args:
        table: The table, at that version.
        predicate: The rows that will be read; files of other partitions are left out where folders separate them.
    """

    def __init__(self, table: Table, predicate: Predicate | None = None) -> None:
        self._table = table
        self._partition_columns = table.metadata().partition_columns
        self._names = {
            field.metadata.get(_PHYSICAL_NAME, field.name): field.name for field in table.schema().fields
        }
        actions = pa.table(table.get_add_actions())
        if (
            predicate is not None
            and actions.num_rows
            and set(predicate.columns) <= set(self._partition_columns)
        ):
            partition = actions.column("partition").combine_chunks()
            rows = pa.RecordBatch.from_struct_array(partition).select(list(predicate.columns))
            actions = actions.filter(predicate.mask(rows))
        self._actions = actions
        self._paths: list[str] = [self.path_of(path) for path in actions.column("path").to_pylist()]
        self._sizes: list[int] = actions.column("size_bytes").to_pylist()

    @staticmethod
    def path_of(path: str) -> str:
        """Return the path of a file below the table, from its action in the log."""
        return unquote(path)

    def entries(self) -> Iterator[tuple[str, int, int | None]]:
        """Yield path, bytes and rows of each file; rows are None if the log does not say."""
        return zip(self._paths, self._sizes, self._actions.column("num_records").to_pylist(), strict=True)

    def check(self, subject: str, verb: str = "read") -> None:
        """Compare the files with the log: all are in the table and, of a local table, exist with the same size.

        Args:
            subject: Asset and partition, for messages.
            verb: What is attempted, for messages.

        Raises:
            IntegrityError: The message names the file.
        """
        where = f"Could not {verb} {subject}, table {self._table.address!r}"
        for path in self._paths:
            if _is_outside(path):
                raise IntegrityError(
                    f"{where}: its log refers to {path!r}, a file outside the table. Copy the files into one table, "
                    "such as with a deep clone."
                )
        if not self._table.settings.is_local:
            return
        root = self._table.settings.address
        for path, size in zip(self._paths, self._sizes, strict=True):
            try:
                actual = os.stat(f"{root}/{path}").st_size
            except FileNotFoundError:
                raise IntegrityError(
                    f"{where}: data file {path!r} not found. It was removed, perhaps by vacuuming with a short "
                    "retention. Restore it, or write the asset again."
                ) from None
            if actual != size:
                raise IntegrityError(
                    f"{where}: data file {path!r} has {counted(actual, 'byte')}, and {size} in the log. It was "
                    "changed or cut off. Restore it, or write the asset again."
                )

    def absent(self) -> list[str]:
        """Return the files that are not stored; of a remote table each is asked for."""
        system = self._table.file_system()
        with ThreadPoolExecutor(1 if self._table.settings.is_local else _THREADS) as pool:
            infos = pool.map(lambda path: system.get_file_info(path), self._paths)
            return [
                path
                for path, info in zip(self._paths, infos, strict=True)
                if info.type == fs.FileType.NotFound
            ]

    def are_in_folders(self) -> bool:
        """Return whether the folder of each file agrees with the log about its partition.

        polars takes partition values from folders. Only types whose text polars and Delta Lake write alike count.
        """
        columns = self._partition_columns
        if not columns:
            return True
        if "=" in self._table.path or not self._actions.num_rows:
            return not self._actions.num_rows
        kinds = self._actions.column("partition").type
        if not all(_has_one_text(kinds.field(name).type) for name in columns):
            return False
        partitions = self._actions.column("partition").to_pylist()
        return all(
            _folder_values(path) == [(name, _folder_text(partition[name])) for name in columns]
            for path, partition in zip(self._paths, partitions, strict=True)
        )

    def int96_columns(self, columns: Sequence[Column]) -> list[str]:
        """Return the columns with timestamps in INT96 that may not fit into nanoseconds.

        polars and deltalake (up to 1.6) read INT96, the type of Spark, as nanoseconds, which end in the year 2262.
        Files whose statistics prove that all values fit are not opened.

        Args:
            columns: The columns that will be read.
        """
        candidates = [
            column
            for column in columns
            if column.name not in self._partition_columns and contains(column.stored.type, pat.is_timestamp)
        ]
        names = {column.name for column in candidates}
        if not names or not self._paths:
            return []
        proven = pa.array([True] * len(self._paths))
        for column in candidates:
            proven = pc.and_(proven, self._fits_nanoseconds(column))
        unproven = [i for i, is_proven in enumerate(proven.to_pylist()) if not is_proven]
        return sorted(names & self._int96_of(unproven)) if unproven else []

    def _fits_nanoseconds(self, column: Column) -> pa.BooleanArray:
        """Return for each file whether its statistics prove that all timestamps of a column fit into nanoseconds."""
        unknown = pa.array([False] * len(self._paths))
        if not pat.is_timestamp(column.stored.type):
            return unknown
        low, high = (self._statistic(bound, column.name) for bound in ("min", "max"))
        nulls = self._statistic("null_count", column.name)
        fits = unknown
        if low is not None and high is not None:
            first, last = (_moment(moment, low.type) for moment in (_FIRST_NS, _LAST_NS))
            fits = pc.fill_null(pc.and_(pc.greater_equal(low, first), pc.less_equal(high, last)), False)
        if nulls is not None:
            only_nulls = pc.equal(nulls, self._actions.column("num_records").combine_chunks())
            fits = pc.or_(fits, pc.fill_null(only_nulls, False))
        return fits

    def _statistic(self, kind: str, name: str) -> Any:
        """Return one statistic of each file; None if the log does not have it."""
        if kind not in self._actions.column_names:
            return None
        values = self._actions.column(kind).combine_chunks()
        if not pat.is_struct(values.type) or values.type.get_field_index(name) < 0:
            return None
        return pc.struct_field(values, name)

    def _int96_of(self, files: Sequence[int]) -> frozenset[str]:
        """Return the columns that some files store as INT96, by the footers of the files."""
        keys = [(self._table.address, self._paths[i], self._sizes[i]) for i in files]
        unread = [key for key in keys if key not in _int96_of]
        if len(_int96_of) + len(unread) > _MAX_KNOWN_FILES:
            _int96_of.clear()
            unread = keys
        if unread:
            with ThreadPoolExecutor(1 if self._table.settings.is_local else _THREADS) as pool:
                footers = pool.map(self._read_footer, [path for _, path, _ in unread])
                _int96_of.update(zip(unread, footers, strict=True))
        stored = frozenset[str]().union(*(_int96_of[key] for key in keys))
        return frozenset(name for name in map(self._names.get, stored) if name is not None)

    def _read_footer(self, path: str) -> frozenset[str]:
        import pyarrow.parquet as pq

        schema = pq.read_metadata(path, filesystem=self._table.file_system()).schema
        leaves = (schema.column(i) for i in range(len(schema)))
        return frozenset(leaf.path.partition(".")[0] for leaf in leaves if leaf.physical_type == "INT96")


def check_rewrite(table: Table, subject: str, predicate: Predicate | None = None) -> None:
    """Check files whose rows a change writes into new files: damage, and timestamps that deltalake would change.

    Args:
        table: The table.
        subject: Asset and partition, for messages.
        predicate: The rows that the change concerns; None for all.

    Raises:
        IntegrityError: A file is missing or differs from the log.
        RiversError: Columns hold timestamps in INT96; the message names them.
    """
    DataFiles(table, predicate).check(subject, "change")
    columns = table.columns()
    if not any(contains(column.stored.type, pat.is_timestamp) for column in columns):
        return
    int96 = DataFiles(table).int96_columns(columns)
    if int96:
        raise RiversError(
            f"Cannot change {subject} in table {table.address!r}; nothing was written: column "
            f"{', '.join(map(repr, int96))} holds timestamps in INT96, which deltalake would rewrite as others beyond "
            "the year 2262. Rewrite the table with timestamps in microseconds "
            "(spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS)."
        )


def _is_outside(path: str) -> bool:
    return path.startswith("/") or ":" in path.partition("/")[0] or ".." in path.split("/")


def _has_one_text(kind: pa.DataType) -> bool:
    return bool(
        pat.is_string(kind)
        or pat.is_large_string(kind)
        or pat.is_string_view(kind)
        or pat.is_integer(kind)
        or pat.is_boolean(kind)
        or pat.is_date32(kind)
    )


def _folder_values(path: str) -> list[tuple[str, str]]:
    parts = (folder.partition("=") for folder in path.split("/")[:-1])
    return [(unquote(name), unquote(text)) for name, _, text in parts]


def _folder_text(value: Any) -> str:
    if value is None:
        return _NULL_FOLDER
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def _moment(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(moment if kind.tz else moment.replace(tzinfo=None), kind)
