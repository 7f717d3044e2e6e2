"""Adapters for pyarrow: tables, and readers that are streamed both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import pyarrow as pa
from pyarrow import types as pat

from rivers_frames.adapter import FrameAdapter
from rivers_frames.arrow_categories import as_texts, encoded
from rivers_frames.arrow_types import is_ordered, streamed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arro3.core import RecordBatchReader

    from rivers_frames.adapter import ScanColumn, Source, TableScan

_OWN_METADATA: Final = b"rivers."
_MAX_UNORDERED_CATEGORIES: Final = 10_000


class PyarrowTableAdapter(FrameAdapter):
    """`pyarrow.Table`."""

    def prepare(self, value: Any) -> Any:
        """Refuse a column whose chunks have different ordered categories."""
        for name in ordered_columns(value):
            chunks = value.column(name).chunks
            if any(not chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks[1:]):
                raise TypeError(
                    f"column {name!r} has ordered categories that differ between its chunks; give all chunks the same"
                )
        return value

    def schema(self, value: Any, reader: RecordBatchReader) -> pa.Schema:
        """Return the schema of the table: arro3 loses whether dictionaries are ordered and map keys sorted."""
        del reader
        return value.schema

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Return the values of ordered dictionaries; of others, values that occur suffice."""
        del reader
        return known_categories(value, ordered_columns(value))

    def arrow_reader(self, value: Any) -> pa.RecordBatchReader:
        """Stream the batches of the table, with the order of its dictionaries."""
        return value.to_reader()

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read the whole stream."""
        return pa.table(reader)

    def read(self, scan: TableScan) -> Any:
        """Read the rows in their order."""
        return _as_given(scan.arrow_table(), scan.schema(), scan.columns)


class PyarrowReaderAdapter(PyarrowTableAdapter):
    """`pyarrow.RecordBatchReader`."""

    source: ClassVar[Source] = "stream"

    def is_replayable(self, value: Any) -> bool:
        """Return False: the stream can be consumed once."""
        return False

    def prepare(self, value: Any) -> Any:
        """Return the stream: nothing is known before it is read."""
        return value

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Return none: a stream carries them in its batches."""
        del value, reader
        return {}

    def arrow_reader(self, value: Any) -> pa.RecordBatchReader:
        """Return the stream itself."""
        return value

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Return the stream."""
        return pa.RecordBatchReader.from_stream(reader)

    def read(self, scan: TableScan) -> Any:
        """Stream the batches; each is cast as it arrives."""
        reader = scan.arrow_reader()
        given, columns = streamed(scan.schema()), scan.columns
        schema = _as_given(reader.schema.empty_table(), given, columns).schema
        if reader.schema.equals(schema, check_metadata=True):
            return reader
        batches = (_as_given(batch, given, columns) for batch in reader)
        return pa.RecordBatchReader.from_batches(schema, batches)


class PyarrowDatasetAdapter(PyarrowReaderAdapter):
    """`pyarrow.dataset.Dataset`: scanned batch by batch, and loaded into memory."""

    def is_replayable(self, value: Any) -> bool:
        """Return True: a dataset can be scanned again."""
        return True

    def open(self, value: Any) -> RecordBatchReader:
        """Scan the dataset."""
        return super().open(value.scanner().to_reader())

    def schema(self, value: Any, reader: RecordBatchReader) -> pa.Schema:
        """Return the schema of the dataset."""
        del reader
        return value.schema

    def arrow_reader(self, value: Any) -> pa.RecordBatchReader:
        """Scan the dataset."""
        return value.scanner().to_reader()

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Return a dataset over rows in memory."""
        from pyarrow.dataset import dataset

        return dataset(pa.table(reader))

    def read(self, scan: TableScan) -> Any:
        """Return a dataset over rows in memory."""
        from pyarrow.dataset import dataset

        return dataset(PyarrowTableAdapter.read(self, scan))


def ordered_columns(table: Any) -> list[str]:
    """Return the columns whose categories have an order.

    Args:
        table: A pyarrow table.
    """
    return [field.name for field in table.schema if is_ordered(field.type)]


def known_categories(table: Any, names: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the categories of columns as text, where text represents them exactly.

    Args:
        table: A pyarrow table; all chunks of such a column have one dictionary.
        names: The columns.
    """
    known = {}
    for name in names:
        column = table.column(name)
        values = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
        if len(values) > _MAX_UNORDERED_CATEGORIES and not column.type.ordered:
            continue
        texts = as_texts(values)
        if texts is not None:
            known[name] = texts
    return known


def _as_given(rows: Any, schema: pa.Schema, columns: Sequence[ScanColumn]) -> Any:
    """Cast a table or batch to the types it was written with, and drop the metadata of its storage."""
    given = {field.name: field.type for field in schema}
    known = {column.name: column.categories for column in columns}
    fields, arrays = [], []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        kind = given.get(field.name, field.type)
        if pat.is_dictionary(kind):
            array = encoded(field.name, column, kind, known.get(field.name))
        else:
            array = column if column.type == kind else column.cast(kind)
        arrays.append(array)
        fields.append(_without_own_metadata(field).with_type(array.type))
    return type(rows).from_arrays(arrays, schema=pa.schema(fields, rows.schema.metadata))


def _without_own_metadata(field: Any) -> Any:
    metadata = field.metadata or {}
    return field.with_metadata(
        {key: text for key, text in metadata.items() if not key.startswith(_OWN_METADATA)} or None
    )
