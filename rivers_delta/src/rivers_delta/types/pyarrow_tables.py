"""pyarrow: tables, and readers that are streamed both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from rivers_core.metadata import Schema
from rivers_delta.statistics import trusted_dataset
from rivers_delta.types.base import TypeAdapter

if TYPE_CHECKING:
    from arro3.core import RecordBatchReader

    from rivers_delta.types.base import Source, TableScan

_BEYOND_DATASETS = {"columnMapping", "deletionVectors"}


class TableAdapter(TypeAdapter):
    """`pyarrow.Table`."""

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """Of the table itself: a stream forgets whether dictionaries are ordered."""
        del reader
        return Schema(value.schema)

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pa.table(reader)

    def read(self, scan: TableScan) -> Any:
        """Read through a dataset, which keeps the order of rows."""
        scanner = _scanner(scan)
        if scanner is None:
            return self.from_reader(scan.reader())
        table = scanner.to_table()
        schema = pa.schema(scan.schema())
        return table if table.schema.equals(schema) else _cast(table, _like(schema, table.schema))


class ReaderAdapter(TableAdapter):
    """`pyarrow.RecordBatchReader`."""

    source: ClassVar[Source] = "stream"

    def is_replayable(self, value: Any) -> bool:
        """A stream is read once."""
        return False

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Give the stream."""
        return pa.RecordBatchReader.from_stream(reader)

    def read(self, scan: TableScan) -> Any:
        """Stream the batches, each cast back as it comes."""
        scanner = _scanner(scan)
        if scanner is None:
            return self.from_reader(scan.reader())
        reader = scanner.to_reader()
        schema = pa.schema(scan.schema())
        if reader.schema.equals(schema):
            return reader
        schema = _like(schema, reader.schema)
        return pa.RecordBatchReader.from_batches(schema, (_cast(batch, schema) for batch in reader))


def _scanner(scan: TableScan) -> Any:
    """A pyarrow scanner, or None where pyarrow cannot read the table by itself."""
    features = scan.table.protocol().reader_features or ()
    if scan.is_feed or _BEYOND_DATASETS.intersection(features):
        return None
    dataset = trusted_dataset(scan.table, scan.predicate)
    predicate = None if scan.predicate is None else scan.predicate.pyarrow()
    return dataset.scanner(columns=[column.name for column in scan.columns], filter=predicate)


def _cast(rows: Any, schema: Any) -> Any:
    """A table or batch with the types of a schema; pyarrow itself casts nothing but text to a dictionary."""
    columns = [
        _encoded(column, field.type) if pa.types.is_dictionary(field.type) else column.cast(field.type)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return type(rows).from_arrays(columns, schema=schema)


def _encoded(column: Any, kind: Any) -> Any:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    made = []
    for chunk in chunks:
        encoded = chunk.dictionary_encode()
        indices, dictionary = encoded.indices.cast(kind.index_type), encoded.dictionary.cast(kind.value_type)
        made.append(pa.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered))
    return pa.chunked_array(made, kind) if isinstance(column, pa.ChunkedArray) else made[0]


def _like(schema: Any, stored: Any) -> Any:
    """The schema with the nullability that the stored columns have, which a cast must not tighten."""
    return pa.schema([field.with_nullable(stored.field(i).nullable) for i, field in enumerate(schema)])
