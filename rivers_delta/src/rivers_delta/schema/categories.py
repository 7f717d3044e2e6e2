"""Categories of a column: what a table's schema records of them, and which values fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pyarrow import types as pat

from rivers_frames.arrow_types import is_ordered, is_text, same_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from rivers_delta.schema.encoding import Column

Categories: TypeAlias = "tuple[str | None, ...]"
"""The values of a dictionary in their order, each as text."""

_MAX_CATEGORIES: Final = 10_000
_MAX_CHARACTERS: Final = 250_000
_SHOWN: Final = 5


def recorded(categories: Sequence[str | None] | None) -> Categories | None:
    """Return what the schema records; None if nothing is known, or more than a schema should carry.

    Args:
        categories: All categories, in order.
    """
    if categories is None or len(categories) > _MAX_CATEGORIES:
        return None
    is_too_long = sum(len(category or "") for category in categories) > _MAX_CHARACTERS
    return None if is_too_long else tuple(categories)


def order_problem(given: pa.DataType, categories: Sequence[str | None] | None) -> str | None:
    """Return why the order of categories cannot be stored; None if it can, or if there is no order.

    Args:
        given: The type of the column.
        categories: The known categories.
    """
    if not is_ordered(given) or recorded(categories) is not None:
        return None
    if categories is not None:
        return (
            f"with {len(categories):,} ordered categories, more than a table's schema can carry; store it as text, and "
            "the order in a column of integers"
        )
    if _has_text_form(given.value_type):
        return "whose stream does not declare its ordered categories; read it into a table first"
    return f"with ordered categories of type {given.value_type}; make them text"


def has_same_kind(column: Column, existing: Column) -> bool:
    """Return whether two columns hold categories of one type; the width of indices does not matter.

    Args:
        column: The column of a value.
        existing: The column of the table.
    """
    given, wanted = column.given.type, existing.given.type
    is_both = pat.is_dictionary(given) and pat.is_dictionary(wanted)
    return is_both and same_type(given.value_type, wanted.value_type)


def misfit(column: Column, existing: Column) -> str | None:
    """Return why values cannot go into a column of categories, whatever their type; None if they can.

    Ordered categories accept no new ones; unordered categories do.

    Args:
        column: The column of a value.
        existing: The column of the table.
    """
    is_ours_ordered, is_theirs_ordered = is_ordered(column.given.type), is_ordered(existing.given.type)
    if is_ours_ordered != is_theirs_ordered:
        ours, theirs = ("ordered", "unordered") if is_ours_ordered else ("unordered", "ordered")
        return f"column {column.name!r} has {ours} categories, and {theirs} ones in the table"
    if not is_theirs_ordered or column.categories == existing.categories:
        return None
    known = existing.categories or ()
    new = [category for category in column.categories or () if category not in set(known)]
    if new:
        return f"column {column.name!r} contains categories that are missing from the table: {_listed(new)}"
    how = "fewer" if len(column.categories or ()) < len(known) else "in another order"
    return (
        f"column {column.name!r} has categories that are {how} than in the table, which has {_listed(known)}"
    )


def _has_text_form(kind: pa.DataType) -> bool:
    is_number = pat.is_integer(kind) or pat.is_float32(kind) or pat.is_float64(kind) or pat.is_decimal(kind)
    is_moment = pat.is_date32(kind) or pat.is_timestamp(kind)
    return bool(is_number or is_moment or pat.is_boolean(kind) or is_text(kind))


def _listed(categories: Sequence[str | None]) -> str:
    more = len(categories) - _SHOWN
    return ", ".join(map(repr, categories[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")
