"""Metadata values: typed facts about stored values, one class per kind.

A new kind is one class here, and two lines in `MetadataValue` that declare it for type checkers.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from rivers_core._values import Value, plain_text, source
from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError
from rivers_core.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self, TypeAlias

    from rivers_core.schema import ExportsArrowSchema


_BY_KIND: Final[dict[str, type[MetadataValue]]] = {}

# Metadata values are made in every step: assigning the slot costs half as much as `Value._set`.
_put: Final = object.__setattr__
_quoted: Final = json.encoder.encode_basestring


class MetadataValue(Value):
    """One typed fact about a stored value, as shown in the history of an asset.

    Each kind is a class that is reachable under two names: `MetadataValue.Text` for `isinstance`, and
    `MetadataValue.text` as its constructor. Plain text, numbers, booleans and None are coerced and need no constructor.

    Examples:
        >>> MetadataValue.sql("SELECT 1", dialect="postgres")
        MetadataValue.sql("SELECT 1", dialect="postgres")
        >>> MetadataValue.from_json(MetadataValue.int(3).to_json())
        MetadataValue.int(3)
    """

    __slots__ = ()
    _kind: ClassVar[str]
    _constructor: ClassVar[str]
    _optional: ClassVar[str] = ""
    """Field that is shown by name in the repr, and only if it was given."""

    if TYPE_CHECKING:
        Text: TypeAlias = "TextMetadataValue"
        Int: TypeAlias = "IntMetadataValue"
        Float: TypeAlias = "FloatMetadataValue"
        Bool: TypeAlias = "BoolMetadataValue"
        Null: TypeAlias = "NullMetadataValue"
        Url: TypeAlias = "UrlMetadataValue"
        Path: TypeAlias = "PathMetadataValue"
        Json: TypeAlias = "JsonMetadataValue"
        Markdown: TypeAlias = "MarkdownMetadataValue"
        Timestamp: TypeAlias = "TimestampMetadataValue"
        Bytes: TypeAlias = "BytesMetadataValue"
        Duration: TypeAlias = "DurationMetadataValue"
        Sql: TypeAlias = "SqlMetadataValue"
        CodeBlock: TypeAlias = "CodeBlockMetadataValue"
        Image: TypeAlias = "ImageMetadataValue"
        Percentage: TypeAlias = "PercentageMetadataValue"
        List: TypeAlias = "ListMetadataValue"
        DateRange: TypeAlias = "DateRangeMetadataValue"
        Schema: TypeAlias = "SchemaMetadataValue"
        DataVersion: TypeAlias = "DataVersionMetadataValue"

        text: ClassVar[type[TextMetadataValue]]
        int: ClassVar[type[IntMetadataValue]]
        float_: ClassVar[type[FloatMetadataValue]]
        bool_: ClassVar[type[BoolMetadataValue]]
        null: ClassVar[type[NullMetadataValue]]
        url: ClassVar[type[UrlMetadataValue]]
        path: ClassVar[type[PathMetadataValue]]
        json: ClassVar[type[JsonMetadataValue]]
        md: ClassVar[type[MarkdownMetadataValue]]
        timestamp: ClassVar[type[TimestampMetadataValue]]
        bytes: ClassVar[type[BytesMetadataValue]]
        duration: ClassVar[type[DurationMetadataValue]]
        sql: ClassVar[type[SqlMetadataValue]]
        code_block: ClassVar[type[CodeBlockMetadataValue]]
        image: ClassVar[type[ImageMetadataValue]]
        percentage: ClassVar[type[PercentageMetadataValue]]
        list_: ClassVar[type[ListMetadataValue]]
        date_range: ClassVar[type[DateRangeMetadataValue]]
        schema: ClassVar[type[SchemaMetadataValue]]
        data_version: ClassVar[type[DataVersionMetadataValue]]

    def __init_subclass__(cls, *, kind: str = "", constructor: str = "", **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if kind:
            cls._kind = kind
            cls._constructor = constructor or kind
            _BY_KIND[kind] = cls
            setattr(MetadataValue, cls._constructor, cls)

    def raw_value(self) -> Any:
        """Return the plain Python value."""
        return getattr(self, self._fields[0])

    def to_text(self) -> str:
        """Return the value as text, for a row of the event log or a terminal."""
        return str(self.raw_value())

    def to_json(self) -> str:
        """Return kind and value as JSON, which `from_json` reads without loss."""
        return json.dumps(self.to_plain(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> MetadataValue:
        """Read a value from the result of `to_json`.

        Raises:
            InvalidMetadataError: `text` is not valid JSON, or its kind is unknown to this version.
        """
        try:
            return MetadataValue.from_plain(json.loads(text))
        except InvalidMetadataError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise InvalidMetadataError(f"Not a metadata value in JSON: {text!r} ({error}).") from error

    def to_plain(self) -> dict[str, Any]:
        """Return kind and value as JSON data."""
        return {"type": self._kind, **self._to_fields()}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> MetadataValue:
        """Restore a value from the result of `to_plain`.

        Raises:
            InvalidMetadataError: Its kind is unknown to this version.
        """
        fields = dict(plain)
        kind = fields.pop("type")
        if kind not in _BY_KIND:
            raise InvalidMetadataError(
                f"Metadata type {kind!r} is unknown; known types: {sorted(_BY_KIND)}. "
                "It may come from a newer version of rivers-core."
            )
        return _BY_KIND[kind].from_fields(fields)

    def _to_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        return cls(**fields)

    def _require(self, value: object, types: type | tuple[type, ...], expected: str) -> None:
        if not isinstance(value, types):
            raise MetadataTypeError(
                f"MetadataValue.{self._constructor} must be {expected}, got {value!r} ({type(value).__name__})."
            )

    def _number(self, value: Any) -> float:
        """Return a real number as float; numbers of numpy and decimal are accepted."""
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            self._require(value, (), "a number")
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise MetadataTypeError(
                f"MetadataValue.{self._constructor} must be a number, got {value!r}: {error}."
            ) from error

    def __repr__(self) -> str:
        given = [
            f"{name}={source(value)}" if name == self._optional else source(value)
            for name, value in zip(self._fields, self._values(), strict=True)
            if name != self._optional or value is not None
        ]
        return f"MetadataValue.{self._constructor}({', '.join(given)})"


class _SingleValue(MetadataValue):
    """Base class of the kinds that hold one Python value."""

    __slots__ = ("value",)
    _fields = ("value",)


class _TextValue(_SingleValue):
    """Base class of the kinds that hold text."""

    __slots__ = ()
    value: str

    def __init__(self, value: str) -> None:
        if type(value) is not str:
            self._require(value, str, "text")
            value = plain_text(value)
        _put(self, "value", value)

    def to_json(self) -> str:
        """Return kind and value as JSON; the encoder of `json` takes five times as long for such a small object."""
        return f'{{"type": "{self._kind}", "value": {_quoted(self.value)}}}'


class TextMetadataValue(_TextValue, variant="Text", kind="text"):
    """Plain text."""

    __slots__ = ()


class MarkdownMetadataValue(_TextValue, variant="Markdown", kind="md"):
    """Markdown text."""

    __slots__ = ()


class DataVersionMetadataValue(_TextValue, variant="DataVersion", kind="data_version"):
    """A version of the data, as given by a handler or an author."""

    __slots__ = ()


class UrlMetadataValue(_TextValue, variant="Url", kind="url"):
    """A URL in canonical form: scheme and host in lower case, and a path (`https://example.com/`).

    Raises:
        InvalidMetadataError: The URL has no scheme, no address, invalid characters, or a scheme that runs code.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value)
        reason = _url_fault(self.value)
        if reason:
            raise InvalidMetadataError(f"Not a URL: {value!r} {reason}.")
        _put(self, "value", _canonical_url(self.value))


