"""Batches of a value on their way into a table: cast to stored types, and checked row by row where needed."""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from arro3.core import Array, DataType, RecordBatch, RecordBatchReader, Table
from arro3.core import Schema as ArrowSchema

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_delta.schema.declarations import Retyped, forbidden_null, forbids_nested_nulls, nullable
from rivers_delta.schema.encoding import PARTITION_HINT, TYPE_HINT, Encoding
from rivers_frames.compat import batches_without_gil, stream_without_gil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arro3.core.types import ArrowStreamExportable

    from rivers_core import PartitionKey
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.declarations import TextLength
    from rivers_delta.schema.encoding import Column

_MAX_JOINED_BYTES: Final = 64 * 1024 * 1024


class _DeferredStream:
    """The stream of a value, exported only when deltalake asks for it."""

    def __init__(self, reader: Callable[[], RecordBatchReader]) -> None:
        self._reader = reader

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._reader().__arrow_c_stream__(requested_schema)


@dataclass(slots=True, eq=False)
class Batches:
    """The batches of a value, converted and checked while they are streamed.

    Args:
        subject: Asset and partition, for messages.
        reader: The batches of the value; None once they were released.
        encoding: How their columns are stored.
        predicate: The rows that are allowed; None for all.
        source: Where the batches come from, as the adapter declares.
        kept: Of the allowed rows, those to store; None for all.
        required: Columns that must not be null.
        lengths: Largest lengths of the texts in columns.
        unique: Columns whose values must not occur twice together, and whether a null equals another one.
        partitions: Rows of each partition key of a value for several; empty for others.
        register: Called with the keys that have rows once all batches are read, before the commit.
        marked: Columns to record as partition columns.

    Attributes:
        failure: The exception that ended the stream: deltalake keeps only its text.
        is_identity: Whether batches can be passed on unchanged.
    """

    subject: str
    reader: RecordBatchReader | None
    encoding: Encoding
    predicate: Predicate | None
    source: str
    kept: Predicate | None
    required: Sequence[str]
    lengths: Mapping[str, Sequence[TextLength]]
    unique: Mapping[str, bool]
    partitions: Mapping[PartitionKey, Predicate]
    register: Callable[[Iterable[PartitionKey]], None]
    marked: tuple[str, ...] = ()
    failure: Exception | None = field(default=None, init=False)
    is_identity: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_identity = self.encoding.is_identity and not self.marked

    def open(self) -> ArrowStreamExportable:
        """Return the stream for deltalake; the value's own if nothing has to be converted or checked."""
        is_unchanged = self.is_identity and self.predicate is None
        if is_unchanged and self.source == "stream" and not (self.required or self.lengths or self.unique):
            return _DeferredStream(self._unread)
        schema = self._schema()
        batches = self._guarded(schema)
        if self.source == "stream":
            return stream_without_gil(schema, batches)
        in_memory = is_unchanged and self.source == "memory"
        return RecordBatchReader.from_batches(schema, list(batches) if in_memory else batches)

    def empty(self) -> RecordBatchReader:
        """Return the columns without rows; the value stays unread."""
        return RecordBatchReader.from_batches(self._schema(), [])

    def close(self) -> None:
        """Release the value: the traceback of an error keeps this object, and would keep a connection busy."""
        self.reader = None

    def _unread(self) -> RecordBatchReader:
        assert self.reader is not None
        return self.reader

    def _schema(self) -> ArrowSchema:
        """Return the stored columns; those that deltalake casts itself keep their type."""
        given = self._unread().schema
        stored = ArrowSchema.from_arrow(self.encoding.stored_schema())
        for i, column in enumerate(self.encoding.columns):
            metadata = {TYPE_HINT: column.hint} if column.hint else {}
            if column.name in self.marked:
                metadata[PARTITION_HINT] = "true"
            field = stored.field(i) if column.is_cast else given.field(i)
            stored = stored.set(i, field.with_metadata(metadata))
        return stored

    def _guarded(self, schema: ArrowSchema) -> Iterator[RecordBatch]:
        try:
            yield from joined(self._converted(schema))
        except Exception as error:
            self.failure = error
            raise

    def _converted(self, schema: ArrowSchema) -> Iterator[RecordBatch]:
        reader = self._unread()
        keys: list[pa.RecordBatch] = []
        stored: set[PartitionKey] = set()
        for batch in batches_without_gil(reader) if self.source == "stream" else reader:
            self._refuse_nulls(batch)
            converted = batch if self.is_identity else self._encode(batch, schema)
            if self.lengths:
                self._refuse_long_texts(converted)
            if self.predicate is not None:
                refuse_foreign_rows(self.subject, converted, self.predicate)
                if len(stored) < len(self.partitions):
                    stored.update(self._keys_in(_partition_columns(converted, self.predicate), stored))
            if self.unique:
                keys.append(pa.record_batch(converted.select(list(self.unique))))
            yield converted if self.kept is None else _matching(converted, self.kept)
        if keys:
            self._refuse_duplicates(pa.Table.from_batches(keys))
        if self.partitions:
            self.register(stored)

    def _keys_in(self, rows: pa.RecordBatch, known: set[PartitionKey]) -> Iterator[PartitionKey]:
        """Yield the partition keys that have some of these rows, except those already known."""
        if not rows.num_rows:
            return
        # one row for each combination of values: a predicate per key over all rows would cost keys times rows
        table = pa.Table.from_batches([rows]).cast(_hashable(rows.schema))
        distinct = table.group_by(rows.schema.names).aggregate([]).combine_chunks().to_batches()[0]
        for key, predicate in self.partitions.items():
            if key not in known and predicate.mask(distinct).true_count:
                yield key

    def _refuse_duplicates(self, keys: pa.Table) -> None:
        """Refuse keys that occur twice; with a null that equals nothing, they may."""
        try:
            keys = keys.cast(_hashable(keys.schema))
            for name in (name for name, is_equal in self.unique.items() if not is_equal):
                keys = keys.filter(keys.column(name).is_valid())
            counts = keys.group_by(list(self.unique)).aggregate([([], "count_all")])
        except pa.ArrowNotImplementedError:
            return  # pyarrow does not group by nested types
        repeated = counts.filter(pc.greater(counts.column("count_all"), 1))
        if not repeated.num_rows:
            return
        example = repeated.slice(0, 1).to_pylist()[0]
        count = example.pop("count_all")
        values = ", ".join(f"{name!r} is {_shown(value)}" for name, value in example.items())
        more = f", and {repeated.num_rows - 1} more keys occur several times" if repeated.num_rows > 1 else ""
        raise AssetOutputValidationError(
            f"Cannot store {self.subject}; nothing was written: the key of the merge occurs {count} times "
            f"in the value ({values}){more}. Keep one row of each key."
        )

    def _refuse_nulls(self, batch: RecordBatch) -> None:
        for name in self.required:
            column = batch.column(name)
            count = len(column) if column.type == DataType.null() else column.null_count
            if count:
                rows = f"{count} rows" if count > 1 else "one row"
                raise AssetOutputValidationError(
                    f"Cannot store {self.subject}; nothing was written: column {name!r} must not be null in the "
                    f"table, and is null in {rows}. Fill it, or drop those rows."
                )

    def _refuse_long_texts(self, batch: RecordBatch) -> None:
        for name, lengths in self.lengths.items():
            values = pa.array(batch.column(name))
            for length in lengths:
                excess = length.excess(values)
                if excess is not None:
                    raise AssetOutputValidationError(
                        f"Cannot store {self.subject}; nothing was written: column {name!r} has a text of {excess} "
                        f"characters, and {length.declared} in the table allows {length.maximum}. Shorten it, or "
                        "widen the column with the engine that created the table."
                    )

    def _encode(self, batch: RecordBatch, schema: ArrowSchema) -> RecordBatch:
        arrays = [
            self._cast(column, array, schema.field(i).type) if column.is_cast else array
            for i, (column, array) in enumerate(zip(self.encoding.columns, batch.columns, strict=True))
        ]
        return RecordBatch.from_arrays(arrays, schema=schema)

    def _cast(self, column: Column, array: Array, stored: DataType) -> Array:
        through = None if column.through is None else DataType.from_arrow(column.through)
        result = self._forbid_nulls(column, array, stored) if through is None else array.cast(through)
        # Casting an array to its own type drops the field name, which the comparison would include.
        if column.is_checked and result.cast(array.type) != array.cast(array.type):
            raise AssetOutputValidationError(
                f"Cannot store {self.subject}; nothing was written: {_unfit(column)}."
            )
        return result if through is None else self._forbid_nulls(column, result, stored)

    def _forbid_nulls(self, column: Column, array: Array, stored: DataType) -> Array:
        """Cast to a type whose nested fields may not be null: arrow-rs does not, even if there are no nulls."""
        kind = pa.field(stored).type
        if not forbids_nested_nulls(kind):
            return array.cast(stored)
        values = array.cast(DataType.from_arrow(nullable(kind)))
        name = forbidden_null(pa.array(values), kind)
        if name is not None:
            raise AssetOutputValidationError(
                f"Cannot store {self.subject}; nothing was written: column {column.name!r} has nulls in its field "
                f"{name!r}, which must not be null in the table. Fill it, or drop those rows."
            )
        return Array.from_arrow(Retyped(values, stored))


