"""Partition keys as column values: each value has one text, so that no two keys share rows."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime, tzinfo
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from pyarrow import types as pat

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from rivers_delta.schema.encoding import Column

_EXACT: Final = Context(prec=100)


class UnfitKeyError(ValueError):
    """Why a column cannot hold a key, for the middle of a sentence."""


class KeyCodec(NamedTuple):
    """Conversion between the text of partition keys and the values of a column.

    Args:
        value: Parses a key; raises `ValueError` or `ArithmeticError` if the column cannot hold it, and `UnfitKeyError`
            if it also says why.
        text: Returns the only text that a key of this value may have; None if several are read.
        sql_type: SQL name of the type, where a literal needs it.
    """

    value: Callable[[str], Any]
    text: Callable[[Any], str] | None
    sql_type: str = ""


def key_codec(column: Column) -> KeyCodec | None:
    """Return how a column holds partition keys; None if its type cannot.

    Args:
        column: A column of the table.
    """
    stored, given = column.stored.type, column.given.type
    given = given.value_type if pat.is_dictionary(given) else given
    if pat.is_timestamp(stored):
        zone = zone_of(column)
        return KeyCodec(lambda key: _parse_timestamp(key, zone), lambda value: _local_text(value, zone))
    if pat.is_integer(given) or pat.is_integer(stored):
        return _integer_codec(given if pat.is_integer(given) else stored, is_decimal=pat.is_decimal(stored))
    if pat.is_decimal(stored):
        precision, scale = stored.precision, stored.scale
        return KeyCodec(
            lambda key: _parse_decimal(key, precision, scale), None, f"DECIMAL({precision}, {scale})"
        )
    return next((codec for test, codec in _CODECS if test(stored)), None)


def is_inexact(column: Column) -> bool:
    """Return whether a column holds floats or decimals, which have several texts for one value.

    Args:
        column: A column of the table.
    """
    given = column.given.type
    given = given.value_type if pat.is_dictionary(given) else given
    return bool(pat.is_floating(given) or pat.is_decimal(given))


def zone_of(column: Column) -> tzinfo | None:
    """Return the time zone of naive keys: the one the column was written with; None if it has none.

    Args:
        column: A column of timestamps.
    """
    given = column.given.type
    given = given.value_type if pat.is_dictionary(given) else given
    if not column.stored.type.tz:
        return None
    name = given.tz
    if name in {None, "", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError):
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo


def in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    """Return a naive timestamp as the table stores it.

    Args:
        moment: Without a time zone.
        zone: As `zone_of` returns it.
    """
    return moment if zone is None else moment.replace(tzinfo=zone).astimezone(UTC)


def _parse_timestamp(key: str, zone: tzinfo | None) -> datetime:
    moment = datetime.fromisoformat(key)
    if moment.tzinfo is None or zone is None:
        return in_zone(moment.replace(tzinfo=None), zone)
    return moment.astimezone(UTC)


def _local_text(value: datetime, zone: tzinfo | None) -> str:
    return (value if zone is None else value.astimezone(zone).replace(tzinfo=None)).isoformat()


def _integer_codec(kind: pa.DataType, *, is_decimal: bool) -> KeyCodec:
    is_signed = pat.is_signed_integer(kind)
    high = (1 << (kind.bit_width - is_signed)) - 1
    low = -high - 1 if is_signed else 0

    def parse(key: str) -> int | Decimal:
        number = int(key)
        if not low <= number <= high:
            raise UnfitKeyError(f"it is not between {low} and {high}")
        return Decimal(number) if is_decimal else number

    return KeyCodec(parse, str, "DECIMAL(20, 0)" if is_decimal else "")


def _parse_decimal(key: str, precision: int, scale: int) -> Decimal:
    given = Decimal(key)
    if not given.is_finite():
        raise UnfitKeyError("it is not finite")
    if given and given.adjusted() >= precision - scale:
        raise UnfitKeyError(f"it has more than {precision - scale} digits before the point")
    value = given.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    if value != given:
        raise UnfitKeyError(f"it has more than {scale} digits after the point")
    return value or value.copy_abs()


def _parse_boolean(key: str) -> bool:
    if key.lower() not in {"true", "false"}:
        raise ValueError(key)
    return key.lower() == "true"


def _parse_double(key: str) -> float:
    value = float(key)
    if not math.isfinite(value):
        raise UnfitKeyError("readers of a table do not agree on which rows have a value that is not finite")
    return value or 0.0


def _parse_single(key: str) -> float:
    """Return the value as 32 bits hold it, which is what the column is compared with."""
    (value,) = struct.unpack("<f", struct.pack("<f", _parse_double(key)))
    return float(value) or 0.0


_CODECS: Final[tuple[tuple[Callable[[pa.DataType], bool], KeyCodec], ...]] = (
    (pat.is_string, KeyCodec(str, str)),
    (pat.is_date32, KeyCodec(date.fromisoformat, date.isoformat)),
    (pat.is_boolean, KeyCodec(_parse_boolean, lambda value: str(value).lower())),
    (pat.is_float32, KeyCodec(_parse_single, None, "FLOAT")),
    (pat.is_float64, KeyCodec(_parse_double, None, "DOUBLE")),
)
