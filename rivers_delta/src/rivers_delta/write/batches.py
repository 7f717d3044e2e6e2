"""What goes into a table: batches in the types it stores, each row looked at if it has to belong somewhere."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError, RiversError
from rivers_delta.schema.encoding import PARTITION_HINT, TYPE_HINT, Encoding, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from arro3.core import Array, DataType, RecordBatch, RecordBatchReader
    from arro3.core import Schema as ArrowSchema
    from arro3.core.types import ArrowStreamExportable

    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column


_JOINED_BYTES: Final = 64 * 1024 * 1024


class _Handover:
    """A value's own stream, to be taken when it is asked for and not before."""

    def __init__(self, take: Callable[[], RecordBatchReader]) -> None:
        self._take = take

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._take().__arrow_c_stream__(requested_schema)


class RowStream:
    """The batches of a value, made into what the table stores while they pass.

    Args:
        subject: The asset and partition, for messages.
        reader: The batches as the value gives them.
        encoding: How their columns are stored.
        belonging: Which rows may pass; None for all.
        partition_columns: Columns to be marked, so that the table is known to have partitions.
        source: Where the batches are, as the adapter says.
        kept: Of the rows that may pass, those that do; None for all.
        required: Columns that may not hold null.
    """

    def __init__(
        self,
        subject: str,
        reader: RecordBatchReader,
        encoding: Encoding,
        belonging: Predicate | None,
        partition_columns: tuple[str, ...] = (),
        source: str = "memory",
        kept: Predicate | None = None,
        required: Sequence[str] = (),
    ) -> None:
        self._subject = subject
        self._reader: RecordBatchReader | None = reader
        self._given: ArrowSchema = reader.schema
        self._encoding = encoding
        self._belonging = belonging
        self._marked = partition_columns
        self._source = source
        self._kept = kept
        self._required = required
        self.failure: Exception | None = None

    def open(self) -> ArrowStreamExportable:
        """The stream for deltalake; the value's own if there is nothing to do on the way."""
        from arro3.core import RecordBatchReader

        is_same = self._encoding.is_identity and self._belonging is None and not self._marked
        if is_same and self._source == "stream" and not self._required:
            return _Handover(self._unread)
        schema = self._schema()
        batches = self._guarded(schema)
        if self._source == "stream" and _has_pyarrow():
            return _by_pyarrow(schema, batches)
        return RecordBatchReader.from_batches(
            schema, list(batches) if is_same and self._source == "memory" else batches
        )

    def empty(self) -> RecordBatchReader:
        """The same columns without a row; the value stays unread."""
        from arro3.core import RecordBatchReader

        return RecordBatchReader.from_batches(self._schema(), [])

    def close(self) -> None:
        """Let go of the value: the traceback of an error keeps this stream, and would keep a connection busy."""
        self._reader = None

    def _unread(self) -> RecordBatchReader:
        assert self._reader is not None
        return self._reader

    def _schema(self) -> ArrowSchema:
        """The stored columns; those that deltalake casts by itself keep the type they come in."""
        from arro3.core import Schema as ArrowSchema

        stored = ArrowSchema.from_arrow(schema_of(column.stored for column in self._encoding.columns))
        for i, column in enumerate(self._encoding.columns):
            given = self._given.field(i)
            metadata = {TYPE_HINT: column.hint} if column.hint else {}
            if column.name in self._marked:
                metadata[PARTITION_HINT] = "true"
            field = stored.field(i) if column.is_cast else given
            stored = stored.set(i, field.with_metadata(metadata))
        return stored

    def _guarded(self, schema: ArrowSchema) -> Iterator[RecordBatch]:
        try:
            yield from joined(self._batches(schema))
        except Exception as error:
            # deltalake gives only the text of what is raised in here; the writer asks for the error itself.
            self.failure = error
            raise

    def _batches(self, schema: ArrowSchema) -> Iterator[RecordBatch]:
        is_same = self._encoding.is_identity and not self._marked
        reader = self._unread()
        for batch in _awaited(reader) if self._source == "stream" else reader:
            self._refuse_nulls(batch)
            made = batch if is_same else self._encoded(batch, schema)
            if self._belonging is not None:
                refuse_strangers(self._subject, made, self._belonging)
            yield made if self._kept is None else only(made, self._kept)

    def _refuse_nulls(self, batch: RecordBatch) -> None:
        from arro3.core import DataType

        for name in self._required:
            column = batch.column(name)
            count = len(column) if column.type == DataType.null() else column.null_count
            if count:
                raise AssetOutputValidationError(
                    f"{self._subject}: column {name!r} may not be null in the table, and is in "
                    f"{f'{count} rows' if count > 1 else 'one row'}; nothing was stored. Fill it, or drop those rows."
                )

    def _encoded(self, batch: RecordBatch, schema: ArrowSchema) -> RecordBatch:
        from arro3.core import RecordBatch

        arrays = [
            self._cast(column, array, schema.field(i).type) if column.is_cast else array
            for i, (column, array) in enumerate(zip(self._encoding.columns, batch.columns, strict=True))
        ]
        return RecordBatch.from_arrays(arrays, schema=schema)

    def _cast(self, column: Column, array: Array, stored: Any) -> Array:
        made = array.cast(stored if column.through is None else _data_type(column.through))
        # The cast of what is given to its own type takes its name away, which the comparison looks at.
        if column.is_checked and made.cast(array.type) != array.cast(array.type):
            raise AssetOutputValidationError(f"{self._subject}: {_unfit(column)}; nothing was stored.")
        return made if column.through is None else made.cast(stored)


