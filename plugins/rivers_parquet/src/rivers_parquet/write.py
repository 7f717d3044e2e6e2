"""Contents of files: polars writes the values of polars, pyarrow all others, batch by batch."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from rivers_core.exceptions import AssetOutputValidationError
from rivers_frames import Frame
from rivers_frames.compat import without_views
from rivers_parquet.details import KEY, Details

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from rivers_parquet.options import Compression
    from rivers_parquet.partition_rows import PartitionRows

# Rows of a row group of the streaming writer of polars, and the memory that one may take while it is collected.
_ROWS: Final = 122_880
_MAX_BYTES: Final = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """Settings with which a file is written.

    Args:
        compression: Compression of the pages.
        compression_level: Its level; None for the default.
        row_group_size: Most rows of a row group; None for the default.
        statistics: Whether to write the smallest and largest value of each page.
    """

    compression: Compression
    compression_level: int | None
    row_group_size: int | None
    statistics: bool


class Content(ABC):
    """Content of one file.

    Args:
        type_name: Name of the frame type, which the file records.
    """

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    @abstractmethod
    def write(self, path: str, key: str, layout: Layout, subject: str) -> None:
        """Write a complete Parquet file.

        Args:
            path: Path of the file.
            key: Storage key of the value.
            layout: How it is written.
            subject: Asset and partition, for messages.

        Raises:
            AssetOutputValidationError: Parquet does not support the type of a column.
        """

    @abstractmethod
    def split(self, partition: PartitionRows) -> list[tuple[Content, int]]:
        """Return the content and the number of rows of each partition key, in their order.

        All rows are held in memory.

        Args:
            partition: The keys, and the rows that belong to them.

        Raises:
            AssetOutputValidationError: A row belongs to none of the keys.
            PartitionValidationError: A column that holds a key is missing, or cannot hold it.
        """


class QueryContent(Content):
    """Content that polars writes.

    Args:
        frame: A value of polars.
        query: The same value as a query.
    """

    def __init__(self, frame: Frame, query: pl.LazyFrame) -> None:
        super().__init__(frame.type_name)
        self._frame, self._query = frame, query

    def write(self, path: str, key: str, layout: Layout, subject: str) -> None:
        """Run the query, and write its rows in pieces."""
        del subject
        # polars itself restores its types from the schema in the file; other libraries need the values of an Enum
        adapter, value = self._frame.adapter, self._frame.value
        empty = type(value)(schema=self._query.collect_schema())
        categories = adapter.categories(value, adapter.open(empty))
        self._query.sink_parquet(
            path,
            compression=layout.compression,
            compression_level=layout.compression_level,
            row_group_size=layout.row_group_size,
            statistics=layout.statistics,
            metadata={KEY: Details(key, self.type_name, {}, categories).to_json()},
        )

    def split(self, partition: PartitionRows) -> list[tuple[Content, int]]:
        """Run the query once, and group its rows."""
        import polars as pl

        from rivers_frames.polars_frames import polars_column

        rows = self._query.collect()
        partition.refuse_missing(rows.columns)
        column = "place"
        while column in rows.columns:
            column += "_"
        places = [
            partition.places(batch)
            for batch in rows.select(map(polars_column, partition.columns)).to_arrow().to_batches()
        ]
        groups = rows.with_columns(
            pl.Series(column, pa.chunked_array(places, pa.int32()), pl.Int32)
        ).partition_by(column, include_key=False, maintain_order=True, as_dict=True)
        parts = [groups.get((place,), rows.clear()) for place in range(len(partition.keys))]
        adapter, is_lazy = self._frame.adapter, isinstance(self._frame.value, pl.LazyFrame)
        return [
            (
                QueryContent(Frame(self.type_name, adapter, part.lazy() if is_lazy else part), part.lazy()),
                part.height,
            )
            for part in parts
        ]


class BatchContent(Content):
    """Content that pyarrow writes batch by batch.

    Args:
        type_name: Name of the frame type.
        reader: The rows; can be consumed once.
        schema: The columns to write.
        details: Details of the value, without its key.
    """

    def __init__(
        self, type_name: str, reader: pa.RecordBatchReader, schema: pa.Schema, details: Details
    ) -> None:
        super().__init__(type_name)
        self._reader, self._schema, self._details = reader, schema, details

    def write(self, path: str, key: str, layout: Layout, subject: str) -> None:
        """Write the rows as they come."""
        _refuse_names(self._schema, subject)
        details = replace(self._details, key=key).to_json().encode()
        schema = self._schema.with_metadata({**(self._schema.metadata or {}), KEY.encode(): details})
        options: dict[str, Any] = {
            "compression": "none" if layout.compression == "uncompressed" else layout.compression,
            "compression_level": layout.compression_level,
            "write_statistics": layout.statistics,
            "write_page_checksum": True,
        }
        try:
            writer = pq.ParquetWriter(path, schema, **options)
        except pa.ArrowNotImplementedError as error:
            raise _type_error(schema, options, subject) from error
        rows = layout.row_group_size or _ROWS
        with writer:
            for table in row_groups(self._reader, rows):
                writer.write_table(
                    table.cast(schema) if table.schema != schema else table, row_group_size=rows
                )

    def split(self, partition: PartitionRows) -> list[tuple[Content, int]]:
        """Read all rows, and group them."""
        _refuse_names(self._schema, partition.subject)
        partition.refuse_missing(self._schema.names)
        schema = without_views(self._reader.schema)
        groups: list[list[pa.RecordBatch]] = [[] for _ in partition.keys]
        for batch in self._reader:
            for place, rows in partition.split(batch if batch.schema == schema else batch.cast(schema)):
                groups[place].append(rows)
        return [
            (
                BatchContent(
                    self.type_name,
                    pa.RecordBatchReader.from_batches(schema, group),
                    self._schema,
                    self._details,
                ),
                sum(batch.num_rows for batch in group),
            )
            for group in groups
        ]


def content_of(frame: Frame) -> Content:
    """Return the content of a file for a value.

    Args:
        frame: The value.
    """
    adapter, value = frame.adapter, frame.value
    query = adapter.query(value)
    if query is not None:
        return QueryContent(frame, query)
    reader = adapter.arrow_reader(value)
    details = Details("", frame.type_name, adapter.extras(value, reader), adapter.categories(value, reader))
    return BatchContent(frame.type_name, reader, adapter.schema(value, reader), details)


def row_groups(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    """Yield tables of so many rows, or fewer if they take much memory.

    Args:
        reader: Batches of any size.
        rows: Rows of each table but the last.
    """
    pending: list[pa.RecordBatch] = []
    count = size = 0
    for batch in reader:
        while count + batch.num_rows >= rows:
            head = batch.slice(0, rows - count)
            yield pa.Table.from_batches([*pending, head], reader.schema)
            batch = batch.slice(head.num_rows)
            pending, count, size = [], 0, 0
        if batch.num_rows:
            pending.append(batch)
            count += batch.num_rows
            size += batch.nbytes
        if size > _MAX_BYTES:
            yield pa.Table.from_batches(pending, reader.schema)
            pending, count, size = [], 0, 0
    if pending:
        yield pa.Table.from_batches(pending, reader.schema)


def _refuse_names(schema: pa.Schema, subject: str) -> None:
    repeated = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if repeated is not None:
        raise AssetOutputValidationError(
            f"Cannot store {subject}; nothing was written: column {repeated!r} exists more than once. Rename one."
        )


def _type_error(schema: pa.Schema, options: dict[str, Any], subject: str) -> AssetOutputValidationError:
    """Return the error that names the columns that pyarrow cannot write."""
    problems = []
    for column in schema:
        try:
            pq.ParquetWriter(io.BytesIO(), pa.schema([column]), **options)
        except pa.ArrowNotImplementedError:
            problems.append(f"column {column.name!r} has type {column.type}, which Parquet does not support")
    return AssetOutputValidationError(
        f"Cannot store {subject}; nothing was written: {'; '.join(problems)}. Cast or drop these columns."
    )
