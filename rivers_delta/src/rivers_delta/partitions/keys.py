"""From the text of a partition key to the value in its column: one text per value, so that no two keys share rows."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_delta.schema.encoding import Column

_BITS: Final = {"c": 7, "s": 15, "i": 31, "l": 63, "C": 8, "S": 16, "I": 32, "L": 64}
_UNSIGNED: Final = "CSIL"
_SINGLE_DIGITS: Final = 9
_EXACTLY: Final = Context(prec=100)


class UnfitKeyError(ValueError):
    """Why a column cannot hold a key, for the middle of a sentence."""


class Reading(NamedTuple):
    """How a column reads a partition key.

    Args:
        value: From a text to what the column holds; `ValueError` or `ArithmeticError` if it cannot hold it, an
            `UnfitKeyError` if it says why.
        text: From a value to the one text that a key for it has.
        sql_type: What SQL calls the type, where a value needs it.
    """

    value: Callable[[str], Any]
    text: Callable[[Any], str]
    sql_type: str = ""


def reading(column: Column) -> Reading | None:
    """How a column reads partition keys; None if its type cannot hold any.

    Args:
        column: A column of the table.
    """
    kind = column.stored.format
    if kind.startswith("tsu:"):
        zone = zone_of(column)
        return Reading(lambda key: _moment(key, zone), lambda value: _local(value, zone))
    given = (column.given.dictionary or column.given).format
    if given in _BITS or kind in _BITS:
        return _whole(given if given in _BITS else kind, kind)
    if kind.startswith("d:"):
        precision, scale = (int(part) for part in kind[2:].split(",")[:2])
        return Reading(lambda key: _decimal(key, precision, scale), lambda value: f"{value:f}",
                       f"DECIMAL({precision}, {scale})")  # fmt: skip
    return _READINGS.get(kind)


def zone_of(column: Column) -> Any:
    """The time zone in which a naive time is meant: the one that the column was given with; None if it has none.

    Args:
        column: A column of timestamps.
    """
    if not column.stored.format.startswith("tsu:UTC"):
        return None
    name = column.given.format[4:]
    try:
        return UTC if name in {"", "UTC"} else ZoneInfo(name)
    except (ValueError, KeyError):
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo


def in_zone(moment: datetime, zone: Any) -> datetime:
    """A naive time as the table stores it.

    Args:
        moment: Without a time zone.
        zone: As `zone_of` gives it.
    """
    return moment if zone is None else moment.replace(tzinfo=zone).astimezone(UTC)


def _moment(key: str, zone: Any) -> datetime:
    moment = datetime.fromisoformat(key)
    if moment.tzinfo is None or zone is None:
        return in_zone(moment.replace(tzinfo=None), zone)
    return moment.astimezone(UTC)


def _local(value: datetime, zone: Any) -> str:
    return (value if zone is None else value.astimezone(zone).replace(tzinfo=None)).isoformat()


def _whole(given: str, stored: str) -> Reading:
    low = 0 if given in _UNSIGNED else -(1 << _BITS[given])
    high = (1 << _BITS[given]) - 1

    def value(key: str) -> int | Decimal:
        number = int(key)
        if not low <= number <= high:
            raise UnfitKeyError(f"it is not between {low} and {high}")
        return Decimal(number) if stored.startswith("d:") else number

    return Reading(value, str, "DECIMAL(20, 0)" if stored.startswith("d:") else "")


def _decimal(key: str, precision: int, scale: int) -> Decimal:
    given = Decimal(key)
    if not given.is_finite():
        raise UnfitKeyError("it is no finite number")
    if given and given.adjusted() >= precision - scale:
        raise UnfitKeyError(f"it has more than {precision - scale} digits before the point")
    value = given.quantize(Decimal(1).scaleb(-scale), context=_EXACTLY)
    if value != given:
        raise UnfitKeyError(f"it has more than {scale} digits after the point")
    return value or value.copy_abs()


def _truth(key: str) -> bool:
    if key.lower() not in {"true", "false"}:
        raise ValueError(key)
    return key.lower() == "true"


def _double(key: str) -> float:
    value = float(key)
    if not math.isfinite(value):
        raise UnfitKeyError("readers of a table do not agree on which rows have a value that is not finite")
    return value or 0.0


def _single(key: str) -> float:
    """The value as 32 bits hold it, which is what the column is compared with."""
    (value,) = struct.unpack("<f", struct.pack("<f", _double(key)))
    return float(value) or 0.0


def _single_text(value: float) -> str:
    """The shortest text that 32 bits read as this value."""
    texts = (f"{value:.{digits}g}" for digits in range(1, _SINGLE_DIGITS))
    return repr(float(next((text for text in texts if _single(text) == value), f"{value:.9g}")))


_READINGS: Final[dict[str, Reading]] = {
    "u": Reading(str, str),
    "tdD": Reading(date.fromisoformat, date.isoformat),
    "b": Reading(_truth, lambda value: str(value).lower()),
    "f": Reading(_single, _single_text, "FLOAT"),
    "g": Reading(_double, repr, "DOUBLE"),
}