def _data_type(one: ArrowField) -> DataType:
    from arro3.core import Schema as ArrowSchema

    return ArrowSchema.from_arrow(schema_of([one])).field(0).type


def _unfit(column: Column) -> str:
    said, through = f"column {column.name!r} is {column.given.type_name()}", column.through
    if through is None:
        return (
            f"{said} and holds a moment that microseconds cannot say, and Delta keeps no other unit; round it"
        )
    kind = through.type_name()
    return (
        f"{said} here and {kind} in the table, and holds a value that is none of {kind}; correct or round it"
    )


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def _by_pyarrow(schema: ArrowSchema, batches: Iterator[RecordBatch]) -> ArrowStreamExportable:
    """A stream of batches that are waited for without the interpreter.

    arro3 takes a thread that runs one of its own streams for one that holds the interpreter, so that a stream of
    Python within another would run without it.
    """
    import pyarrow as pa

    made: ArrowStreamExportable = pa.RecordBatchReader.from_batches(
        pa.schema(schema), map(pa.record_batch, batches)
    )
    return made


def _awaited(reader: RecordBatchReader) -> Iterator[RecordBatch]:
    """The batches of a native stream, waited for without holding the interpreter, if pyarrow is there to do so.

    The stream may itself need the interpreter on another thread, as a DuckDB query over Python objects does.
    """
    if not _has_pyarrow():
        yield from reader
        return
    import pyarrow as pa
    from arro3.core import RecordBatch

    for batch in pa.RecordBatchReader.from_stream(reader):
        yield RecordBatch.from_arrow(batch)


def joined(batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
    """One batch instead of several, as long as they are small: deltalake writes batches in any order.

    Args:
        batches: All of one schema.
    """
    from arro3.core import Table

    pending: list[RecordBatch] = []
    size, is_large = 0, False
    for batch in batches:
        if is_large:
            yield batch
            continue
        pending.append(batch)
        size += batch.nbytes
        if size > _JOINED_BYTES:
            is_large = True
            yield from pending
            pending.clear()
    if len(pending) > 1:
        yield from Table.from_batches(pending).combine_chunks().to_batches()
    else:
        yield from pending


def refuse_strangers(subject: str, batch: Any, belonging: Predicate) -> None:
    """Refuse a batch that has rows of another partition.

    Args:
        subject: The asset and partition, for the message.
        batch: Speaks the Arrow C stream or array.
        belonging: Which rows belong here.

    Raises:
        PartitionValidationError: There are other rows; it says how many, and shows one.
    """
    columns = list(belonging.columns)
    count, example = _strangers(batch.select(columns), belonging)
    if not count:
        return
    shown = ", ".join(
        f"{name!r} is {value!r}" if isinstance(value, str) else f"{name!r} is {value}"
        for name, value in example.items()
    )
    raise PartitionValidationError(
        f"{subject}: {f'{count} rows belong' if count > 1 else 'one row belongs'} elsewhere ({shown}); nothing was "
        f"stored. Keep only rows of this partition, or correct 'delta/partition_expr' ({', '.join(columns)})."
    )


def only(batch: RecordBatch, belonging: Predicate) -> RecordBatch:
    """The rows of a batch that belong to partitions.

    Args:
        batch: The rows.
        belonging: Which are meant.
    """
    from arro3.core import Array, DataType

    rows = batch.select(list(belonging.columns))
    if _prefers_polars():
        import polars as pl

        places = pl.DataFrame(rows).select(pl.arg_where(belonging.polars())).to_series().to_list()
    else:
        import pyarrow as pa

        table, number = _arrow_table(rows), "\0".join(["row", *belonging.columns])
        numbered = table.append_column(number, pa.array(range(table.num_rows)))
        places = numbered.filter(belonging.pyarrow()).column(number).to_pylist()
    return batch.take(Array(places, DataType.uint64()))


def _strangers(batch: Any, belonging: Predicate) -> tuple[int, dict[str, Any]]:
    """How many rows do not belong, and one of them."""
    if _prefers_polars():
        import polars as pl

        frame = pl.DataFrame(batch)
        strange = frame.filter(~belonging.polars().fill_null(False))
        return strange.height, strange.row(0, named=True) if strange.height else {}
    if importlib.util.find_spec("pyarrow") is None:
        from rivers_delta.types.registry import PIP_LINE

        raise RiversError(f"Telling the rows of a partition needs polars or pyarrow. Run: {PIP_LINE}")
    import pyarrow.compute as pc

    table = _arrow_table(batch)
    strange = table.filter(~pc.coalesce(belonging.pyarrow(), pc.scalar(False)))
    return strange.num_rows, strange.slice(0, 1).to_pylist()[0] if strange.num_rows else {}


def _arrow_table(batch: Any) -> Any:
    """A batch as pyarrow can filter it: there is no comparison of string views."""
    import pyarrow as pa

    table = pa.table(batch)
    plain = [one.with_type(pa.string()) if pa.types.is_string_view(one.type) else one for one in table.schema]
    return table.cast(pa.schema(plain))


def _prefers_polars() -> bool:
    """The library that is imported already, else the one that is installed."""
    if sys.modules.get("polars") is not None:
        return True
    return sys.modules.get("pyarrow") is None and importlib.util.find_spec("polars") is not None
