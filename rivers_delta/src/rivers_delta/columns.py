"""Columns that come back as they were: which Arrow types Delta keeps, which it keeps in another, and which not.

A column whose type Delta has no word for (a categorical, an unsigned integer, a time zone) is stored in the
nearest type that holds every value, and its own type is written beside it into the column's metadata, where any
other Delta reader passes it over. What cannot be held without loss is refused with the column's name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rivers_core.metadata import Schema
from rivers_core.metadata.schema import ArrowField

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from arro3.core import Field as ArrowSchemaField
    from arro3.core import Schema as ArrowSchema

TYPE_HINT: Final = "rivers.type"
PARTITION_HINT: Final = "rivers.partition"

_KEPT: Final = frozenset(["b", "c", "s", "i", "l", "f", "g", "tdD", "u", "z", "tsu:", "tsu:UTC"])
_WIDENED: Final = {"C": "s", "S": "i", "I": "l", "L": "d:20,0", "e": "f"}
_VARIANTS: Final = {"U": "u", "vu": "u", "Z": "z", "vz": "z"}
_LISTS: Final = {"+l": "+l", "+L": "+l"}
_ADVICE: Final = {
    "n": "has the type null; cast it to the type it is meant to have",
    "tsn": "has nanoseconds, and Delta keeps microseconds; cast it to microseconds",
    "td": "is a duration or another kind of date, which Delta has not; cast it to date32",
    "tD": "is a duration, which Delta has not; store a number of microseconds",
    "tt": "is a time of day, which Delta has not; store a timestamp, or text",
    "ti": "is an interval, which Delta has not; store numbers",
    "d:": "is a decimal beyond 38 digits or with a negative scale; cast it to decimal128(38, s)",
    "+u": "is a union, which Delta has not; store a struct",
    "+r": "is run-end encoded; decode it first",
    "+v": "is a list view; cast it to a list",
    "+s": "is a struct without fields, which Parquet has not; drop it or add a field",
}


class _UnstorableError(Exception):
    """Why a type cannot be kept."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is, and what it is stored as.

    Args:
        given: Its name and type in the value.
        stored: Its name and type in the table.
        hint: What is written into the column's metadata so that `given` is known again; empty if not needed.
        is_cast: Whether values have to be cast before deltalake takes them.
        is_checked: Whether that cast might not hold every value, so that the result has to be looked at.
    """

    given: ArrowField
    stored: ArrowField
    hint: str = ""
    is_cast: bool = False
    is_checked: bool = False

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.given.name


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the columns of a value are stored."""

    columns: tuple[Column, ...]
    faults: tuple[str, ...] = field(default=())

    @property
    def is_identity(self) -> bool:
        """Whether the value can be handed to deltalake as it is."""
        return not any(column.is_cast or column.hint for column in self.columns)

    def schema(self) -> Schema:
        """The columns as the value has them, for the event."""
        return schema_of(column.given for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


def encode(schema: Schema, metadata: Mapping[str, Mapping[str, str]]) -> Encoding:
    """Work out how each column is stored.

    Args:
        schema: The columns of a value.
        metadata: Per column, what a library needs to know its own type again (polars: the values of an Enum).

    Returns:
        The encoding, with one sentence for each column that cannot be stored.
    """
    columns: list[Column] = []
    faults: list[str] = []
    for given in schema.columns:
        extras = metadata.get(given.name, {})
        try:
            if "ARROW:extension:name" in extras:
                raise _UnstorableError(
                    f"has the extension type {extras['ARROW:extension:name']!r}; store its storage"
                )
            columns.append(_column(given, extras))
        except _UnstorableError as reason:
            faults.append(f"column {given.name!r} ({given.type_name()}) {reason}")
    return Encoding(tuple(columns), tuple(faults + _name_faults(schema.names)))


def decode(schema: Any) -> list[Column]:
    """The columns of a table, with the types that were given when they were written.

    Args:
        schema: The schema of a Delta table.
    """
    stored = Schema(schema).columns
    return [_decoded(one, column) for one, column in zip(schema.fields, stored, strict=True)]


def schema_of(fields: Iterable[ArrowField]) -> Schema:
    """A schema of these columns.

    Args:
        fields: Names and types.
    """
    return Schema.from_plain([one.to_plain() for one in fields])


def same_type(left: ArrowField, right: ArrowField) -> bool:
    """Whether two types hold the same values: large and view variants count as the plain type.

    Args:
        left: One column.
        right: The other; names of list items and nullability do not matter.
    """
    return _comparable(left) == _comparable(right)


def plain_variant(given: ArrowField) -> ArrowField:
    """The type with large and view variants replaced by the plain ones, at any depth.

    Args:
        given: A column.
    """
    kind = _VARIANTS.get(given.format) or _LISTS.get(given.format) or given.format
    dictionary = plain_variant(given.dictionary) if given.dictionary is not None else None
    children = tuple(plain_variant(child) for child in given.children)
    return given._replace(format=kind, children=children, dictionary=dictionary)


def fields_of(schema: ArrowSchema) -> list[ArrowSchemaField]:
    """The fields of an arro3 schema.

    Args:
        schema: The schema.
    """
    return [schema.field(i) for i in range(len(schema.names))]


def _column(given: ArrowField, extras: Mapping[str, str]) -> Column:
    checked = given.format[:3] in {"tss", "tsm"}
    stored = _stored(given, nested=False)
    cast = not same_type(given, stored)
    hint = "" if _exactly(given) == _exactly(stored) and not extras else _hint(given, extras)
    return Column(given, stored, hint, cast or bool(given.dictionary), checked)


def _hint(given: ArrowField, extras: Mapping[str, str]) -> str:
    told: dict[str, Any] = {"arrow": given._replace(name="").to_plain()}
    if extras:
        told["metadata"] = dict(extras)
    return json.dumps(told, separators=(",", ":"))


def _decoded(one: Any, stored: ArrowField) -> Column:
    hint = one.metadata.get(TYPE_HINT, "")
    if not hint:
        return Column(stored, stored)
    told = json.loads(hint) if isinstance(hint, str) else hint
    given = ArrowField.from_plain(told["arrow"])._replace(name=stored.name)
    return Column(given, stored, json.dumps(told, separators=(",", ":")), is_cast=True)


def _stored(given: ArrowField, *, nested: bool) -> ArrowField:
    """The type that a table keeps for a type.

    Raises:
        _UnstorableError: There is none that holds every value.
    """
    kind = given.format
    if given.dictionary is not None:
        if nested:
            raise _UnstorableError("has a dictionary inside of another type; decode it")
        return _stored(given.dictionary, nested=True)._replace(name=given.name, flags=given.flags & ~1)
    if kind in _KEPT or _is_decimal(kind):
        return given
    simple = _WIDENED.get(kind) or _VARIANTS.get(kind) or _timestamp(kind, nested) or _fixed(kind)
    if simple:
        return given._replace(format=simple, children=())
    if kind in _LISTS or kind.startswith("+w:"):
        return given._replace(format="+l", children=_children(given))
    if kind == "+m":
        # deltalake does not look for them in maps when it decides which features a table needs
        if _has(given, "tsu:"):
            raise _UnstorableError("has timestamps without a time zone inside of a map; give them one")
        return given._replace(children=_children(given))
    if kind == "+s" and given.children:
        return given._replace(children=_children(given))
    advice = (
        _ADVICE.get(kind) or _ADVICE.get(kind[:3]) or _ADVICE.get(kind[:2]) or "is of no type that Delta has"
    )
    raise _UnstorableError(advice)


def _children(given: ArrowField) -> tuple[ArrowField, ...]:
    return tuple(_stored(child, nested=True) for child in given.children)


def _has(given: ArrowField, kind: str) -> bool:
    return given.format == kind or any(_has(child, kind) for child in given.children)


def _timestamp(kind: str, nested: bool) -> str | None:
    """Microseconds, in UTC where the zone is known; coarser units only where the cast can be looked at."""
    if kind.startswith("tsu:"):
        return "tsu:UTC"
    if kind[:3] not in {"tss", "tsm"}:
        return None
    if nested:
        raise _UnstorableError("has seconds or milliseconds inside of another type; cast it to microseconds")
    return "tsu:UTC" if kind[4:] else "tsu:"


def _fixed(kind: str) -> str | None:
    return "z" if kind.startswith("w:") else None


def _is_decimal(kind: str) -> bool:
    if not kind.startswith("d:"):
        return False
    precision, scale, *width = (int(part) for part in kind[2:].split(","))
    return precision <= 38 and 0 <= scale <= precision and width in ([], [128])


def _comparable(one: ArrowField) -> tuple[Any, ...]:
    kind = _VARIANTS.get(one.format) or _LISTS.get(one.format) or one.format
    children = tuple((child.name if kind == "+s" else "", *_comparable(child)) for child in _inner(one))
    dictionary = None if one.dictionary is None else _comparable(one.dictionary)
    return kind.removesuffix(",128"), children, dictionary


def _exactly(one: ArrowField) -> tuple[Any, ...]:
    """A type as Arrow compares it: names of list items and map entries do not count."""
    children = tuple(
        (child.name if one.format == "+s" else "", child.flags, *_exactly(child)) for child in _inner(one)
    )
    dictionary = None if one.dictionary is None else (one.flags & 1, _exactly(one.dictionary))
    return one.format.removesuffix(",128"), children, dictionary


def _inner(one: ArrowField) -> tuple[ArrowField, ...]:
    """The children that matter: of a map, key and value."""
    return one.children[0].children if one.format == "+m" else one.children


def _name_faults(names: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    faults = [] if names else ["it has no columns, and a table needs one"]
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            faults.append(
                f"columns {other!r} and {name!r} differ in nothing but case, which Delta does not tell apart"
            )
    return faults
