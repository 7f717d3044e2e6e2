"""`MetadataValue`: one typed fact about a stored value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rivers_core.exceptions import InvalidMetadataError
from rivers_core.values import Value, source, variant_of

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Callable, Sequence
    from datetime import date, datetime, timedelta
    from typing import Self, TypeAlias, TypeVar

    from rivers_core.metadata import rich, scalars
    from rivers_core.schema import ExportsArrowSchema

    _Variant = TypeVar("_Variant", bound="type[MetadataValue]")

__all__ = ["MetadataValue"]

_BY_KIND: Final[dict[str, type[MetadataValue]]] = {}


class MetadataValue(Value):
    """One typed fact about a stored value, as shown in the history of an asset.

    Every variant is a nested class (`MetadataValue.Text`) with a constructor of its own
    (`MetadataValue.text`). Plain text, numbers, booleans and None need no constructor: they are coerced.

    Examples:
        >>> MetadataValue.sql("SELECT 1", dialect="postgres")
        MetadataValue.sql("SELECT 1", dialect="postgres")
        >>> MetadataValue.from_json(MetadataValue.int(3).to_json())
        MetadataValue.int(3)
    """

    __slots__ = ()
    _kind: ClassVar[str]
    _constructor: ClassVar[str]
    _keywords: ClassVar[frozenset[str]] = frozenset()

    if TYPE_CHECKING:
        Text: TypeAlias = scalars.Text
        Int: TypeAlias = scalars.Int
        Float: TypeAlias = scalars.Float
        Bool: TypeAlias = scalars.Bool
        Null: TypeAlias = scalars.Null
        Percentage: TypeAlias = scalars.Percentage
        Bytes: TypeAlias = scalars.Bytes
        Timestamp: TypeAlias = scalars.Timestamp
        Duration: TypeAlias = scalars.Duration
        DataVersion: TypeAlias = scalars.DataVersion
        Url: TypeAlias = rich.Url
        Path: TypeAlias = rich.Path
        Json: TypeAlias = rich.Json
        Markdown: TypeAlias = scalars.Markdown
        Sql: TypeAlias = rich.Sql
        CodeBlock: TypeAlias = rich.CodeBlock
        Image: TypeAlias = rich.Image
        List: TypeAlias = rich.List
        DateRange: TypeAlias = rich.DateRange
        Schema: TypeAlias = rich.SchemaValue

    def raw_value(self) -> Any:
        """The plain Python value."""
        return getattr(self, self._fields[0])

    def to_text(self) -> str:
        """The value as text, for a row of the event log or a terminal."""
        return str(self.raw_value())

    def to_json(self) -> str:
        """The value and its variant as JSON, which `from_json` reads back without loss."""
        return json.dumps(self.to_plain(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> MetadataValue:
        """The value that `to_json` wrote.

        Raises:
            InvalidMetadataError: The text is not JSON, or not of a variant that this version knows.
        """
        try:
            return MetadataValue.from_plain(json.loads(text))
        except InvalidMetadataError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise InvalidMetadataError(f"Not a metadata value in JSON: {text!r} ({error}).") from error

    def to_plain(self) -> dict[str, Any]:
        """The value and its variant as JSON data."""
        return {"type": self._kind, **self._plain()}

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> MetadataValue:
        """The value that `to_plain` gave.

        Raises:
            InvalidMetadataError: It is of a variant that this version does not know.
        """
        fields = dict(plain)
        kind = fields.pop("type")
        if kind not in _BY_KIND:
            raise InvalidMetadataError(
                f"Metadata of type {kind!r} is unknown here; known are {sorted(_BY_KIND)}. "
                "It may come from a newer version of rivers-core."
            )
        return _BY_KIND[kind].from_fields(fields)

    def _plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        return cls(**fields)

    def __repr__(self) -> str:
        given = [
            f"{name}={source(value)}" if name in self._keywords else source(value)
            for name, value in zip(self._fields, self._values(), strict=True)
            if value is not None or name not in self._keywords
        ]
        return f"MetadataValue.{self._constructor}({', '.join(given)})"

    @staticmethod
    def text(value: str) -> scalars.Text:
        """Plain text."""
        return MetadataValue.Text(value)

    @staticmethod
    def int(value: builtins.int) -> scalars.Int:
        """A whole number, such as a count of rows."""
        return MetadataValue.Int(value)

    @staticmethod
    def float_(value: builtins.float) -> scalars.Float:
        """A number; infinities and not-a-number survive the round trip through JSON."""
        return MetadataValue.Float(value)

    @staticmethod
    def bool_(value: builtins.bool) -> scalars.Bool:
        """True or false."""
        return MetadataValue.Bool(value)

    @staticmethod
    def null() -> scalars.Null:
        """Nothing: a fact known to be absent."""
        return MetadataValue.Null()

    @staticmethod
    def url(value: str) -> rich.Url:
        """A URL.

        Raises:
            InvalidMetadataError: It has no scheme, no address, or characters that no URL has.
        """
        return MetadataValue.Url(value)

    @staticmethod
    def path(value: str | os.PathLike[str]) -> rich.Path:
        """A path in a file system or a store; kept as text."""
        return MetadataValue.Path(value)

    @staticmethod
    def json(value: Any) -> rich.Json:
        """Any JSON value: dictionaries, lists, text, numbers, booleans, None."""
        return MetadataValue.Json(value)

    @staticmethod
    def md(value: str) -> scalars.Markdown:
        """Markdown text."""
        return MetadataValue.Markdown(value)

    @staticmethod
    def timestamp(value: datetime | str | builtins.float) -> scalars.Timestamp:
        """A moment: a datetime, ISO text, or seconds since 1970 (UTC)."""
        return MetadataValue.Timestamp(value)

    @staticmethod
    def bytes(value: builtins.bytes) -> scalars.Bytes:
        """A few raw bytes, such as a digest."""
        return MetadataValue.Bytes(value)

    @staticmethod
    def duration(value: timedelta | builtins.float) -> scalars.Duration:
        """A length of time: a timedelta, or seconds; exact to the microsecond."""
        return MetadataValue.Duration(value)

    @staticmethod
    def sql(query: str, dialect: str | None = None) -> rich.Sql:
        """An SQL statement, and whose SQL it is."""
        return MetadataValue.Sql(query, dialect)

    @staticmethod
    def code_block(code: str, language: str | None = None) -> rich.CodeBlock:
        """A piece of source code, and its language."""
        return MetadataValue.CodeBlock(code, language)

    @staticmethod
    def image(value: str | os.PathLike[str] | builtins.bytes) -> rich.Image:
        """An image: its path or URL, or its bytes."""
        return MetadataValue.Image(value)

    @staticmethod
    def percentage(value: builtins.float) -> scalars.Percentage:
        """A share in percent: 12.5 is shown as `12.5%`."""
        return MetadataValue.Percentage(value)

    @staticmethod
    def list_(values: Sequence[Any]) -> rich.List:
        """Several metadata values; plain ones are coerced."""
        return MetadataValue.List(values)

    @staticmethod
    def date_range(start: date | str, end: date | str) -> rich.DateRange:
        """From one date (or datetime, or ISO text) to another.

        Raises:
            InvalidMetadataError: The end lies before the start, or only one of them has a time of day.
        """
        return MetadataValue.DateRange(start, end)

    @staticmethod
    def schema(value: ExportsArrowSchema) -> rich.SchemaValue:
        """The columns of a table: anything with `__arrow_c_schema__`."""
        return MetadataValue.Schema(value)

    @staticmethod
    def data_version(value: str) -> scalars.DataVersion:
        """A version of the data, as a handler or an author gave it."""
        return MetadataValue.DataVersion(value)


def metadata_variant(name: str, kind: str, constructor: str | None = None) -> Callable[[_Variant], _Variant]:
    """Register a class as the variant `MetadataValue.<name>`.

    Args:
        name: The variant's name.
        kind: Its name in JSON.
        constructor: The method of `MetadataValue` that builds it; like `kind` unless given.
    """

    def register(cls: _Variant) -> _Variant:
        cls._kind = kind
        cls._constructor = constructor or kind
        _BY_KIND[kind] = cls
        return variant_of(MetadataValue, name)(cls)

    return register
