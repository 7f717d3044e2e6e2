"""What a type of table has to say so that the handler can store and load it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

from rivers_core import Schema
from rivers_delta.schema.encoding import EXTENSION, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arro3.core import Field, RecordBatchReader
    from deltalake import DeltaTable

    from rivers_delta.partitions.predicates import Predicate
    from rivers_delta.schema.encoding import Column


Source = Literal["memory", "query", "stream"]

_INNER_EXTENSION: Final = re.compile(rf'"{EXTENSION}": "([^"]*)"')


class TableScan(Protocol):
    """What is to be read: some columns and rows of one version of a table."""

    @property
    def table(self) -> DeltaTable:
        """The table, at the version that is to be read."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns to return, in order, with the types they were given as."""

    @property
    def predicate(self) -> Predicate | None:
        """The rows to return; None for all."""

    @property
    def is_feed(self) -> bool:
        """Whether these are changes instead of rows; then only `reader` gives them."""

    def schema(self) -> Schema:
        """The columns to return, as they were given."""

    def reader(self) -> RecordBatchReader:
        """Exactly the rows and columns that are asked for, as a stream of Arrow batches.

        Dictionaries without an order have numbers of at least 32 bits in it.
        """


class TypeAdapter(ABC):
    """Turns values of one type into Arrow batches, and batches into values.

    An author writes `from_reader`; a type that speaks the Arrow C stream needs nothing else. Adapters have no
    state and are made once.

    Examples:
        >>> class SetAdapter(TypeAdapter):
        ...     def from_reader(self, reader):
        ...         return {tuple(row.values()) for batch in reader for row in batch.to_struct_array().to_pylist()}
    """

    source: ClassVar[Source] = "memory"
    """Where the batches of a value are: in memory; still to be computed, batch by batch, by `open`'s own iterator;
    or behind a stream of native code, which must not be waited for while holding the interpreter."""

    @abstractmethod
    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Build a value from a stream of batches; the types are those that were once written.

        Args:
            reader: Speaks the Arrow C stream; can be read once.
        """

    def prepare(self, value: Any) -> Any:
        """What the other methods get to see: the value itself, or what it is converted to once.

        Args:
            value: A value of the type.

        Raises:
            TypeError: A column cannot be said in Arrow; the message names it.
        """
        return value

    def open(self, value: Any) -> RecordBatchReader:
        """A new stream over a value.

        Args:
            value: A value of the type.

        Raises:
            TypeError: A column cannot be said in Arrow; the message names it.
        """
        from arro3.core import RecordBatchReader

        return RecordBatchReader.from_arrow(value)

    def is_replayable(self, value: Any) -> bool:
        """Whether `open` may be called again after its stream was read; if not, a conflict is final.

        Args:
            value: A value of the type.
        """
        del value
        return True

    def schema(self, value: Any, reader: RecordBatchReader) -> Schema:
        """The columns of a value.

        Args:
            value: A value of the type.
            reader: A stream over it, not yet read.
        """
        del value
        return Schema(reader.schema)

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Per column, what the type's own library needs to know its type again, beyond the Arrow type.

        Args:
            value: A value of the type.
            reader: A stream over it, not yet read.
        """
        del value
        return {
            field.name: {EXTENSION: name} for field in fields_of(reader.schema) if (name := _extension(field))
        }

    def categories(self, value: Any, reader: RecordBatchReader) -> Mapping[str, Sequence[str | None]]:
        """Per column of categories, all that it may hold, in their order and as text; what is not named is not kept.

        Args:
            value: A value of the type.
            reader: A stream over it, not yet read.
        """
        del value, reader
        return {}

    def read(self, scan: TableScan) -> Any:
        """Load a value; override it where a library reads Delta better than through a stream.

        Args:
            scan: What is to be read.
        """
        return self.from_reader(scan.reader())


def _extension(field: Field) -> str | None:
    """The extension type of a column, or one that it has inside."""
    own = (field.metadata_str or {}).get(EXTENSION)
    if own is not None:
        return own
    # arro3 gives the fields of a struct and of a list, and of a map only their text
    inside = _INNER_EXTENSION.search(str(field.type))
    return inside and inside[1]