class IntMetadataValue(_SingleValue, variant="Int", kind="int"):
    """A whole number, such as a count of rows."""

    __slots__ = ()
    value: int

    def __init__(self, value: int) -> None:
        if type(value) is not int:
            if isinstance(value, bool) or not isinstance(value, Integral):
                self._require(value, (), "a whole number")
            value = int(value)
        _put(self, "value", value)

    def to_json(self) -> str:
        """Return kind and value as JSON; see `TextMetadataValue.to_json`."""
        return f'{{"type": "int", "value": {self.value}}}'


class _NumberValue(_SingleValue):
    """Base class of the kinds that hold a float; infinity and NaN survive JSON."""

    __slots__ = ()
    value: float

    def __init__(self, value: float) -> None:
        _put(self, "value", value if type(value) is float else self._number(value))

    def _to_fields(self) -> dict[str, Any]:
        return {"value": self.value if isfinite(self.value) else str(self.value)}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        return cls(float(fields["value"]))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash((type(self), repr(self.value)))

    def __repr__(self) -> str:
        if isfinite(self.value):
            return super().__repr__()
        return f'MetadataValue.{self._constructor}(float("{self.value}"))'


class FloatMetadataValue(_NumberValue, variant="Float", kind="float", constructor="float_"):
    """A number."""

    __slots__ = ()


