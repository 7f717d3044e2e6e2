"""Compatibility of a value's columns with an existing table: what is read has to equal what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyarrow import types as pat

from rivers_delta.schema.categories import has_same_kind, misfit
from rivers_delta.schema.declarations import forbids_nested_nulls, is_declared
from rivers_delta.schema.encoding import Encoding
from rivers_delta.schema.promotion import keeps_or_drops, may_hold, widens
from rivers_frames.arrow_types import is_ordered, same_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rivers_delta.schema.encoding import Column


def mismatches(
    encoding: Encoding, table: Sequence[Column], *, may_grow: bool, replaces: bool = False
) -> list[str]:
    """Return one message for each column that does not fit the table.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
        may_grow: Whether the value may add columns, or omit some.
        replaces: Whether all rows are replaced, so that no row with other categories stays.
    """
    missing = _by_name(table)
    problems: list[str] = []
    for column in encoding.columns:
        existing = missing.pop(column.name, None)
        if existing is None:
            problems += _unknown(column.name, table, may_grow=may_grow)
        elif not (
            _is_alike(column, existing) or (not replaces and may_hold(column.given.type, existing.given.type))
        ):
            problems.append(_differs(column, existing))
        elif not replaces and _has_categories(column, existing) and (problem := misfit(column, existing)):
            problems.append(problem)
    return problems + list(_missing(missing.values(), may_grow=may_grow))


def merge_mismatches(
    encoding: Encoding,
    table: Sequence[Column],
    assigned: Sequence[tuple[str, str]],
    *,
    may_grow: bool,
    may_be_null: bool,
) -> list[str]:
    """Return one message for each column whose values a merge would change, lose or make unreadable.

    deltalake casts the source of a merge to the table's types and ignores columns that the table does not have. Single
    values are verified while they are written, for columns that go only into the column of the same name.

    Args:
        encoding: The columns of the source.
        table: The columns of the table.
        assigned: Pairs of a source column and the table column it is written to.
        may_grow: Whether the source may add columns.
        may_be_null: Whether a number that is too large for its column may become null.
    """
    source, target = _by_name(encoding.columns), _by_name(table)
    same_named = _same_named(assigned)
    problems: list[str] = []
    for name, into in assigned:
        column, existing = source[name], target.get(into)
        if existing is None:
            problems += _unknown(into, table, may_grow=may_grow)
        elif not _survives_merge(column, existing, may_be_null=may_be_null) and not (
            name in same_named and may_hold(column.given.type, existing.given.type)
        ):
            problems.append(_differs(column, existing))
        elif is_ordered(existing.given.type) and (problem := misfit(column, existing)) is not None:
            problems.append(problem)
    return problems


def missing_values(encoding: Encoding, table: Sequence[Column]) -> list[str]:
    """Return one message for each column that new rows need and the value does not have.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    given = _by_name(encoding.columns)
    return list(_missing((column for column in table if column.name not in given), may_grow=True))


def replaces_variants(encoding: Encoding, table: Sequence[Column]) -> bool:
    """Return whether columns have another variant of the table's types, and replace them, `large_string` for `string`.

    The columns of other engines stay, with their constraints, lengths, generation expressions and comments, which a
    new schema would drop.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
    """
    if any(column.declared is not None and is_declared(column.declared) for column in table):
        return False
    existing = _by_name(table)
    return any(
        column.name not in existing or not _is_same_variant(column, existing[column.name])
        for column in encoding.columns
    )


def fitted(
    encoding: Encoding,
    table: Sequence[Column],
    assigned: Sequence[tuple[str, str]],
    *,
    may_be_null: bool = False,
) -> Encoding:
    """Return the encoding with casts to the table's types, and hints only for new columns.

    Args:
        encoding: The columns of the value.
        table: The columns of the table.
        assigned: Pairs of a source column and the table column it is written to.
        may_be_null: Whether a number that is too large for its column may become null.
    """
    existing, same_named = _by_name(table), _same_named(assigned)
    columns = []
    for column in encoding.columns:
        target = existing.get(column.name)
        if target is not None and column.name in same_named:
            column = _cast_to(column, target, may_be_null=may_be_null)
        else:
            column = _cast_to_nested(
                column,
                [existing[into] for name, into in assigned if name == column.name and into in existing],
            )
        columns.append(column if target is None else replace(column, hint=""))
    return Encoding(tuple(columns))


def _cast_to(column: Column, target: Column, *, may_be_null: bool) -> Column:
    if _is_alike(column, target):
        return _cast_to_nested(column, [target])
    given, wanted = column.given.type, target.given.type
    if widens(given, wanted):
        return replace(column, stored=target.stored, is_cast=True)
    if _survives_merge(column, target, may_be_null=may_be_null) or not may_hold(given, wanted):
        return column
    return replace(column, stored=target.stored, is_cast=True, is_checked=True, through=wanted)


def _cast_to_nested(column: Column, targets: Sequence[Column]) -> Column:
    """Cast to the type of a table column with nested fields that must not be null: deltalake (up to 1.6) does not."""
    kinds = {
        target.stored.type
        for target in targets
        if _is_alike(column, target)
        and pat.is_nested(target.stored.type)
        and forbids_nested_nulls(target.stored.type)
    }
    if len(kinds) != 1:
        return column
    return replace(column, stored=column.stored.with_type(kinds.pop()), is_cast=True)


def _same_named(assigned: Sequence[tuple[str, str]]) -> set[str]:
    """Return columns that are written only to the column of the same name."""
    return {source for source, target in assigned if source == target} - {
        source for source, target in assigned if source != target
    }


def _is_alike(column: Column, existing: Column) -> bool:
    return same_type(column.given.type, existing.given.type) or has_same_kind(column, existing)


def _is_same_variant(column: Column, existing: Column) -> bool:
    return (column.given.type, column.extras, column.categories) == (
        existing.given.type,
        existing.extras,
        existing.categories,
    )


def _has_categories(column: Column, existing: Column) -> bool:
    return bool(pat.is_dictionary(column.given.type) or pat.is_dictionary(existing.given.type))


def _by_name(columns: Iterable[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def _differs(column: Column, existing: Column) -> str:
    return f"column {column.name!r} has type {column.given.type}, and {existing.given.type} in the table"


def _unknown(name: str, table: Iterable[Column], *, may_grow: bool) -> Iterator[str]:
    alike = next((column.name for column in table if column.name.casefold() == name.casefold()), None)
    if alike is not None:
        yield f"column {name!r} is named {alike!r} in the table, and Delta Lake does not distinguish case"
    elif not may_grow:
        yield f"column {name!r} is not in the table"


def _missing(columns: Iterable[Column], *, may_grow: bool) -> Iterator[str]:
    for column in columns:
        if not may_grow:
            yield f"column {column.name!r} of the table is missing"
        elif not column.stored.nullable:
            yield f"column {column.name!r} of the table is missing, and must not be null"


def _survives_merge(column: Column, existing: Column, *, may_be_null: bool) -> bool:
    """Return whether deltalake's cast to the table's type keeps each value, or makes it null where that is allowed."""
    given, wanted = column.given.type, existing.given.type
    if widens(given, wanted):
        return True
    is_plain = same_type(wanted, existing.stored.type)
    return may_be_null and is_plain and keeps_or_drops(given, wanted)
