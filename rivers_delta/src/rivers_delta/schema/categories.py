"""Categories that a column may hold: what is remembered of them beside a table's column, and what fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from rivers_delta.schema.promotion import ORDERED, same_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.schema.encoding import Column

Categories: TypeAlias = "tuple[str | None, ...]"
"""The values of a dictionary in their order, each said as text."""

MOST_CATEGORIES: Final = 10_000
_MOST_CHARACTERS: Final = 250_000
_SAYABLE: Final = frozenset("bcCsSiIlLfguU") | {"vu", "tdD"}
_SHOWN: Final = 5


def is_ordered(given: ArrowField) -> bool:
    """Whether a column has categories with an order.

    Args:
        given: Its type.
    """
    return given.dictionary is not None and bool(given.flags & ORDERED)


def remembered(categories: Sequence[str | None] | None) -> Categories | None:
    """What is written beside a column; None if nothing is known, or more than a schema should carry.

    Args:
        categories: All of them, in order.
    """
    if categories is None or len(categories) > MOST_CATEGORIES:
        return None
    too_long = sum(len(one or "") for one in categories) > _MOST_CHARACTERS
    return None if too_long else tuple(categories)


def order_fault(given: ArrowField, categories: Sequence[str | None] | None) -> str | None:
    """Why the order of a column's categories cannot be kept; None if it can, or if there is none.

    Args:
        given: The type of the column.
        categories: What is known of them.
    """
    if not is_ordered(given) or remembered(categories) is not None:
        return None
    if categories is not None:
        return (
            f"has {len(categories):,} categories in an order, more than a table's schema can carry; store it as text, "
            "and the order in a column of numbers"
        )
    assert given.dictionary is not None
    kind = given.dictionary.format
    if kind in _SAYABLE or kind.startswith(("ts", "d:")):
        return (
            "has categories in an order that its stream does not tell beforehand; read it into a table first"
        )
    return f"has ordered categories of the type {given.dictionary.type_name()}; make them text"


def has_same_kind(column: Column, there: Column) -> bool:
    """Whether two columns hold categories of one type; how wide their numbers are does not matter.

    Args:
        column: The column of a value.
        there: The column of the table.
    """
    given, wanted = column.given.dictionary, there.given.dictionary
    return given is not None and wanted is not None and same_type(given, wanted)


def misfit(column: Column, there: Column) -> str | None:
    """Why values cannot go into a column of categories, whatever their type; None if they can.

    A column whose categories have an order takes no others. Any other column takes new ones.

    Args:
        column: The column of a value.
        there: The column of the table.
    """
    here_ordered, there_ordered = is_ordered(column.given), is_ordered(there.given)
    if here_ordered != there_ordered:
        here, there_said = ("a fixed", "no") if here_ordered else ("no", "a fixed")
        return f"the categories of column {column.name!r} have {here} order here, and {there_said} one in the table"
    if not there_ordered or column.categories == there.categories:
        return None
    known = there.categories or ()
    new = [one for one in column.categories or () if one not in set(known)]
    if new:
        return f"column {column.name!r} has categories that it has not in the table: {_listed(new)}"
    how = "fewer" if len(column.categories or ()) < len(known) else "in another order"
    return f"the categories of column {column.name!r} are {how} than in the table, which has {_listed(known)}"


def _listed(categories: Sequence[str | None]) -> str:
    more = len(categories) - _SHOWN
    return ", ".join(map(repr, categories[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")
