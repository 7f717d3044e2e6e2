"""Whether a value's columns fit a table that is there: what goes in has to come out the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rivers_core.metadata.schema import NULLABLE
from rivers_delta.schema.categories import has_same_kind, is_ordered, misfit
from rivers_delta.schema.encoding import Encoding
from rivers_delta.schema.promotion import keeps_or_drops, may_hold, same_type, widens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rivers_delta.schema.encoding import Column


def mismatches(
    encoding: Encoding, table: Sequence[Column], *, may_grow: bool, replaces: bool = False
) -> list[str]:
    """One sentence for each column that does not fit.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
        may_grow: Whether the value may bring columns, or leave some out.
        replaces: Whether no row stays that would have to be of the same categories.
    """
    there = _by_name(table)
    faults: list[str] = []
    for column in encoding.columns:
        other = there.pop(column.name, None)
        if other is None:
            faults += _unknown(column.name, table, may_grow=may_grow)
        elif not (_is_alike(column, other) or (not replaces and may_hold(column.given, other.given))):
            faults.append(_differs(column, other))
        elif not replaces and (fault := misfit(column, other)) is not None:
            faults.append(fault)
    return faults + list(_missing(there.values(), may_grow=may_grow))


def merge_mismatches(
    encoding: Encoding,
    table: Sequence[Column],
    assigned: Iterable[tuple[str, str]],
    *,
    may_grow: bool,
    may_be_null: bool,
) -> list[str]:
    """One sentence for each column whose values a merge would change, lose, or make unreadable.

    deltalake casts the source of a merge to the table's types, and passes over columns that it has not. What may go
    wrong with single values is looked at on the way, for columns that go into one of the same name and no other.

    Args:
        encoding: The columns of the source.
        table: The columns of the table.
        assigned: Which column of the source goes into which of the table.
        may_grow: Whether the source may bring columns.
        may_be_null: Whether a number that is too large for its column may become null.
    """
    here, there = _by_name(encoding.columns), _by_name(table)
    faults: list[str] = []
    pairs = list(assigned)
    for source, target in pairs:
        column, other = here[source], there.get(target)
        if other is None:
            faults += _unknown(target, table, may_grow=may_grow)
        elif not _is_merged(column, other, may_be_null=may_be_null) and not (
            source in _own_targets(pairs) and may_hold(column.given, other.given)
        ):
            faults.append(_differs(column, other))
        elif is_ordered(other.given) and (fault := misfit(column, other)) is not None:
            faults.append(fault)
    return faults


def missing_values(encoding: Encoding, table: Sequence[Column]) -> list[str]:
    """One sentence for each column that the value has not, and that new rows need.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    here = _by_name(encoding.columns)
    return list(_missing((column for column in table if column.name not in here), may_grow=True))


def has_other_variants(encoding: Encoding, table: Sequence[Column]) -> bool:
    """Whether columns are of another variant of the table's types, as `large_string` is of `string`.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    there = {column.name: column.hint for column in table}
    return any(there.get(column.name) != column.hint for column in encoding.columns)


def fitted(
    encoding: Encoding,
    table: Sequence[Column],
    assigned: Sequence[tuple[str, str]],
    *,
    may_be_null: bool = False,
) -> Encoding:
    """The encoding with casts to the table's types, and hints for new columns only; others have theirs in the table.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
        assigned: Which column of the value goes into which of the table.
        may_be_null: Whether a number that is too large for its column may become null.
    """
    there, own = _by_name(table), _own_targets(assigned)
    columns = []
    for column in encoding.columns:
        other = there.get(column.name)
        if other is not None and column.name in own:
            column = _cast_to(column, other, may_be_null=may_be_null)
        columns.append(column if other is None else replace(column, hint=""))
    return Encoding(tuple(columns))


def _cast_to(column: Column, there: Column, *, may_be_null: bool) -> Column:
    if _is_alike(column, there):
        return column
    stored = there.stored
    if widens(column.given, there.given):
        return replace(column, stored=stored, is_cast=True)
    if _is_merged(column, there, may_be_null=may_be_null) or not may_hold(column.given, there.given):
        return column
    return replace(column, stored=stored, is_cast=True, is_checked=True, through=there.given)


def _own_targets(assigned: Sequence[tuple[str, str]]) -> set[str]:
    """The columns that go into one of the same name, and into no other."""
    return {source for source, target in assigned if source == target} - {
        source for source, target in assigned if source != target
    }


def _is_alike(column: Column, there: Column) -> bool:
    return same_type(column.given, there.given) or has_same_kind(column, there)


def _by_name(columns: Iterable[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def _differs(column: Column, there: Column) -> str:
    return f"column {column.name!r} is {column.given.type_name()} here and {there.given.type_name()} in the table"


def _unknown(name: str, table: Iterable[Column], *, may_grow: bool) -> Iterator[str]:
    alike = next((column.name for column in table if column.name.casefold() == name.casefold()), None)
    if alike is not None:
        yield f"column {name!r} is {alike!r} in the table, and Delta does not tell names apart by their case"
    elif not may_grow:
        yield f"column {name!r} is not in the table"


def _missing(columns: Iterable[Column], *, may_grow: bool) -> Iterator[str]:
    for column in columns:
        if not may_grow:
            yield f"column {column.name!r} of the table is missing"
        elif not column.stored.flags & NULLABLE:
            yield f"column {column.name!r} of the table is missing, and may not be null"


def _is_merged(column: Column, there: Column, *, may_be_null: bool) -> bool:
    """Whether deltalake's cast to the type of the table keeps each value, or makes it null where that is allowed."""
    if widens(column.given, there.given):
        return True
    is_plain = same_type(there.given, there.stored)
    return may_be_null and is_plain and keeps_or_drops(column.given, there.given)
