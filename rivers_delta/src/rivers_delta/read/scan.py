"""Scans: some rows and columns of a table or of its change feed, with the types they were written with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from rivers_core.exceptions import InvalidMetadataError, RiversError
from rivers_delta.compat import closed_at_exit, dataset_of, polars_options
from rivers_delta.log.protocol import reader_features, refuse_unreadable
from rivers_delta.read.data_files import DataFiles
from rivers_delta.schema.declarations import Retyped, forbidden_null, forbids_nested_nulls, nullable
from rivers_frames.arrow_types import streamed
from rivers_frames.compat import batches_without_gil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import polars as pl
    from arro3.core import DataType, RecordBatch, RecordBatchReader
    from arro3.core import Schema as ArrowSchema
    from pyarrow.dataset import Dataset

    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column

_FAST_FEATURES: Final = frozenset(["timestampNtz"])
"""Protocol features with which polars and pyarrow are known to read every value correctly."""


@dataclass(frozen=True, slots=True)
class Readers:
    """The readers that return exactly the values of a table; any of them may be used.

    Args:
        polars: The scan of polars. It takes partition values from folders.
        pyarrow: The datasets of pyarrow. They take partition values from the log.
        deltalake: The scan of deltalake, which supports most features of the protocol.
    """

    polars: bool
    pyarrow: bool
    deltalake: bool


def supported_readers(table: Table, files: DataFiles, columns: Sequence[Column], subject: str) -> Readers:
    """Return the readers that are known to read a table correctly.

    Args:
        table: The table.
        files: The data files that will be read.
        columns: The columns that will be read.
        subject: Asset and partition, for messages.

    Raises:
        RiversError: There is no such reader; the message names the feature.
    """
    refuse_unreadable(table, subject)
    features = reader_features(table) - _FAST_FEATURES
    int96 = files.int96_columns(columns)
    if int96 and features:
        raise RiversError(
            f"Could not read {subject}, table {table.address!r}: column {', '.join(map(repr, int96))} holds timestamps "
            f"in INT96, which cannot be read in a table with the feature {', '.join(map(repr, sorted(features)))}. "
            "Rewrite the table with timestamps in microseconds "
            "(spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS)."
        )
    is_plain = not features
    return Readers(
        polars=is_plain and not int96 and files.are_in_folders(), pyarrow=is_plain, deltalake=not int96
    )


@dataclass(frozen=True, slots=True)
class Scan:
    """Some rows and columns of one version of a table.

    Args:
        table: The table, at that version.
        columns: The columns to return.
        predicate: The rows to return; None for all.
        readers: The readers that may be used.
        errors: Translates errors of a query that runs later.
    """

    table: Table
    columns: tuple[Column, ...]
    predicate: Predicate | None
    readers: Readers
    errors: Callable[[], AbstractContextManager[None]]

    def schema(self) -> pa.Schema:
        """Return the columns with the types they were written with."""
        return pa.schema([column.given for column in self.columns])

    def reader(self) -> RecordBatchReader:
        """Return the rows as a stream, read by deltalake's engine where it supports the table."""
        wanted = streamed(self.schema())
        if self.readers.deltalake:
            return _cast_reader(self._native_reader(), wanted)
        from arro3.core import RecordBatchReader

        reader = self.arrow_reader()
        stored = RecordBatchReader.from_batches(reader.schema, batches_without_gil(reader))
        return _cast_reader(stored, wanted)

    def arrow_table(self) -> pa.Table:
        """Return the rows in their order, read by pyarrow where it supports the table."""
        scanner = self._scanner()
        if scanner is None:
            return pa.table(self._stored_reader())
        table = scanner.to_table()
        schema = self._declared_schema(table.schema)
        if schema is None:
            return table
        return pa.Table.from_batches([_declared(batch, schema) for batch in table.to_batches()], schema)

    def arrow_reader(self) -> pa.RecordBatchReader:
        """Return the rows as a stream in their order, read by pyarrow where it supports the table."""
        scanner = self._scanner()
        if scanner is None:
            return pa.RecordBatchReader.from_stream(self._stored_reader())
        reader = closed_at_exit(scanner.to_reader())
        schema = self._declared_schema(reader.schema)
        if schema is None:
            return reader
        return pa.RecordBatchReader.from_batches(schema, (_declared(batch, schema) for batch in reader))

    def lazy_frame(self) -> pl.LazyFrame:
        """Return the rows as a polars query, read by polars where it supports the table."""
        if not self.readers.polars:
            return self._lazy_stream()
        import polars as pl

        from rivers_frames.polars_frames import polars_column

        frame = pl.scan_delta(
            self.table, storage_options=polars_options(self.table.settings.storage_options) or None
        )
        if self.predicate is not None:
            frame = frame.filter(self.predicate.polars())
        names = [column.name for column in self.columns]
        if names == pa.schema(self.table.schema()).names:
            return frame
        return frame.select([polars_column(name) for name in names])

    def _lazy_stream(self) -> pl.LazyFrame:
        """Return a polars query over `arrow_reader`, which gets the columns and filters of later operations."""
        import polars as pl
        from polars.io.plugins import register_io_source

        schema = pl.Schema(self._stored_schema())

        def frames(
            names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            del batch_size
            by_name = {column.name: column for column in self.columns}
            columns = self.columns if names is None else tuple(by_name[name] for name in names)
            left = n_rows
            with self.errors():
                for batch in replace(self, columns=columns).arrow_reader():
                    frame = pl.DataFrame(batch).cast({column.name: schema[column.name] for column in columns})
                    if left is not None:
                        frame = frame.head(left)
                        left -= frame.height
                    yield frame if predicate is None else frame.filter(predicate)
                    if left == 0:
                        return

        return register_io_source(frames, schema=schema)

    def _native_reader(self) -> RecordBatchReader:
        predicate = None if self.predicate is None else self.predicate.sql()
        return self.table.scan(columns=[column.name for column in self.columns], predicate=predicate)

    def _stored_reader(self) -> RecordBatchReader:
        """Return the rows with stored types; the scan itself returns other variants of text and bytes."""
        return _cast_reader(self._native_reader(), self._stored_schema())

    def _stored_schema(self) -> pa.Schema:
        return pa.schema([column.stored for column in self.columns])

    def _declared_schema(self, schema: pa.Schema) -> pa.Schema | None:
        """Return a schema with the nested fields that must not be null in the table; None if there are none."""
        kinds = [column.stored.type for column in self.columns]
        if not any(map(forbids_nested_nulls, kinds)):
            return None
        fields = [
            field.with_type(kind) if nullable(kind) == field.type else field
            for field, kind in zip(schema, kinds, strict=True)
        ]
        return pa.schema(fields, schema.metadata)

    def _sizes(self) -> dict[str, int]:
        """Return the sizes of remote files, which would be asked for one by one."""
        if self.table.settings.is_local:
            return {}
        return {path: size for path, size, _ in DataFiles(self.table).entries()}

    def _scanner(self) -> Any:
        """Return a pyarrow scanner; None if pyarrow does not support the table."""
        if not self.readers.pyarrow:
            return None
        trust_bounds = self.predicate is None or not self.predicate.is_rounded
        dataset = dataset_of(self.table, self.table.file_system(self._sizes()), trust_bounds=trust_bounds)
        predicate = None if self.predicate is None else self.predicate.pyarrow()
        dataset = _with_nullable_fields(dataset)
        return dataset.scanner(columns=[column.name for column in self.columns], filter=predicate)


@dataclass(frozen=True, slots=True)
class ChangeFeedScan:
    """Changes between two versions of a table: its rows, with three columns that describe the change.

    Args:
        table: The table, at its latest version.
        columns: The columns of rows to return.
        predicate: The rows to return; None for all.
        bounds: Versions or timestamps of `start` and `end`.
    """

    table: Table
    columns: tuple[Column, ...]
    predicate: Predicate | None
    bounds: Mapping[str, int | str]

    def schema(self) -> pa.Schema:
        """Return the columns with the types they were written with."""
        return pa.schema([column.given for column in self.columns])

    def reader(self) -> RecordBatchReader:
        """Return the changes as a stream.

        Raises:
            InvalidMetadataError: A bound is outside the life of the table.
        """
        self._refuse_outside()
        arguments: dict[str, Any] = {}
        for side, name in (("start", "starting"), ("end", "ending")):
            bound = self.bounds.get(side)
            if bound is not None:
                arguments[f"{name}_{'version' if isinstance(bound, int) else 'timestamp'}"] = bound
        predicate = None if self.predicate is None else self.predicate.sql()
        names = [column.name for column in self.columns]
        changes = self.table.load_cdf(columns=None, predicate=predicate, **arguments)
        return _cast_reader(changes, streamed(self.schema()), names)

    def arrow_table(self) -> pa.Table:
        """Return the changes as a pyarrow table."""
        return pa.table(self.reader())

    def arrow_reader(self) -> pa.RecordBatchReader:
        """Return the changes as a pyarrow stream."""
        return pa.RecordBatchReader.from_stream(self.reader())

    def lazy_frame(self) -> pl.LazyFrame:
        """Return the changes as a polars frame."""
        import polars as pl

        return pl.DataFrame(self.reader()).lazy()

    def _refuse_outside(self) -> None:
        """Refuse a start after the last version and an end before the first: a mistake, not an empty feed."""
        start, end = self.bounds.get("start"), self.bounds.get("end")
        latest, committed = self.table.version(), self.table.committed_at()
        if (isinstance(start, int) and start > latest) or _is_after(start, committed):
            raise InvalidMetadataError(
                f"'delta/change_feed' starts at {start}, after the latest version of {self.table.address!r}, {latest}"
                f"{_at(committed)}."
            )
        first = self.table.committed_at(0)
        if isinstance(end, str) and first is not None and not _is_after(end, first):
            raise InvalidMetadataError(
                f"'delta/change_feed' ends at {end}, before version 0 of {self.table.address!r}{_at(first)}."
            )


def _is_after(bound: int | str | None, moment: datetime | None) -> bool:
    return isinstance(bound, str) and moment is not None and datetime.fromisoformat(bound) > moment


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f", committed at {moment.isoformat()}"


def _with_nullable_fields(dataset: Dataset) -> Dataset:
    """Return a dataset whose nested fields may be null.

    pyarrow (up to 26) refuses a null struct with a field that must not be null if the file declares the field optional,
    as files of Spark do.
    """
    from pyarrow.dataset import FileSystemDataset

    if not any(forbids_nested_nulls(field.type) for field in dataset.schema):
        return dataset
    fields = [field.with_type(nullable(field.type)) for field in dataset.schema]
    schema = pa.schema(fields, dataset.schema.metadata)
    return FileSystemDataset(list(dataset.get_fragments()), schema, dataset.format, dataset.filesystem)


def _declared(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with fields that must not be null.

    Raises:
        ValueError: Such a field is null, below a value that is not.
    """
    for field, column in zip(schema, batch.columns, strict=True):
        name = forbidden_null(column, field.type)
        if name is not None:
            raise ValueError(
                f"column {field.name!r} has nulls in its field {name!r}, which must not be null in the table"
            )
    return pa.record_batch(Retyped(batch, schema))


def _cast_reader(
    reader: RecordBatchReader, schema: pa.Schema, row_columns: Sequence[str] | None = None
) -> RecordBatchReader:
    """Cast a stream to the types of a schema.

    Args:
        reader: Batches as they are stored.
        schema: The types to return.
        row_columns: Columns of rows in a change feed; its own columns follow them unchanged.
    """
    from arro3.core import RecordBatchReader
    from arro3.core import Schema as ArrowSchema

    wanted = ArrowSchema.from_arrow(schema)
    if row_columns is not None:
        fields = [reader.schema.field(i) for i in range(len(reader.schema.names))]
        own = [field for field in fields if field.name not in row_columns and field.name.startswith("_")]
        wanted = ArrowSchema([*(wanted.field(i) for i in range(len(wanted.names))), *own])
    if reader.schema.names == wanted.names and reader.schema.types == wanted.types:
        return reader
    return RecordBatchReader.from_batches(wanted, _cast_batches(reader, wanted))


def _is_same(kind: DataType, wanted: DataType) -> bool:
    """Compare types with the names of nested fields, which arro3 (up to 0.9) ignores in maps and batches require."""
    return kind == wanted and repr(kind) == repr(wanted)


def _cast_batches(reader: RecordBatchReader, wanted: ArrowSchema) -> Iterator[RecordBatch]:
    from arro3.core import RecordBatch

    for batch in reader:
        arrays = [
            array if _is_same(array.type, kind) else array.cast(kind)
            for array, kind in zip(map(batch.column, wanted.names), wanted.types, strict=True)
        ]
        yield RecordBatch.from_arrays(arrays, schema=wanted)
