"""Whether a value's columns fit a table that is there: what goes in has to come out the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rivers_delta.columns import Encoding, same_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_delta.columns import Column


def mismatches(encoding: Encoding, table: Sequence[Column], *, may_grow: bool) -> list[str]:
    """One sentence for each column that does not fit.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
        may_grow: Whether the value may bring columns, or leave some out.
    """
    there = {column.name: column for column in table}
    found = []
    for column in encoding.columns:
        other = there.pop(column.name, None)
        if other is None and not may_grow:
            found.append(f"column {column.name!r} is not in the table")
        elif other is not None and not same_type(column.given, other.given):
            found.append(
                f"column {column.name!r} is {column.given.type_name()} here and {other.given.type_name()} in the table"
            )
    if not may_grow:
        found += [f"column {name!r} of the table is missing" for name in there]
    return found


def merge_mismatches(encoding: Encoding, table: Sequence[Column]) -> list[str]:
    """One sentence for each column that a merge would make unreadable.

    deltalake casts the source of a merge to the table's types; where those stand for another (an unsigned
    integer, a category), the value has to be of that very type.

    Args:
        encoding: The columns of the source.
        table: The columns of the table.
    """
    hinted = {column.name: column for column in table if column.hint}
    return [
        f"column {column.name!r} is {column.given.type_name()} here and {there.given.type_name()} in the table"
        for column in encoding.columns
        if (there := hinted.get(column.name)) is not None and not same_type(column.given, there.given)
    ]


def has_other_variants(encoding: Encoding, table: Sequence[Column]) -> bool:
    """Whether columns are of another variant of the table's types, as `large_string` is of `string`.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    there = {column.name: column.hint for column in table}
    return any(there.get(column.name) != column.hint for column in encoding.columns)


def without_known_hints(encoding: Encoding, table: Sequence[Column]) -> Encoding:
    """The encoding with hints for new columns only; those of the others stand in the table.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    names = {column.name for column in table}
    columns = tuple(
        replace(column, hint="") if column.name in names else column for column in encoding.columns
    )
    return Encoding(columns)
