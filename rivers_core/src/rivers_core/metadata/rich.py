"""Metadata values with structure or a meaning of their own: links, documents, code, lists, schemas."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError
from rivers_core.metadata.coerce import coerce
from rivers_core.metadata.scalars import PlainText, require
from rivers_core.metadata.values import MetadataValue, metadata_variant
from rivers_core.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from rivers_core.schema import ExportsArrowSchema

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_NEVER_IN_URLS: Final = re.compile(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]")
_IMAGE_STARTS: Final = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"<svg": "svg+xml",
}


@metadata_variant("Url", "url")
class Url(PlainText):
    """A URL, checked for its form."""

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value)
        reason = _url_fault(value)
        if reason:
            raise InvalidMetadataError(f"Not a URL: {value!r} {reason}.")


@metadata_variant("Path", "path")
class Path(MetadataValue):
    """A path, as text."""

    __slots__ = ("value",)
    _fields = ("value",)
    value: str

    def __init__(self, value: str | os.PathLike[str]) -> None:
        require("Path", value, (str, os.PathLike), "a path")
        text = os.fspath(value)
        require("Path", text, str, "a path of text")
        self._set(value=str(text))


@metadata_variant("Json", "json")
class Json(MetadataValue):
    """Any JSON value; each access gives a new copy."""

    __slots__ = ("_canonical", "_text")
    _fields = ("value",)
    _text: str
    _canonical: str

    def __init__(self, value: Any) -> None:
        try:
            text = json.dumps(value, ensure_ascii=False)
            canonical = json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise MetadataTypeError(
                f"MetadataValue.Json holds what JSON can say, not this {type(value).__name__}: {error}."
            ) from error
        self._set(_text=text, _canonical=canonical)

    @property
    def value(self) -> Any:
        """The value, in lists and dictionaries of its own."""
        return json.loads(self._text)

    def to_text(self) -> str:
        """The value in JSON."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Json):
            return NotImplemented
        return self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash((Json, self._canonical))


@metadata_variant("Sql", "sql")
class Sql(MetadataValue):
    """An SQL statement."""

    __slots__ = ("dialect", "query")
    _fields = ("query", "dialect")
    _keywords = frozenset({"dialect"})
    query: str
    dialect: str | None

    def __init__(self, query: str, dialect: str | None = None) -> None:
        require("Sql", query, str, "text")
        require("Sql", dialect, (str, type(None)), "a dialect's name")
        self._set(query=query, dialect=dialect)


@metadata_variant("CodeBlock", "code_block")
class CodeBlock(MetadataValue):
    """A piece of source code."""

    __slots__ = ("code", "language")
    _fields = ("code", "language")
    _keywords = frozenset({"language"})
    code: str
    language: str | None

    def __init__(self, code: str, language: str | None = None) -> None:
        require("CodeBlock", code, str, "text")
        require("CodeBlock", language, (str, type(None)), "a language's name")
        self._set(code=code, language=language)


@metadata_variant("Image", "image")
class Image(MetadataValue):
    """An image: a path or URL as text, or its bytes."""

    __slots__ = ("value",)
    _fields = ("value",)
    value: str | bytes

    def __init__(self, value: str | os.PathLike[str] | bytes) -> None:
        require("Image", value, (str, os.PathLike, bytes), "a path, a URL or bytes")
        self._set(value=value if isinstance(value, bytes) else os.fspath(value))

    def to_text(self) -> str:
        """The path or URL; bytes as a `data:` URL."""
        if isinstance(self.value, str):
            return self.value
        kind = next((kind for start, kind in _IMAGE_STARTS.items() if self.value.startswith(start)), "*")
        return f"data:image/{kind};base64,{b64encode(self.value).decode()}"

    def _plain(self) -> dict[str, Any]:
        if isinstance(self.value, str):
            return {"value": self.value}
        return {"base64": b64encode(self.value).decode()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        if "base64" in fields:
            return cls(b64decode(fields["base64"], validate=True))
        return cls(fields["value"])


@metadata_variant("List", "list", "list_")
class List(MetadataValue):
    """Several metadata values in order."""

    __slots__ = ("values",)
    _fields = ("values",)
    values: tuple[MetadataValue, ...]

    def __init__(self, values: Sequence[Any]) -> None:
        require("List", values, (list, tuple), "a list")
        self._set(values=tuple(coerce(value) for value in values))

    def raw_value(self) -> list[Any]:
        """The plain Python values."""
        return [value.raw_value() for value in self.values]

    def to_text(self) -> str:
        """The texts in brackets."""
        return f"[{', '.join(value.to_text() for value in self.values)}]"

    def _plain(self) -> dict[str, Any]:
        return {"values": [value.to_plain() for value in self.values]}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        return cls([MetadataValue.from_plain(value) for value in fields["values"]])

    def __repr__(self) -> str:
        return f"MetadataValue.list_({list(self.values)!r})"


@metadata_variant("DateRange", "date_range")
class DateRange(MetadataValue):
    """From one date or datetime to another."""

    __slots__ = ("end", "start")
    _fields = ("start", "end")
    start: date
    end: date

    def __init__(self, start: date | str, end: date | str) -> None:
        first, last = _day(start), _day(end)
        try:
            backwards = last < first
        except TypeError as error:
            raise InvalidMetadataError(
                f"A date range is between two dates or two datetimes alike, got {first!r} and {last!r}."
            ) from error
        if backwards:
            raise InvalidMetadataError(f"A date range ends ({last}) before it starts ({first}).")
        self._set(start=first, end=last)

    def raw_value(self) -> tuple[date, date]:
        """Start and end."""
        return self.start, self.end

    def to_text(self) -> str:
        """Start and end in ISO 8601, with a slash between them."""
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def _plain(self) -> dict[str, Any]:
        return {"start": self.start.isoformat(), "end": self.end.isoformat()}


@metadata_variant("Schema", "schema")
class SchemaValue(MetadataValue):
    """The columns of a table."""

    __slots__ = ("value",)
    _fields = ("value",)
    value: Schema

    def __init__(self, value: ExportsArrowSchema) -> None:
        self._set(value=value if isinstance(value, Schema) else Schema(value))

    def _plain(self) -> dict[str, Any]:
        return {"columns": self.value.to_plain()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        return cls(Schema.from_plain(fields["columns"]))


def _url_fault(text: str) -> str | None:
    if _NEVER_IN_URLS.search(text):
        return "contains a space or another character that must be percent-encoded"
    if not _SCHEME.match(text):
        return "has no scheme; write it as in https://example.com/page"
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"cannot be taken apart ({error})"
    if parts.scheme in ("javascript", "vbscript", "data"):
        return "would run or hide something on the page that shows it"
    if parts.scheme in ("http", "https", "ftp") and not host:
        return "names no host"
    if not parts.netloc and not parts.path:
        return "has nothing after its scheme"
    return None


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    require("DateRange", value, str, "dates, datetimes or ISO text")
    try:
        return date.fromisoformat(str(value)) if len(str(value)) <= 10 else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InvalidMetadataError(
            f"MetadataValue.DateRange cannot read {value!r}: write it as in 2024-01-31."
        ) from error
