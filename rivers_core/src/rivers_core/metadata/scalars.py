"""Metadata values that are one plain Python value."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from math import isfinite
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError
from rivers_core.metadata.values import MetadataValue, metadata_variant

if TYPE_CHECKING:
    from typing import Self


# the way of a frozen dataclass past its own `__setattr__`, and half of what `_set` costs
_put: Final = object.__setattr__


def require(variant: str, value: object, types: type | tuple[type, ...], wanted: str) -> None:
    """Refuse a value of a type that the variant does not hold.

    Raises:
        MetadataTypeError: `value` is no instance of `types`.
    """
    if not isinstance(value, types):
        raise MetadataTypeError(
            f"MetadataValue.{variant} holds {wanted}, got {value!r} ({type(value).__name__})."
        )


def number(variant: str, value: object) -> float:
    """A real number as float, whole or not; those of numpy and decimal count.

    Raises:
        MetadataTypeError: It is no number, or a boolean.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        require(variant, value, (), "a number")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataTypeError(f"MetadataValue.{variant} holds a number, got {value!r}: {error}.") from error


class _Plain(MetadataValue):
    __slots__ = ("value",)
    _fields = ("value",)


class PlainText(_Plain):
    """What the variants that hold a text have in common."""

    __slots__ = ()
    value: str

    def __init__(self, value: str) -> None:
        if type(value) is not str:
            require(type(self).__name__, value, str, "text")
            value = str(value)
        _put(self, "value", value)


@metadata_variant("Text", "text")
class Text(PlainText):
    """Plain text."""

    __slots__ = ()


@metadata_variant("DataVersion", "data_version")
class DataVersion(PlainText):
    """A version of the data."""

    __slots__ = ()


@metadata_variant("Markdown", "md")
class Markdown(PlainText):
    """Markdown text."""

    __slots__ = ()


@metadata_variant("Int", "int")
class Int(_Plain):
    """A whole number."""

    __slots__ = ()
    value: int

    def __init__(self, value: int) -> None:
        if type(value) is not int:
            if isinstance(value, bool) or not isinstance(value, Integral):
                require("Int", value, (), "a whole number")
            value = int(value)
        _put(self, "value", value)


class _Number(_Plain):
    __slots__ = ()
    value: float

    def __init__(self, value: float) -> None:
        _put(self, "value", value if type(value) is float else number(type(self).__name__, value))

    def _plain(self) -> dict[str, Any]:
        return {"value": self.value if isfinite(self.value) else str(self.value)}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
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


@metadata_variant("Float", "float", "float_")
class Float(_Number):
    """A number."""

    __slots__ = ()


@metadata_variant("Percentage", "percentage")
class Percentage(_Number):
    """A share in percent: 12.5 means 12.5 %."""

    __slots__ = ()

    def to_text(self) -> str:
        """The number with a percent sign."""
        text = str(self.value)
        return f"{text.removesuffix('.0')}%"


@metadata_variant("Bool", "bool", "bool_")
class Bool(_Plain):
    """True or false."""

    __slots__ = ()
    value: bool

    def __init__(self, value: bool) -> None:
        if value is not True and value is not False:
            require("Bool", value, (), "True or False")
        _put(self, "value", value)

    def to_text(self) -> str:
        """`true` or `false`."""
        return "true" if self.value else "false"


@metadata_variant("Null", "null")
class Null(MetadataValue):
    """Nothing."""

    __slots__ = ()

    @property
    def value(self) -> None:
        """Always None."""
        return

    def raw_value(self) -> None:
        """Always None."""
        return

    def to_text(self) -> str:
        """`null`."""
        return "null"


@metadata_variant("Bytes", "bytes")
class Bytes(_Plain):
    """A few raw bytes; base64 where text is needed."""

    __slots__ = ()
    value: bytes

    def __init__(self, value: bytes) -> None:
        require("Bytes", value, (bytes, bytearray, memoryview), "bytes")
        self._set(value=bytes(value))

    def to_text(self) -> str:
        """The bytes in base64."""
        return b64encode(self.value).decode()

    def _plain(self) -> dict[str, Any]:
        return {"value": self.to_text()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        return cls(b64decode(fields["value"], validate=True))


@metadata_variant("Timestamp", "timestamp")
class Timestamp(_Plain):
    """A moment, with or without a time zone."""

    __slots__ = ()
    value: datetime

    def __init__(self, value: datetime | str | float) -> None:
        self._set(value=_moment(value))

    def to_text(self) -> str:
        """The moment in ISO 8601."""
        return self.value.isoformat()

    def _plain(self) -> dict[str, Any]:
        return {"value": self.value.isoformat()}


@metadata_variant("Duration", "duration")
class Duration(_Plain):
    """A length of time, exact to the microsecond."""

    __slots__ = ()
    value: timedelta

    def __init__(self, value: timedelta | float) -> None:
        if not isinstance(value, timedelta):
            seconds = number("Duration", value)
            try:
                value = timedelta(seconds=seconds)
            except (ValueError, OverflowError) as error:
                raise InvalidMetadataError(
                    f"MetadataValue.Duration cannot hold {seconds!r} seconds: {error}."
                ) from error
        self._set(value=value)

    def to_text(self) -> str:
        """The seconds, as in `1.5s`."""
        return f"{self.value.total_seconds()!r}".removesuffix(".0") + "s"

    def _plain(self) -> dict[str, Any]:
        seconds, microseconds = divmod(self.value // timedelta(microseconds=1), 1_000_000)
        return {"seconds": seconds, "microseconds": microseconds}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """This variant from the JSON data of its fields."""
        return cls(timedelta(**fields))


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidMetadataError(
                f"MetadataValue.Timestamp cannot read {value!r}: write it as in 2024-01-31T12:00:00."
            ) from error
    seconds = number("Timestamp", value)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidMetadataError(
            f"MetadataValue.Timestamp cannot hold {value!r} seconds since 1970: {error}."
        ) from error
