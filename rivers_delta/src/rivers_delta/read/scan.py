"""Reading: which version, columns and rows, in the types that were once written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.schema.encoding import decode, fields_of, schema_of, streamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from arro3.core import RecordBatch, RecordBatchReader
    from arro3.core import Schema as ArrowSchema

    from rivers_core import Schema
    from rivers_delta.log.table import Table
    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column


@dataclass(frozen=True, slots=True)
class Scan:
    """Some rows and columns of one version of a table.

    Args:
        table: The table, at that version.
        columns: The columns to return.
        predicate: The rows to return; None for all.
    """

    table: Table
    columns: tuple[Column, ...]
    predicate: Predicate | None = None
    is_feed: bool = False

    def schema(self) -> Schema:
        """The columns to return, as they were given."""
        return schema_of(column.given for column in self.columns)

    def reader(self) -> RecordBatchReader:
        """The rows as a stream, read by deltalake's own engine."""
        predicate = None if self.predicate is None else self.predicate.sql()
        stored = self.table.scan(columns=[column.name for column in self.columns], predicate=predicate)
        return cast_back(stored, streamed(self.schema()))


@dataclass(frozen=True, slots=True)
class FeedScan:
    """What changed between two versions of a table: its rows, with three columns that say how."""

    table: Table
    columns: tuple[Column, ...]
    predicate: Predicate | None
    bounds: Mapping[str, int | str]
    is_feed: bool = True

    def schema(self) -> Schema:
        """The columns to return, as they were given."""
        return schema_of(column.given for column in self.columns)

    def reader(self) -> RecordBatchReader:
        """The changes as a stream.

        Raises:
            InvalidMetadataError: A bound lies outside of the table's life.
        """
        self._refuse_outside()
        arguments: dict[str, Any] = {}
        for side, name in (("start", "starting"), ("end", "ending")):
            bound = self.bounds.get(side)
            if bound is not None:
                arguments[f"{name}_{'version' if isinstance(bound, int) else 'timestamp'}"] = bound
        predicate = None if self.predicate is None else self.predicate.sql()
        names = [column.name for column in self.columns]
        changes = self.table.load_cdf(columns=None, predicate=predicate, **arguments)
        return cast_back(changes, streamed(self.schema()), names)

    def _refuse_outside(self) -> None:
        """A start after the last version, or an end before the first, is a mistake and no empty feed."""
        start, end = self.bounds.get("start"), self.bounds.get("end")
        latest = self.table.version()
        if (isinstance(start, int) and start > latest) or _is_after(start, self.table.committed_at()):
            raise InvalidMetadataError(
                f"'delta/change_feed' starts at {start}, and nothing was written since: the latest version of "
                f"{self.table.address!r} is {latest}{_of(self.table.committed_at())}."
            )
        first = self.table.committed_at(0)
        if isinstance(end, str) and first is not None and not _is_after(end, first):
            raise InvalidMetadataError(
                f"'delta/change_feed' ends at {end}, when nothing was written yet: version 0 of "
                f"{self.table.address!r} is{_of(first)}."
            )


def _is_after(bound: int | str | None, moment: datetime | None) -> bool:
    return isinstance(bound, str) and moment is not None and datetime.fromisoformat(bound) > moment


def _of(moment: datetime | None) -> str:
    return "" if moment is None else f" of {moment.isoformat()}"


def all_columns(table: Table) -> tuple[Column, ...]:
    """Every column of a table, with the type it was given as.

    Args:
        table: At the version that is meant.
    """
    return tuple(decode(table.schema()))


def cast_back(reader: RecordBatchReader, schema: Schema, first: list[str] | None = None) -> RecordBatchReader:
    """Give a stream the types of a schema.

    Args:
        reader: Batches as they are stored.
        schema: The types they were given as.
        first: If given, the stream has further columns, which follow these as they are.
    """
    from arro3.core import RecordBatchReader
    from arro3.core import Schema as ArrowSchema

    wanted = ArrowSchema.from_arrow(schema)
    if first is not None:
        known = set(first)
        more = [one for one in fields_of(reader.schema) if one.name not in known and one.name.startswith("_")]
        wanted = ArrowSchema([*fields_of(wanted), *more])
    names = wanted.names
    if reader.schema.names == names and reader.schema.types == wanted.types:
        return reader
    return RecordBatchReader.from_batches(wanted, _cast(reader, wanted, names))


def _cast(reader: RecordBatchReader, wanted: ArrowSchema, names: list[str]) -> Iterator[RecordBatch]:
    from arro3.core import RecordBatch

    for batch in reader:
        arrays = [
            array if array.type == kind else array.cast(kind)
            for array, kind in zip((batch.column(name) for name in names), wanted.types, strict=True)
        ]
        yield RecordBatch.from_arrays(arrays, schema=wanted)
