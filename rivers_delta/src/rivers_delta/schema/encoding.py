"""Columns that come back as they were: which Arrow types Delta keeps, which it keeps in another, and which not.

A column whose type Delta has no word for (a categorical, an unsigned integer, a time zone) is stored in the
nearest type that holds every value, and its own type is written beside it into the column's metadata, where any
other Delta reader passes it over. What cannot be held without loss is refused with the column's name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from rivers_core import Schema
from rivers_core.metadata.schema import ArrowField
from rivers_delta.schema.categories import is_ordered, order_fault, remembered
from rivers_delta.schema.promotion import (
    KEYS_SORTED,
    LISTS,
    ORDERED,
    VARIANTS,
    filled,
    inner,
    is_exactly,
    same_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from arro3.core import Field as ArrowSchemaField
    from arro3.core import Schema as ArrowSchema

    from rivers_delta.schema.categories import Categories

TYPE_HINT: Final = "rivers.type"
PARTITION_HINT: Final = "rivers.partition"
EXTENSION: Final = "ARROW:extension:name"
"""Where Arrow writes the name of an extension type."""

_KEPT: Final = frozenset(["b", "c", "s", "i", "l", "f", "g", "tdD", "u", "z", "tsu:", "tsu:UTC"])
_WIDENED: Final = {"C": "s", "S": "i", "I": "l", "L": "d:20,0", "e": "f"}
_NARROW: Final = frozenset("cCsS")
_ADVICE: Final = {
    "n": "has the type null; cast it to the type it is meant to have",
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
        through: The type that every value has to be one of as well: that of the table's column, if it is another.
        categories: The values of a dictionary in their order, as text, if they are remembered.
    """

    given: ArrowField
    stored: ArrowField
    hint: str = ""
    is_cast: bool = False
    is_checked: bool = False
    through: ArrowField | None = None
    categories: Categories | None = None

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


def encode(
    schema: Schema,
    metadata: Mapping[str, Mapping[str, str]],
    categories: Mapping[str, Sequence[str | None]] | None = None,
    there: Sequence[Column] = (),
) -> Encoding:
    """Work out how each column is stored.

    Args:
        schema: The columns of a value.
        metadata: Per column, what a library needs to know its own type again.
        categories: Per column, the values that it may hold, in their order and as text.
        there: The columns of the table, whose types those get that hold nothing but nulls and have none.

    Returns:
        The encoding, with one sentence for each column that cannot be stored.
    """
    columns: list[Column] = []
    faults: list[str] = []
    known = {column.name: column for column in there}
    for given in schema.columns:
        extras = metadata.get(given.name, {})
        try:
            if EXTENSION in extras:
                raise _UnstorableError(f"has the extension type {extras[EXTENSION]!r}; store its storage")
            column = _filled(given, extras, known.get(given.name))
            columns.append(column or _column(given, extras, (categories or {}).get(given.name)))
        except _UnstorableError as reason:
            faults.append(f"column {given.name!r} ({given.type_name()}) {reason}")
    return Encoding(tuple(columns), (*faults, *_name_faults(schema)))


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


def streamed(schema: Schema) -> Schema:
    """The types that a stream of these columns has: batches to come may bring categories beyond narrow numbers.

    Args:
        schema: The columns as they were given.
    """
    return schema_of(
        one._replace(format="i") if one.dictionary and one.format in _NARROW and not is_ordered(one) else one
        for one in schema.columns
    )


def fields_of(schema: ArrowSchema) -> list[ArrowSchemaField]:
    """The fields of an arro3 schema.

    Args:
        schema: The schema.
    """
    return [schema.field(i) for i in range(len(schema.names))]


def _column(given: ArrowField, extras: Mapping[str, str], categories: Sequence[str | None] | None) -> Column:
    checked = _has(given, _is_other_unit)
    stored = _stored(given, nested=False)
    fault = order_fault(given, categories)
    if fault is not None:
        raise _UnstorableError(fault)
    cast = not same_type(given, stored)
    known = remembered(categories)
    hint = "" if is_exactly(given, stored) and not extras else _hint(given, extras, known)
    is_cast = cast or given.dictionary is not None
    return Column(given, stored, hint, is_cast, checked, categories=known)


def _filled(given: ArrowField, extras: Mapping[str, str], there: Column | None) -> Column | None:
    """A column of nulls as one of the table's; None if it has a type of its own."""
    if there is None or (whole := filled(given, there.given)) is given or whole == given:
        return None
    if whole == there.given._replace(name=given.name):
        return replace(there, is_cast=True)
    return replace(_column(whole, extras, None), is_cast=True)