def _hashable(schema: pa.Schema) -> pa.Schema:
    """Return types that pyarrow (up to 26) groups by: it does not support views."""
    kinds = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in schema])


def joined(batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
    """Yield one batch instead of several small ones: deltalake writes batches in any order.

    Args:
        batches: Batches of one schema.
    """
    pending: list[RecordBatch] = []
    size, is_large = 0, False
    for batch in batches:
        if is_large:
            yield batch
            continue
        pending.append(batch)
        size += batch.nbytes
        if size > _MAX_JOINED_BYTES:
            is_large = True
            yield from pending
            pending.clear()
    if len(pending) > 1:
        yield from Table.from_batches(pending).combine_chunks().to_batches()
    else:
        yield from pending


def refuse_foreign_rows(subject: str, batch: RecordBatch, predicate: Predicate) -> None:
    """Refuse a batch with rows of another partition.

    Args:
        subject: Asset and partition, for the message.
        batch: The rows.
        predicate: The rows of the partition.

    Raises:
        PartitionValidationError: There are other rows; the message has their number and one example.
    """
    rows = _partition_columns(batch, predicate)
    mask = predicate.mask(rows)
    count = len(mask) - mask.true_count
    if not count:
        return
    (example,) = rows.slice(pc.index(mask, False).as_py(), 1).to_pylist()
    values = ", ".join(f"{name!r} is {_shown(value)}" for name, value in example.items())
    raise PartitionValidationError(
        f"Cannot store {subject}; nothing was written: {f'{count} rows belong' if count > 1 else 'one row belongs'} to "
        f"another partition ({values}). Keep only rows of this partition, or correct 'delta/partition_expr' "
        f"({', '.join(predicate.columns)})."
    )


def _matching(batch: RecordBatch, predicate: Predicate) -> RecordBatch:
    mask = predicate.mask(_partition_columns(batch, predicate))
    return batch.take(Array.from_arrow(pc.indices_nonzero(mask)))


def _partition_columns(batch: RecordBatch, predicate: Predicate) -> pa.RecordBatch:
    return pa.record_batch(batch.select(list(predicate.columns)))


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _unfit(column: Column) -> str:
    subject = f"column {column.name!r} has type {column.given.type}"
    if column.through is None:
        return f"{subject} and a value that microseconds, the unit of Delta Lake, cannot represent; round it"
    wanted = column.through
    return f"{subject}, and {wanted} in the table, with a value that {wanted} cannot represent; correct or round it"