class PercentageMetadataValue(_NumberValue, variant="Percentage", kind="percentage"):
    """A share in percent: 12.5 is shown as `12.5%`."""

    __slots__ = ()

    def to_text(self) -> str:
        """Return the number with a percent sign."""
        return f"{str(self.value).removesuffix('.0')}%"


class BoolMetadataValue(_SingleValue, variant="Bool", kind="bool", constructor="bool_"):
    """True or false."""

    __slots__ = ()
    value: bool

    def __init__(self, value: bool) -> None:
        if type(value) is not bool:
            if not _is_numpy_bool(value):
                self._require(value, (), "True or False")
            value = bool(value)
        _put(self, "value", value)

    def to_text(self) -> str:
        """Return `true` or `false`."""
        return "true" if self.value else "false"


class NullMetadataValue(MetadataValue, variant="Null", kind="null"):
    """A null value: the fact is known to be absent."""

    __slots__ = ()
    value: ClassVar[None] = None

    def raw_value(self) -> None:
        """Return None."""

    def to_text(self) -> str:
        """Return `null`."""
        return "null"


_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")


class BytesMetadataValue(_SingleValue, variant="Bytes", kind="bytes"):
    """A number of bytes, shown as in `1.0 KiB`; bytes are counted."""

    __slots__ = ()
    value: int

    def __init__(self, value: int | bytes) -> None:
        if isinstance(
            value, (bytes, bytearray, memoryview)
        ):  # release 0.1 kept the bytes; its pickles have them
            value = memoryview(value).nbytes
        if isinstance(value, bool) or not isinstance(value, Integral):
            self._require(value, (), "a number of bytes")
        _put(self, "value", int(value))

    def to_text(self) -> str:
        """Return the number in the largest unit that fits."""
        size, unit = float(self.value), ""
        for larger in _UNITS:
            if abs(size) < 1024:
                break
            size, unit = size / 1024, larger
        return f"{size:.1f} {unit}" if unit else f"{self.value} B"

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        value = fields["value"]
        return cls(b64decode(value, validate=True) if isinstance(value, str) else value)


class TimestampMetadataValue(_NumberValue, variant="Timestamp", kind="timestamp"):
    """A moment in seconds since 1970 (UTC); a datetime or ISO text is converted, one without a zone as local time."""

    __slots__ = ()

    def __init__(self, value: datetime | str | float) -> None:
        try:
            if isinstance(value, str):
                value = datetime.fromisoformat(value)
            seconds = value.timestamp() if isinstance(value, datetime) else self._number(value)
            datetime.fromtimestamp(seconds, UTC)
        except MetadataTypeError:
            raise
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidMetadataError(
                f"MetadataValue.timestamp must be ISO text such as 2024-01-31T12:00:00 or seconds since 1970, "
                f"got {value!r}: {error}."
            ) from error
        _put(self, "value", seconds)

    def to_text(self) -> str:
        """Return the moment in ISO 8601 (UTC)."""
        return datetime.fromtimestamp(self.value, UTC).isoformat()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        value = fields["value"]
        is_iso = isinstance(value, str) and "T" in value  # written by release 0.1
        return cls(value if is_iso else float(value))


