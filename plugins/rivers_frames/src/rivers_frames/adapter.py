"""Base class of frame types, and what a reader offers to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    import pyarrow as pa
    from arro3.core import RecordBatchReader

    from rivers_core.authoring import ForkGuard

Source = Literal["memory", "query", "stream"]


class ScanColumn(Protocol):
    """One column to read."""

    @property
    def name(self) -> str:
        """The name of the column."""
        ...

    @property
    def given(self) -> pa.Field:
        """The type the column was written with."""
        ...

    @property
    def stored(self) -> pa.Field:
        """The type in storage."""
        ...

    @property
    def extras(self) -> Mapping[str, str]:
        """Result of `extras` of the adapter that wrote the column."""
        ...

    @property
    def categories(self) -> Sequence[str | None] | None:
        """The categories of the column in their order, as text; None if they are not known."""
        ...


class TableScan(Protocol):
    """Some columns and rows of a stored table, in the forms that frame libraries read best."""

    @property
    def columns(self) -> Sequence[ScanColumn]:
        """The columns to return, in order."""
        ...

    def schema(self) -> pa.Schema:
        """Return the columns with the types they were written with."""
        ...

    def reader(self) -> RecordBatchReader:
        """Return the rows as a stream, with the types of `schema`.

        Dictionaries without an order have indices of at least 32 bits.
        """
        ...

    def arrow_table(self) -> pa.Table:
        """Return the rows as a pyarrow table, with stored types."""
        ...

    def arrow_reader(self) -> pa.RecordBatchReader:
        """Return the rows as a pyarrow stream, with stored types."""
        ...

    def lazy_frame(self) -> pl.LazyFrame:
        """Return the rows as a polars query, with stored types."""
        ...


class FrameAdapter(ABC):
    """Converts values of one frame type to Arrow batches, and batches to values.

    An author writes `from_reader`; a type with `__arrow_c_stream__` needs nothing else. Adapters have no state and
    are created once.

    Examples:
        >>> class SetAdapter(FrameAdapter):
        ...     def from_reader(self, reader):
        ...         return {tuple(row.values()) for batch in reader for row in batch.to_struct_array().to_pylist()}
    """

    source: ClassVar[Source] = "memory"
    """Where batches come from: `memory`; `query`, computed batch by batch by the iterator of `open`; or `stream`,
    native code that must not be awaited while holding the GIL."""

    is_lazy: ClassVar[bool] = False
    """Whether a value that `read` returns reads rows only when it is used."""

    fork_guard: ClassVar[ForkGuard | None] = None
    """Refuses the library in a forked process, if it has threads that do not survive a fork."""

    @abstractmethod
    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Build a value from a stream of batches, which have the types that were written.

        Args:
            reader: Exports the Arrow C stream; can be consumed once.
        """

    def prepare(self, value: Any) -> Any:
        """Return what the other methods receive: the value itself, or a conversion that is needed once.

        Args:
            value: A value of the type.

        Raises:
            TypeError: A column cannot be represented in Arrow; the message names it.
        """
        return value

    def open(self, value: Any) -> RecordBatchReader:
        """Return a new stream over a value.

        Args:
            value: A value of the type, as `prepare` returned it.

        Raises:
            TypeError: A column cannot be represented in Arrow; the message names it.
        """
        from arro3.core import RecordBatchReader

        return RecordBatchReader.from_arrow(value)

    def arrow_reader(self, value: Any) -> pa.RecordBatchReader:
        """Return a new pyarrow stream over a value, for handlers that write with pyarrow.

        Args:
            value: A value of the type, as `prepare` returned it.
        """
        import pyarrow as pa

        reader = self.open(value)
        if self.source != "query":
            return pa.RecordBatchReader.from_stream(reader)
        # pyarrow releases the GIL while it waits for a native stream, and the batches of a query come from Python
        return pa.RecordBatchReader.from_batches(pa.schema(reader.schema), map(pa.record_batch, reader))

    def query(self, value: Any) -> pl.LazyFrame | None:
        """Return a value as a polars query, for handlers that write with polars; None if it is not one of polars.

        Args:
            value: A value of the type, as `prepare` returned it.
        """
        del value
        return None

    def is_replayable(self, value: Any) -> bool:
        """Return whether `open` may be called again after its stream was consumed; if not, writes are not retried.

        Args:
            value: A value of the type, as `prepare` returned it.
        """
        del value
        return True

    def schema(self, value: Any, reader: RecordBatchReader) -> pa.Schema:
        """Return the columns of a value.

        Args:
            value: A value of the type, as `prepare` returned it.
            reader: A stream over it that is not consumed yet.
        """
        import pyarrow as pa

        del value
        return pa.schema(reader.schema)

    def extras(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Mapping[str, str]]:
        """Return what the library needs, beyond the Arrow type, to restore each column's own type.

        Args:
            value: A value of the type, as `prepare` returned it.
            reader: A stream over it that is not consumed yet.
        """
        del value, reader
        return {}

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Return all categories of columns that have some, in their order and as text.

        Args:
            value: A value of the type, as `prepare` returned it.
            reader: A stream over it that is not consumed yet.
        """
        del value, reader
        return {}

    def read(self, scan: TableScan) -> Any:
        """Load a value. Override it if the library reads tables better than through a stream.

        Args:
            scan: The rows and columns to read.
        """
        return self.from_reader(scan.reader())


@dataclass(frozen=True, slots=True)
class Frame:
    """A value to store, with its adapter.

    Args:
        type_name: Name of its type, which the handler records.
        adapter: Adapter of the type.
        value: The value, as the adapter prepared it.
    """

    type_name: str
    adapter: FrameAdapter
    value: Any

    @property
    def is_replayable(self) -> bool:
        """True if the value can be read again."""
        return self.adapter.is_replayable(self.value)
