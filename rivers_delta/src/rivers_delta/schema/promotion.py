"""How Arrow types relate: which are the same, and which hold every value of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_core.metadata.schema import ArrowField

VARIANTS: Final = {"U": "u", "vu": "u", "Z": "z", "vz": "z"}
LISTS: Final = {"+l": "+l", "+L": "+l"}
ORDERED: Final = 1
"""The flag of a dictionary whose values have an order."""
KEYS_SORTED: Final = 4
"""The flag of a map whose keys are sorted."""

_HOLD_ALL: Final = {
    "c": "silefg", "s": "ilfg", "i": "lg", "C": "sSiIlLefg", "S": "iIlLfg", "I": "lLg", "e": "fg", "f": "g",
}  # fmt: skip
_DIGITS: Final = {"c": 3, "C": 3, "s": 5, "S": 5, "i": 10, "I": 10, "l": 19, "L": 20}
_NUMBERS: Final = frozenset("cCsSiIlLefg")
_MOST_DIGITS: Final = 38
_UNITS: Final = "smu"


def same_type(left: ArrowField, right: ArrowField) -> bool:
    """Whether two types hold the same values: large and view variants count as the plain type.

    Args:
        left: One column.
        right: The other; names of list items and nullability do not matter.
    """
    return _comparable(left) == _comparable(right)


def is_exactly(left: ArrowField, right: ArrowField) -> bool:
    """Whether two types are equal as Arrow compares them: names of list items and map entries do not count.

    Args:
        left: One column.
        right: The other.
    """
    return _exactly(left) == _exactly(right)


def plain_variant(given: ArrowField) -> ArrowField:
    """The type with large and view variants replaced by the plain ones, at any depth.

    Args:
        given: A column.
    """
    kind = VARIANTS.get(given.format) or LISTS.get(given.format) or given.format
    dictionary = plain_variant(given.dictionary) if given.dictionary is not None else None
    children = tuple(plain_variant(child) for child in given.children)
    return given._replace(format=kind, children=children, dictionary=dictionary)


def widens(given: ArrowField, wanted: ArrowField) -> bool:
    """Whether every value of one type is a value of another; which categories there are is not looked at.

    Args:
        given: The type that values have.
        wanted: The type that they are to get.
    """
    return _relates(given, wanted, _scalar_widens)


def may_hold(given: ArrowField, wanted: ArrowField) -> bool:
    """Whether values of one type may each be one of another, so that a cast there and back tells.

    Args:
        given: The type that values have.
        wanted: The type that they are to get.
    """
    return _relates(given, wanted, _scalar_may_hold)


def _relates(given: ArrowField, wanted: ArrowField, scalar: Callable[[str, str], bool]) -> bool:
    if same_type(given, wanted):
        return True
    if wanted.dictionary is not None:
        return same_type(given.dictionary or given, wanted.dictionary)
    if given.dictionary is not None:
        return widens(given.dictionary, wanted)
    if not (given.children and wanted.children):
        return scalar(given.format, wanted.format)
    if _is_list(given) and (wanted.format in LISTS or wanted.format == given.format):
        return _relates(given.children[0], wanted.children[0], scalar)
    if given.format == wanted.format == "+s":
        fields = {field.name: field for field in wanted.children}
        same_names = sorted(field.name for field in given.children) == sorted(fields)
        return same_names and all(_relates(field, fields[field.name], scalar) for field in given.children)
    if given.format == wanted.format == "+m" and given.flags & KEYS_SORTED >= wanted.flags & KEYS_SORTED:
        return all(_relates(*pair, scalar) for pair in zip(inner(given), inner(wanted), strict=True))
    return False


def keeps_or_drops(given: ArrowField, wanted: ArrowField) -> bool:
    """Whether a cast makes each exact number either the same number or null, and never another one.

    Args:
        given: The type that values have.
        wanted: The type that they are to get.
    """
    own, other = _decimal(given.format), _decimal(wanted.format)
    if own is None or other is None:
        return False
    if wanted.format in _DIGITS:
        return given.format in _DIGITS
    whole, places = own[0] - own[1], own[1]
    return places <= other[1] and whole + other[1] <= _MOST_DIGITS


def filled(given: ArrowField, known: ArrowField) -> ArrowField:
    """A type whose parts of the type null are what they are in another.

    Args:
        given: A column, which may be of nulls.
        known: The same column elsewhere.
    """
    if given.format == "n" or (given.dictionary is not None and given.dictionary.format == "n"):
        return known._replace(name=given.name)
    if given.format in LISTS and known.format in LISTS:
        return given._replace(children=(filled(given.children[0], known.children[0]),))
    if given.format == known.format == "+s":
        fields = {field.name: field for field in known.children}
        return given._replace(
            children=tuple(filled(field, fields.get(field.name, field)) for field in given.children)
        )
    return given


def inner(one: ArrowField) -> tuple[ArrowField, ...]:
    """The children that matter: of a map, key and value.

    Args:
        one: A column.
    """
    return one.children[0].children if one.format == "+m" else one.children


def _scalar_widens(given: str, wanted: str) -> bool:
    if given.startswith("w:"):
        return wanted in {"z", "Z", "vz"}
    if given.startswith("ts") and wanted.startswith("ts"):
        same_kind = bool(given[4:]) == bool(wanted[4:])
        return same_kind and given[2] in _UNITS[: _UNITS.find(wanted[2]) + 1]
    if not wanted.startswith("d:"):
        return wanted in _HOLD_ALL.get(given, ())
    own, other = _decimal(given), _decimal(wanted)
    if own is None or other is None:
        return False
    return own[1] <= other[1] and own[0] - own[1] <= other[0] - other[1]


def _scalar_may_hold(given: str, wanted: str) -> bool:
    if _scalar_widens(given, wanted) or (given in _NUMBERS and wanted in _NUMBERS):
        return True
    return wanted.startswith("ts") and (
        (given.startswith("ts") and bool(given[4:]) == bool(wanted[4:]))
        or (given == "tdD" and not wanted[4:])
    )


def _decimal(kind: str) -> tuple[int, int] | None:
    """The digits of an exact number, and how many of them follow the point; None if it is no such number."""
    if not kind.startswith("d:"):
        return (_DIGITS[kind], 0) if kind in _DIGITS else None
    digits, places, *_ = (int(part) for part in kind[2:].split(","))
    return digits, places


def _is_list(one: ArrowField) -> bool:
    return one.format in LISTS or one.format.startswith("+w:")


def _comparable(one: ArrowField) -> tuple[Any, ...]:
    kind = VARIANTS.get(one.format) or LISTS.get(one.format) or one.format
    children = tuple((child.name if kind == "+s" else "", *_comparable(child)) for child in inner(one))
    dictionary = None if one.dictionary is None else _comparable(one.dictionary)
    return kind.removesuffix(",128"), one.flags & KEYS_SORTED, children, dictionary


def _exactly(one: ArrowField) -> tuple[Any, ...]:
    children = tuple(
        (child.name if one.format == "+s" else "", child.flags, *_exactly(child)) for child in inner(one)
    )
    dictionary = None if one.dictionary is None else (one.flags & ORDERED, _exactly(one.dictionary))
    return one.format.removesuffix(",128"), one.flags & KEYS_SORTED, children, dictionary