class DurationMetadataValue(_NumberValue, variant="Duration", kind="duration"):
    """A length of time in seconds; a timedelta is converted."""

    __slots__ = ()

    def __init__(self, value: timedelta | float) -> None:
        super().__init__(value.total_seconds() if isinstance(value, timedelta) else value)
        if not isfinite(self.value):
            raise InvalidMetadataError(
                f"MetadataValue.duration must be a finite number of seconds, got {self.value!r}."
            )

    def to_text(self) -> str:
        """Return the seconds, as in `1.5s`."""
        return f"{self.value!r}".removesuffix(".0") + "s"

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        if "value" in fields:
            return super().from_fields(fields)
        return cls(timedelta(**fields))  # written by release 0.1


class PathMetadataValue(_SingleValue, variant="Path", kind="path"):
    """A path in a file system or a store, as text."""

    __slots__ = ()
    value: str

    def __init__(self, value: str | os.PathLike[str]) -> None:
        self._require(value, (str, os.PathLike), "a path")
        text = os.fspath(value)
        self._require(text, str, "a path of text")
        _put(self, "value", str(text))


class JsonMetadataValue(MetadataValue, variant="Json", kind="json"):
    """Any JSON value: dictionaries, lists, text, numbers, booleans, None; or JSON text, which is kept as given."""

    __slots__ = ("_canonical", "_is_text", "_text")
    _fields = ("value",)
    _text: str
    _canonical: str
    _is_text: bool
    """True if JSON text was given, which is then the value."""

    def __init__(self, value: Any) -> None:
        is_text = isinstance(value, str) and _is_json(value)
        try:
            text = plain_text(value) if is_text else json.dumps(value, ensure_ascii=False)
            canonical = json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise MetadataTypeError(
                f"MetadataValue.json must be a JSON value, got {type(value).__name__}: {error}. "
                "Convert values of numpy with .item() or .tolist()."
            ) from error
        self._set(_text=text, _canonical=canonical, _is_text=is_text)

    @property
    def value(self) -> Any:
        """The value, a new copy for each access; of JSON text, that text."""
        return self._text if self._is_text else json.loads(self._text)

    def to_text(self) -> str:
        """Return the value in JSON."""
        return self._text

    def _to_fields(self) -> dict[str, Any]:
        return {"text" if self._is_text else "value": self.value}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        if "text" in fields:
            return cls(fields["text"])
        self = cls(None)
        if isinstance(
            value := fields["value"], str
        ):  # text that happens to be JSON was a plain value when stored
            text = json.dumps(value, ensure_ascii=False)
            self._set(_text=text, _canonical=text, _is_text=False)
            return self
        return cls(value)

    def __reduce__(self) -> tuple[Any, ...]:
        return MetadataValue.from_plain, (self.to_plain(),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JsonMetadataValue):
            return NotImplemented
        return self._is_text is other._is_text and self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash((JsonMetadataValue, self._canonical))


class SqlMetadataValue(MetadataValue, variant="Sql", kind="sql"):
    """An SQL statement and its dialect."""

    __slots__ = ("dialect", "query")
    _fields = ("query", "dialect")
    _optional = "dialect"
    query: str
    dialect: str | None

    def __init__(self, query: str, dialect: str | None = None) -> None:
        self._require(query, str, "text")
        self._require(dialect, (str, type(None)), "a query and the name of its dialect")
        self._set(query=query, dialect=dialect)


class CodeBlockMetadataValue(MetadataValue, variant="CodeBlock", kind="code_block"):
    """A piece of source code and its language."""

    __slots__ = ("code", "language")
    _fields = ("code", "language")
    _optional = "language"
    code: str
    language: str | None

    def __init__(self, code: str, language: str | None = None) -> None:
        self._require(code, str, "text")
        self._require(language, (str, type(None)), "code and the name of its language")
        self._set(code=code, language=language)


class ImageMetadataValue(_SingleValue, variant="Image", kind="image"):
    """An image: its path or URL as text, or its bytes."""

    __slots__ = ()
    value: str | bytes

    def __init__(self, value: str | os.PathLike[str] | bytes) -> None:
        self._require(value, (str, os.PathLike, bytes), "a path, a URL or bytes")
        _put(self, "value", value if isinstance(value, bytes) else os.fspath(value))

    def to_text(self) -> str:
        """Return the path or URL; bytes as a `data:` URL."""
        if isinstance(self.value, str):
            return self.value
        types = (name for prefix, name in _IMAGE_TYPES.items() if self.value.startswith(prefix))
        return f"data:image/{next(types, '*')};base64,{b64encode(self.value).decode()}"

    def _to_fields(self) -> dict[str, Any]:
        if isinstance(self.value, str):
            return {"value": self.value}
        return {"base64": b64encode(self.value).decode()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        if "base64" in fields:
            return cls(b64decode(fields["base64"], validate=True))
        return cls(fields["value"])


_IMAGE_TYPES: Final = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"<svg": "svg+xml",
}


