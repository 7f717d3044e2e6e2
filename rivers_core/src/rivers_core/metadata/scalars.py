"""Metadata values that are one plain Python value."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError
from rivers_core.metadata.values import MetadataValue, metadata_variant

if TYPE_CHECKING:
    from typing import Self


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
    """A real number as float, whole or not; numpy's count.

    Raises:
        MetadataTypeError: It is no number, or a boolean.
    """
    if isinstance(value, bool) or not isinstance(value, (float, Real)):
        raise MetadataTypeError(
            f"MetadataValue.{variant} holds a number, got {value!r} ({type(value).__name__})."
        )
    return float(value)


class _Plain(MetadataValue):
    __slots__ = ("value",)
    _fields = ("value",)


@metadata_variant("Text", "text")
class Text(_Plain):
    """Plain text."""

    __slots__ = ()
    value: str

    def __init__(self, value: str) -> None:
        require("Text", value, str, "text")
        self._set(value=str(value))


@metadata_variant("DataVersion", "data_version")
class DataVersion(_Plain):
    """A version of the data."""

    __slots__ = ()
    value: str

    def __init__(self, value: str) -> None:
        require("DataVersion", value, str, "text")
        self._set(value=str(value))


@metadata_variant("Int", "int")
class Int(_Plain):
    """A whole number."""

    __slots__ = ()
    value: int

    def __init__(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, Integral)):
            raise MetadataTypeError(
                f"MetadataValue.Int holds a whole number, got {value!r} ({type(value).__name__})."
            )
        self._set(value=int(value))


class _Number(_Plain):
    __slots__ = ()
    value: float

    def __init__(self, value: float) -> None:
        self._set(value=number(type(self).__name__, value))

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
        require("Bool", value, bool, "True or False")
        self._set(value=value)

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
        length = value if isinstance(value, timedelta) else timedelta(seconds=number("Duration", value))
        self._set(value=length)

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
    return datetime.fromtimestamp(number("Timestamp", value), UTC)
