"""Write one frame as a Parquet file: with polars if it is a value of polars, else batch by batch with pyarrow."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from rivers_core.exceptions import AssetOutputValidationError
from rivers_parquet.details import KEY, Details

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from rivers_frames import Frame
    from rivers_parquet.options import Compression

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


def write_file(path: str, frame: Frame, key: str, layout: Layout, subject: str) -> None:
    """Write a complete Parquet file.

    Args:
        path: Path of the file.
        frame: The value.
        key: Storage key of the value.
        layout: How it is written.
        subject: Asset and partition, for messages.

    Raises:
        AssetOutputValidationError: Parquet does not support the type of a column.
    """
    query = frame.adapter.query(frame.value)
    if query is None:
        _write_batches(path, frame, key, layout, subject)
    else:
        _write_query(path, frame, query, key, layout)


def _write_query(path: str, frame: Frame, query: pl.LazyFrame, key: str, layout: Layout) -> None:
    # polars itself restores its types from the schema in the file; other libraries need the values of an Enum
    empty = type(frame.value)(schema=query.collect_schema())
    categories = frame.adapter.categories(frame.value, frame.adapter.open(empty))
    query.sink_parquet(
        path,
        compression=layout.compression,
        compression_level=layout.compression_level,
        row_group_size=layout.row_group_size,
        statistics=layout.statistics,
        metadata={KEY: Details(key, frame.type_name, {}, categories).to_json()},
    )


def _write_batches(path: str, frame: Frame, key: str, layout: Layout, subject: str) -> None:
    adapter, value = frame.adapter, frame.value
    reader = adapter.arrow_reader(value)
    details = Details(key, frame.type_name, adapter.extras(value, reader), adapter.categories(value, reader))
    given = adapter.schema(value, reader)
    _refuse_names(given, subject)
    schema = given.with_metadata({**(given.metadata or {}), KEY.encode(): details.to_json().encode()})
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
        for table in row_groups(reader, rows):
            writer.write_table(table.cast(schema) if table.schema != schema else table, row_group_size=rows)


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
