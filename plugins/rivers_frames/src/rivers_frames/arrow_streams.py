"""Adapters for arro3, DuckDB and any other object with `__arrow_c_stream__`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rivers_frames.adapter import FrameAdapter

if TYPE_CHECKING:
    from arro3.core import RecordBatchReader

    from rivers_frames.adapter import Source


class Arro3TableAdapter(FrameAdapter):
    """`arro3.core.Table`."""

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Read the whole stream."""
        return reader.read_all()


class Arro3ReaderAdapter(FrameAdapter):
    """`arro3.core.RecordBatchReader`."""

    source: ClassVar[Source] = "stream"

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Return the stream itself."""
        return reader

    def is_replayable(self, value: Any) -> bool:
        """Return False: the stream can be consumed once."""
        return False


class StreamAdapter(Arro3ReaderAdapter):
    """Any other object with `__arrow_c_stream__`; it may be a one-shot stream."""

    def open(self, value: Any) -> RecordBatchReader:
        """Export the stream if its items are rows of a table."""
        try:
            return super().open(value)
        except Exception as error:
            raise TypeError(
                f"the Arrow stream of a {type(value).__qualname__} cannot be read as a table ({error}); "
                "if it is a single column, make it a frame"
            ) from error


class RelationAdapter(FrameAdapter):
    """`duckdb.DuckDBPyRelation`."""

    source: ClassVar[Source] = "stream"

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Return a relation over rows in memory, because a relation can be queried repeatedly."""
        import duckdb

        return duckdb.from_arrow(reader.read_all())
