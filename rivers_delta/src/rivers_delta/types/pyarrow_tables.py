"""pyarrow: tables, and readers that are streamed both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from rivers_core import Schema
from rivers_delta.compat import trusted_dataset
from rivers_delta.schema.categories import MOST_CATEGORIES
from rivers_delta.schema.encoding import streamed
from rivers_delta.types.arrow_categories import as_texts, encoded
from rivers_delta.types.base import TypeAdapter
from rivers_delta.types.pyarrow_files import closed_at_exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arro3.core import RecordBatchReader

    from rivers_delta.schema.encoding import Column
    from rivers_delta.types.base import Source, TableScan

_OWN_METADATA = b"rivers."
_BEYOND_DATASETS = {"columnMapping", "deletionVectors"}


class TableAdapter(TypeAdapter):
    """`pyarrow.Table`."""

    def prepare(self, value: Any) -> Any:
        """Refuse a column whose chunks put their categories in different orders."""
        for name in ordered_columns(value):
            first, *others = value.column(name).chunks or [None]
            if any(not chunk.dictionary.equals(first.dictionary) for chunk in others):
                raise TypeError(
                    f"column {name!r} has categories in an order, and its chunks have different ones; give the chunks "
                    "the same"
                )
        return value

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """Of the table itself: a stream forgets whether dictionaries are ordered and keys of maps are sorted."""
        del reader
        return Schema(value.schema)

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """The values of ordered dictionaries; of others, those that occur are enough."""
        del reader
        return known_categories(value, ordered_columns(value))

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return pa.table(reader)

    def read(self, scan: TableScan) -> Any:
        """Read through a dataset, which keeps the order of rows."""
        scanner = _scanner(scan)
        table = pa.table(scan.reader()) if scanner is None else scanner.to_table()
        return _as_given(table, scan.schema(), scan.columns)


class ReaderAdapter(TableAdapter):
    """`pyarrow.RecordBatchReader`."""

    source: ClassVar[Source] = "stream"

    def is_replayable(self, value: Any) -> bool:
        """A stream is read once."""
        return False

    def prepare(self, value: Any) -> Any:
        """Nothing can be seen before it is read."""
        return value

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """A stream tells them with its batches, too late."""
        del value, reader
        return {}

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Give the stream."""
        return pa.RecordBatchReader.from_stream(reader)

    def read(self, scan: TableScan) -> Any:
        """Stream the batches, each cast back as it comes."""
        scanner = _scanner(scan)
        reader = self.from_reader(scan.reader()) if scanner is None else closed_at_exit(scanner.to_reader())
        given, columns = streamed(scan.schema()), scan.columns
        schema = _as_given(reader.schema.empty_table(), given, columns).schema
        if reader.schema.equals(schema, check_metadata=True):
            return reader
        return pa.RecordBatchReader.from_batches(
            schema, (_as_given(batch, given, columns) for batch in reader)
        )


def ordered_columns(table: Any) -> list[str]:
    """The columns whose categories have an order.

    Args:
        table: A pyarrow table.
    """
    return [field.name for field in table.schema if getattr(field.type, "ordered", False)]


def known_categories(table: Any, names: Sequence[str]) -> dict[str, list[str | None]]:
    """The values of some columns' dictionaries, where text can say them.

    Args:
        table: A pyarrow table; all chunks of such a column have one dictionary.
        names: The columns.
    """
    known = {}
    for name in names:
        column = table.column(name)
        values = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
        if len(values) > MOST_CATEGORIES and not column.type.ordered:
            continue
        texts = as_texts(values)
        if texts is not None:
            known[name] = texts
    return known


def _scanner(scan: TableScan) -> Any:
    """A pyarrow scanner, or None where pyarrow cannot read the table by itself."""
    features = scan.table.protocol().reader_features or ()
    if scan.is_feed or _BEYOND_DATASETS.intersection(features):
        return None
    dataset = trusted_dataset(scan.table, scan.predicate)
    predicate = None if scan.predicate is None else scan.predicate.pyarrow()
    return dataset.scanner(columns=[column.name for column in scan.columns], filter=predicate)


def _as_given(rows: Any, schema: Schema, columns: Sequence[Column]) -> Any:
    """A table or batch with the types that were given, and without what this package has noted beside them."""
    given = {field.name: field.type for field in pa.schema(schema)}
    known = {column.name: column.categories for column in columns}
    fields, arrays = [], []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        kind = given.get(field.name, field.type)
        if pa.types.is_dictionary(kind):
            array = encoded(field.name, column, kind, known.get(field.name))
        else:
            array = column if column.type == kind else column.cast(kind)
        arrays.append(array)
        fields.append(_unmarked(field).with_type(array.type))
    return type(rows).from_arrays(arrays, schema=pa.schema(fields, rows.schema.metadata))


def _unmarked(field: Any) -> Any:
    metadata = field.metadata or {}
    return field.with_metadata(
        {key: text for key, text in metadata.items() if not key.startswith(_OWN_METADATA)} or None
    )