def _hint(given: ArrowField, extras: Mapping[str, str], categories: Categories | None) -> str:
    told: dict[str, Any] = {"arrow": given._replace(name="").to_plain()}
    if extras:
        told["metadata"] = dict(extras)
    if categories is not None:
        told["categories"] = categories
    return _said(told)


def _said(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


def _decoded(one: Any, stored: ArrowField) -> Column:
    hint = one.metadata.get(TYPE_HINT, "")
    if not hint:
        return Column(stored, stored)
    told = json.loads(hint) if isinstance(hint, str) else hint
    given = ArrowField.from_plain(told["arrow"])._replace(name=stored.name)
    categories = tuple(told["categories"]) if "categories" in told else None
    return Column(given, stored, _said(told), is_cast=True, categories=categories)


def _stored(given: ArrowField, *, nested: bool) -> ArrowField:
    """The type that a table keeps for a type.

    Raises:
        _UnstorableError: There is none that holds every value.
    """
    kind = given.format
    if given.dictionary is not None:
        if nested:
            raise _UnstorableError("has a dictionary inside of another type; decode it")
        if _has(given.dictionary, _is_other_unit):
            raise _UnstorableError("has a dictionary of moments that are not in microseconds; decode it")
        return _stored(given.dictionary, nested=True)._replace(name=given.name, flags=given.flags & ~ORDERED)
    if kind in _KEPT or _is_decimal(kind):
        return given
    simple = _WIDENED.get(kind) or VARIANTS.get(kind) or _timestamp(kind) or _fixed(kind)
    if simple:
        return given._replace(format=simple, children=())
    if kind in LISTS or kind.startswith("+w:"):
        return given._replace(format="+l", children=_children(given))
    if kind == "+m":
        # deltalake does not look for them in maps when it decides which features a table needs
        if _has(given, lambda inside: inside[:2] == "ts" and not inside[4:]):
            raise _UnstorableError("has timestamps without a time zone inside of a map; give them one")
        return given._replace(flags=given.flags & ~KEYS_SORTED, children=_children(given))
    if kind == "+s" and given.children:
        return given._replace(children=_children(given))
    advice = (
        _ADVICE.get(kind) or _ADVICE.get(kind[:3]) or _ADVICE.get(kind[:2]) or "is of no type that Delta has"
    )
    raise _UnstorableError(advice)


def _children(given: ArrowField) -> tuple[ArrowField, ...]:
    return tuple(_stored(child, nested=True) for child in given.children)


def _has(given: ArrowField, test: Callable[[str], bool]) -> bool:
    return test(given.format) or any(_has(child, test) for child in given.children)


def _is_other_unit(kind: str) -> bool:
    """Whether these are moments in another unit than microseconds."""
    return kind.startswith("ts") and kind[2] != "u"


def _timestamp(kind: str) -> str | None:
    """Microseconds, in UTC where the zone is known."""
    if not kind.startswith("ts"):
        return None
    return "tsu:UTC" if kind[4:] else "tsu:"


def _fixed(kind: str) -> str | None:
    return "z" if kind.startswith("w:") else None


def _is_decimal(kind: str) -> bool:
    if not kind.startswith("d:"):
        return False
    precision, scale, *width = (int(part) for part in kind[2:].split(","))
    return precision <= 38 and 0 <= scale <= precision and width in ([], [128])


def _name_faults(schema: Schema) -> Iterator[str]:
    if not schema.columns:
        yield "it has no columns, and a table needs one"
    for one, other in _alike(schema.names):
        yield (
            f"column {one!r} is there more than once"
            if one == other
            else f"columns {one!r} and {other!r} differ in nothing but case, which Delta does not tell apart"
        )
    for column in schema.columns:
        for one, other in _alike_fields(column):
            yield f"column {column.name!r} has fields {one!r} and {other!r} inside, which Delta does not tell apart"


def _alike(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names that are the same but for their case: the first, and each further one."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.get(name.casefold())
        if first is not None:
            yield first, name
        seen.setdefault(name.casefold(), name)


def _alike_fields(one: ArrowField) -> Iterator[tuple[str, str]]:
    if one.format == "+s":
        yield from _alike([field.name for field in one.children])
    for child in inner(one):
        yield from _alike_fields(child)