class ListMetadataValue(MetadataValue, variant="List", kind="list", constructor="list_"):
    """Several metadata values in order; plain values are coerced."""

    __slots__ = ("_items",)
    _fields = ("values",)
    _items: tuple[MetadataValue, ...]

    def __init__(self, values: Sequence[Any]) -> None:
        self._require(values, (list, tuple), "a list")
        self._set(_items=tuple(coerce(value) for value in values))

    @property
    def values(self) -> list[MetadataValue]:
        """The metadata values."""
        return list(self._items)

    def raw_value(self) -> list[MetadataValue]:
        """Return the metadata values."""
        return self.values

    def __hash__(self) -> int:
        return hash((ListMetadataValue, self._items))

    def to_text(self) -> str:
        """Return the texts in brackets."""
        return f"[{', '.join(value.to_text() for value in self.values)}]"

    def _to_fields(self) -> dict[str, Any]:
        return {"values": [value.to_plain() for value in self.values]}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        return cls([MetadataValue.from_plain(value) for value in fields["values"]])

    def __repr__(self) -> str:
        return f"MetadataValue.list_({self.values!r})"


class DateRangeMetadataValue(MetadataValue, variant="DateRange", kind="date_range"):
    """A range from one date (or datetime, or ISO text) to another.

    Raises:
        InvalidMetadataError: The end is before the start, or only one of them has a time of day.
    """

    __slots__ = ("end", "start")
    _fields = ("start", "end")
    start: date
    end: date

    def __init__(self, start: date | str, end: date | str) -> None:
        first, last = self._date(start), self._date(end)
        try:
            is_reversed = last < first
        except TypeError as error:
            raise InvalidMetadataError(
                f"MetadataValue.date_range must be two dates or two datetimes, got {first!r} and {last!r}."
            ) from error
        if is_reversed:
            raise InvalidMetadataError(f"MetadataValue.date_range ends ({last}) before it starts ({first}).")
        self._set(start=first, end=last)

    def _date(self, value: date | str) -> date:
        if isinstance(value, date):
            return value
        self._require(value, str, "dates, datetimes or ISO text")
        try:
            return date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidMetadataError(
                f"MetadataValue.date_range must be ISO text such as 2024-01-31, got {value!r}."
            ) from error

    def raw_value(self) -> tuple[date, date]:
        """Return start and end."""
        return self.start, self.end

    def to_text(self) -> str:
        """Return start and end in ISO 8601, separated by a slash."""
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def _to_fields(self) -> dict[str, Any]:
        return {"start": self.start.isoformat(), "end": self.end.isoformat()}


