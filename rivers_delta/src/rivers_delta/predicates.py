"""Which rows belong to a partition: built from typed values, said in SQL, polars or pyarrow, never from text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import polars as pl
    import pyarrow.compute as pc

Literal: TypeAlias = str | int | float | bool | Decimal | date | datetime


@dataclass(frozen=True, slots=True)
class OneOf:
    """Rows whose column has one of these values."""

    column: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """Rows whose column lies in one of these half-open ranges."""

    column: str
    ranges: tuple[tuple[Literal, Literal], ...]


Term: TypeAlias = OneOf | Within


@dataclass(frozen=True, slots=True)
class Predicate:
    """Rows for which all terms of at least one group hold."""

    groups: tuple[tuple[Term, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return tuple(dict.fromkeys(term.column for group in self.groups for term in group))

    def sql(self, alias: str | None = None) -> str:
        """The predicate for deltalake.

        Args:
            alias: The table's alias in a merge.
        """
        groups = [" AND ".join(_term_sql(term, alias) for term in group) for group in self.groups]
        return groups[0] if len(groups) == 1 else " OR ".join(f"({group})" for group in groups)

    def polars(self) -> pl.Expr:
        """The predicate for a polars frame."""
        return reduce(or_, (reduce(and_, map(_term_polars, group)) for group in self.groups))

    def pyarrow(self) -> pc.Expression:
        """The predicate for a pyarrow dataset or table."""
        return reduce(or_, (reduce(and_, map(_term_pyarrow, group)) for group in self.groups))


def identifier(name: str, alias: str | None = None) -> str:
    """A column in SQL, whatever it is called.

    Args:
        name: The column.
        alias: The table it is of.
    """
    quoted = '"' + name.replace('"', '""') + '"'
    return f"{alias}.{quoted}" if alias else quoted


def literal(value: Literal) -> str:
    """A value in SQL, whatever it holds.

    Args:
        value: Text, a number, a truth value, a date or a moment.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def polars_column(name: str) -> pl.Expr:
    """A column in polars, also if its name looks like a pattern (`*`, `^x$`).

    Args:
        name: The column.
    """
    import polars as pl
    from polars import selectors

    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return selectors.by_name(name).as_expr()
    return pl.col(name)


def _moment(value: datetime) -> str:
    kind = "Timestamp(Microsecond, None)"
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
        kind = 'Timestamp(Microsecond, Some("UTC"))'
        return f"arrow_cast('{value.isoformat()}Z', '{kind}')"
    return f"arrow_cast('{value.isoformat()}', '{kind}')"


def _term_sql(term: Term, alias: str | None) -> str:
    column = identifier(term.column, alias)
    if isinstance(term, Within):
        ranges = [f"{column} >= {literal(low)} AND {column} < {literal(high)}" for low, high in term.ranges]
        return ranges[0] if len(ranges) == 1 else "(" + " OR ".join(f"({one})" for one in ranges) + ")"
    if len(term.values) == 1:
        return f"{column} = {literal(term.values[0])}"
    return f"{column} IN ({', '.join(map(literal, term.values))})"


def _term_polars(term: Term) -> pl.Expr:
    import polars as pl

    column = polars_column(term.column)
    if isinstance(term, Within):
        return reduce(or_, ((column >= pl.lit(low)) & (column < pl.lit(high)) for low, high in term.ranges))
    if len(term.values) == 1:
        return column == pl.lit(term.values[0])
    return column.is_in(list(term.values))


def _term_pyarrow(term: Term) -> pc.Expression:
    import pyarrow.compute as pc

    column = pc.field(term.column)
    if isinstance(term, Within):
        ranges = ((column >= pc.scalar(low)) & (column < pc.scalar(high)) for low, high in term.ranges)
        return reduce(or_, ranges)
    if len(term.values) == 1:
        return column == pc.scalar(term.values[0])
    return column.isin(list(term.values))
