"""arro3, DuckDB, and whatever else speaks the Arrow C stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rivers_delta.types.base import TypeAdapter

if TYPE_CHECKING:
    from arro3.core import RecordBatchReader

    from rivers_delta.types.base import Source


class TableAdapter(TypeAdapter):
    """`arro3.core.Table`."""

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read all of it."""
        return reader.read_all()


class ReaderAdapter(TypeAdapter):
    """`arro3.core.RecordBatchReader`."""

    source: ClassVar[Source] = "stream"

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Give the stream itself."""
        return reader

    def is_replayable(self, value: Any) -> bool:
        """A stream is read once."""
        return False


class StreamAdapter(ReaderAdapter):
    """Any other object with `__arrow_c_stream__`; it may be one that is read once."""

    def open(self, value: Any) -> RecordBatchReader:
        """Export the stream, if it is one of tables."""
        try:
            return super().open(value)
        except Exception as error:
            raise TypeError(
                f"the Arrow stream of a {type(value).__qualname__} cannot be read as a table ({error}); "
                "if it is a single column, make it a frame"
            ) from error


class RelationAdapter(TypeAdapter):
    """`duckdb.DuckDBPyRelation`."""

    source: ClassVar[Source] = "stream"

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Make a relation over the rows, held in memory since a relation may be asked again and again."""
        import duckdb

        return duckdb.from_arrow(reader.read_all())
