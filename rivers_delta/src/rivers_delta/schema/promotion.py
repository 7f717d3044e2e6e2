"""Type promotion: which Arrow types hold every value of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import types as pat

from rivers_frames.arrow_types import (
    children,
    is_any_list,
    is_bytes,
    is_plain_list,
    same_type,
    with_children,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MANTISSA_BITS: Final = {16: 11, 32: 24, 64: 53}
_MAX_DIGITS: Final = 38
_UNITS: Final = ("s", "ms", "us")


def widens(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether every value of one type is a value of another; which categories exist does not matter.

    Args:
        given: The type of the values.
        wanted: The type to cast to.
    """
    return _relates(given, wanted, _scalar_widens)


def may_hold(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether some values of one type are values of another, so that casting there and back shows which.

    Args:
        given: The type of the values.
        wanted: The type to cast to.
    """
    return _relates(given, wanted, _scalar_may_hold)


def keeps_or_drops(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether a cast turns each exact number into the same number or null, never into another number.

    Args:
        given: The type of the values.
        wanted: The type to cast to.
    """
    own, target = _digits(given), _digits(wanted)
    if own is None or target is None:
        return False
    if pat.is_integer(wanted):
        return bool(pat.is_integer(given))
    whole, scale = own[0] - own[1], own[1]
    return scale <= target[1] and whole + target[1] <= _MAX_DIGITS


def filled(given: pa.DataType, known: pa.DataType) -> pa.DataType:
    """Return a type whose null parts are replaced by those of another.

    Args:
        given: The type of a column that may hold only nulls.
        known: The type of the same column in the table.
    """
    if pat.is_null(given) or (pat.is_dictionary(given) and pat.is_null(given.value_type)):
        return known
    if is_plain_list(given) and is_plain_list(known):
        item = given.value_field
        return with_children(given, [item.with_type(filled(item.type, known.value_type))])
    if pat.is_struct(given) and pat.is_struct(known):
        types = {field.name: field.type for field in children(known)}
        fields = [
            field.with_type(filled(field.type, types.get(field.name, field.type)))
            for field in children(given)
        ]
        return with_children(given, fields)
    return given


def _relates(
    given: pa.DataType, wanted: pa.DataType, scalar: Callable[[pa.DataType, pa.DataType], bool]
) -> bool:
    if same_type(given, wanted):
        return True
    if pat.is_dictionary(wanted):
        return same_type(given.value_type if pat.is_dictionary(given) else given, wanted.value_type)
    if pat.is_dictionary(given):
        return widens(given.value_type, wanted)
    own, target = children(given), children(wanted)
    if not (own and target):
        return scalar(given, wanted)
    if is_any_list(given):
        sizes_match = pat.is_fixed_size_list(wanted) and getattr(given, "list_size", None) == wanted.list_size
        return (is_plain_list(wanted) or sizes_match) and _relates(own[0].type, target[0].type, scalar)
    if pat.is_struct(given) and pat.is_struct(wanted):
        types = {field.name: field.type for field in target}
        same_names = sorted(field.name for field in own) == sorted(types)
        return same_names and all(_relates(field.type, types[field.name], scalar) for field in own)
    if pat.is_map(given) and pat.is_map(wanted) and given.keys_sorted >= wanted.keys_sorted:
        return all(_relates(mine.type, theirs.type, scalar) for mine, theirs in zip(own, target, strict=True))
    return False


def _scalar_widens(given: pa.DataType, wanted: pa.DataType) -> bool:
    if pat.is_fixed_size_binary(given):
        return is_bytes(wanted)
    if pat.is_timestamp(given) and pat.is_timestamp(wanted):
        return bool(given.tz) == bool(wanted.tz) and given.unit in _UNITS[: _position(wanted.unit) + 1]
    if pat.is_decimal(wanted):
        own, target = _digits(given), _digits(wanted)
        if own is None or target is None:
            return False
        return own[1] <= target[1] and own[0] - own[1] <= target[0] - target[1]
    if pat.is_integer(given) and pat.is_integer(wanted):
        # An unsigned integer needs one more bit in a signed one; a signed integer never fits in an unsigned one.
        is_sign_kept = pat.is_signed_integer(wanted) or pat.is_unsigned_integer(given)
        return bool(is_sign_kept and _value_bits(given) <= _value_bits(wanted))
    if pat.is_floating(wanted):
        if pat.is_integer(given):
            return _value_bits(given) <= _MANTISSA_BITS[wanted.bit_width]
        return bool(pat.is_floating(given) and given.bit_width <= wanted.bit_width)
    return False


def _scalar_may_hold(given: pa.DataType, wanted: pa.DataType) -> bool:
    if _scalar_widens(given, wanted) or (_is_number(given) and _is_number(wanted)):
        return True
    if not pat.is_timestamp(wanted):
        return False
    if pat.is_timestamp(given):
        return bool(given.tz) == bool(wanted.tz)
    return bool(pat.is_date32(given) and not wanted.tz)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or pat.is_floating(kind))


def _value_bits(integer: pa.DataType) -> int:
    return int(integer.bit_width - pat.is_signed_integer(integer))


def _position(unit: str) -> int:
    """Return the place of a unit among those that a table stores exactly; -1 for nanoseconds."""
    return _UNITS.index(unit) if unit in _UNITS else -1


def _digits(kind: pa.DataType) -> tuple[int, int] | None:
    """Return precision and scale of an exact number; None for any other type."""
    if pat.is_decimal(kind):
        return kind.precision, kind.scale
    return (len(str(2 ** _value_bits(kind))), 0) if pat.is_integer(kind) else None