class SchemaMetadataValue(_SingleValue, variant="Schema", kind="schema"):
    """The columns of a table: any object with `__arrow_c_schema__`."""

    __slots__ = ()
    value: Schema

    def __init__(self, value: ExportsArrowSchema) -> None:
        _put(self, "value", value if isinstance(value, Schema) else Schema(value))

    @property
    def ipc_bytes(self) -> bytes:
        """The schema as an encapsulated Arrow IPC message."""
        return self.value.to_ipc()

    def _to_fields(self) -> dict[str, Any]:
        return {"columns": self.value.to_plain()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Restore a value of this kind from the JSON data of its fields."""
        return cls(Schema.from_plain(fields["columns"]))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_INVALID_IN_URLS: Final = re.compile(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]")


def _canonical_url(text: str) -> str:
    parts = urlsplit(text)
    credentials, at, address = parts.netloc.rpartition("@")
    path = parts.path
    if not path and parts.scheme in ("http", "https", "ws", "wss", "ftp"):
        path = "/"
    netloc = f"{credentials}{at}{address.lower()}"
    if not netloc:  # such as mailto: and urn:
        return f"{parts.scheme}{text[len(parts.scheme) :]}"
    return urlunsplit((parts.scheme, netloc, path, parts.query, parts.fragment))


def _url_fault(text: str) -> str | None:
    if _INVALID_IN_URLS.search(text):
        return "contains a space or another character that must be percent-encoded"
    if not _SCHEME.match(text):
        return "has no scheme; write it as in https://example.com/page"
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"cannot be parsed ({error})"
    if parts.scheme in ("javascript", "vbscript", "data"):
        return f"has the scheme {parts.scheme}, which runs or hides content on the page that shows it"
    if parts.scheme in ("http", "https", "ftp") and not host:
        return "has no host"
    if not parts.netloc and not parts.path:
        return "is empty after its scheme"
    return None


_COERCED: Final[tuple[tuple[type, Callable[[Any], MetadataValue]], ...]] = (
    (str, TextMetadataValue),
    (bool, BoolMetadataValue),
    (int, IntMetadataValue),
    (float, FloatMetadataValue),
    (Integral, IntMetadataValue),
    (Real, FloatMetadataValue),
)
_PLAIN: Final[dict[type, Callable[[Any], MetadataValue]]] = dict(_COERCED)

# How to convert types that are not coerced, for the error message.
_CONVERSIONS: Final = {
    "dict": "json(...)",
    "list": "json(...)",
    "tuple": "json(...)",
    "bytes": "bytes(...)",
    "datetime": "timestamp(...)",
    "Timestamp": "timestamp(...)",
    "date": "text(...)",
    "timedelta": "duration(...)",
    "PosixPath": "path(...)",
    "WindowsPath": "path(...)",
    "Decimal": "float_(...)",
    "Index": "json(list(...))",
    "RangeIndex": "json(list(...))",
    "Series": "json(....tolist())",
    "ndarray": "json(....tolist())",
}


def coerce(value: Any, name: str | None = None) -> MetadataValue:
    """Return the metadata value of a plain value; a metadata value is returned unchanged.

    Args:
        value: Text, a number (also of numpy), a boolean, None, a `MetadataValue`, or anything with an Arrow schema
            (`__arrow_c_schema__`).
        name: Its name, for the message.

    Raises:
        MetadataTypeError: (a `TypeError`) `value` has another type.
    """
    kind: Callable[[Any], MetadataValue] | None = _PLAIN.get(type(value))
    if kind is None:
        if isinstance(value, MetadataValue):
            return value
        if value is None:
            return NullMetadataValue()
        kind = next((kind for base, kind in _COERCED if isinstance(value, base)), None)
        if _is_numpy_bool(value):
            kind = BoolMetadataValue
        if kind is None and hasattr(value, "__arrow_c_schema__"):
            kind = SchemaMetadataValue
        if kind is None:
            raise MetadataTypeError(_unsupported(value, name))
    return kind(value)  # pyright: ignore[reportArgumentType] - narrows `kind` to the classes, not to the declared type


def coerce_mapping(values: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return the metadata values of a dictionary of plain values.

    Raises:
        MetadataTypeError: (a `TypeError`) `values` is not a dictionary, a name is not text, or a value cannot be
            coerced.
    """
    if type(values) is not dict and not isinstance(values, Mapping):
        raise MetadataTypeError(
            f"Metadata must be a dictionary of names and values, got {values!r} ({type(values).__name__})."
        )
    coerced: dict[str, MetadataValue] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise MetadataTypeError(f"Names of metadata must be text, got {name!r} ({type(name).__name__}).")
        coerced[name if type(name) is str else plain_text(name)] = coerce(value, name)
    return coerced


def _is_numpy_bool(value: object) -> bool:
    # numpy may not be installed; its booleans are named `bool_` before 2.0 and `bool` since
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")


def _unsupported(value: object, name: str | None) -> str:
    kind = type(value).__name__
    subject = "A metadata value" if name is None else f"Metadata {name!r}"
    fix = f" Use MetadataValue.{_CONVERSIONS[kind]}." if kind in _CONVERSIONS else ""
    return f"{subject} must be str, int, float, bool, None or a MetadataValue, got {kind}.{fix}"
