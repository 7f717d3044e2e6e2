"""Predicates: the rows of partitions, built from typed values and rendered for SQL, polars or pyarrow."""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

Literal: TypeAlias = str | int | float | bool | Decimal | date | datetime


@dataclass(frozen=True, slots=True)
class OneOf:
    """Rows whose column has one of these values.

    Args:
        column: The column.
        values: The values, as Python has them.
        sql_type: SQL name of the column's type; needed for decimals and floats.
        is_rounded: Whether bounds of the column's files may be wrong. SQL then compares text, for which deltalake skips
            no file.
    """

    column: str
    values: tuple[Literal, ...]
    sql_type: str = ""
    is_rounded: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """Rows whose column is in one of these half-open ranges."""

    column: str
    ranges: tuple[tuple[Literal, Literal], ...]


Term: TypeAlias = OneOf | Within


@dataclass(frozen=True, slots=True)
class Predicate:
    """Rows that satisfy all terms of at least one group."""

    groups: tuple[tuple[Term, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all terms."""
        return tuple(dict.fromkeys(term.column for group in self.groups for term in group))

    @property
    def is_rounded(self) -> bool:
        """True if bounds of a file's columns may be wrong, so that no file may be skipped by them."""
        return any(isinstance(term, OneOf) and term.is_rounded for group in self.groups for term in group)

    def sql(self, alias: str | None = None) -> str:
        """Return the predicate for deltalake.

        Args:
            alias: The table's alias in a merge.
        """
        groups = [" AND ".join(_term_sql(term, alias) for term in group) for group in self.groups]
        return groups[0] if len(groups) == 1 else " OR ".join(f"({group})" for group in groups)

    def polars(self) -> pl.Expr:
        """Return the predicate for a polars frame."""
        return reduce(or_, (reduce(and_, map(_term_polars, group)) for group in self.groups))

    def pyarrow(self) -> pc.Expression:
        """Return the predicate for a pyarrow dataset."""
        return reduce(or_, (reduce(and_, map(_term_pyarrow, group)) for group in self.groups))

    def mask(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Return for each row whether it satisfies the predicate.

        Args:
            rows: The columns of all terms, with their stored types or variants of them.
        """
        import pyarrow.compute as pc

        groups = (reduce(pc.and_, (_term_mask(term, rows) for term in group)) for group in self.groups)
        return reduce(pc.or_, groups).fill_null(False)


def identifier(name: str, alias: str | None = None) -> str:
    """Return a column name in SQL.

    Args:
        name: The column.
        alias: The alias of its table.
    """
    quoted = '"' + name.replace('"', '""') + '"'
    return f"{alias}.{quoted}" if alias else quoted


def literal(value: Literal, sql_type: str = "") -> str:
    """Return a value in SQL.

    Args:
        value: Text, a number, a boolean, a date or a timestamp.
        sql_type: SQL name of its column's type, needed for decimals and floats: SQL reads a plain number as a 64-bit
            float, and a name such as `inf` as a column.

    Raises:
        ValueError: It is a decimal or a float, and `sql_type` is missing.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if not sql_type:
        raise ValueError(f"{value!r} needs its SQL type")
    return f"CAST({_quoted(_text(value))} AS {sql_type})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(value: Literal) -> str:
    """Return a number or timestamp as deltalake casts it to text: a decimal without an exponent, UTC as `Z`."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        zone = "" if value.tzinfo is None else "Z"
        local = value.astimezone(UTC).replace(tzinfo=None) if zone else value
        is_short = local.microsecond and not local.microsecond % 1000
        return local.isoformat(timespec="milliseconds" if is_short else "auto") + zone
    return repr(value)


def _moment(value: datetime) -> str:
    zone = "None" if value.tzinfo is None else 'Some("UTC")'
    return f"arrow_cast('{_text(value)}', 'Timestamp(Microsecond, {zone})')"


def _term_sql(term: Term, alias: str | None) -> str:
    column = identifier(term.column, alias)
    if isinstance(term, Within):
        ranges = [f"{column} >= {literal(low)} AND {column} < {literal(high)}" for low, high in term.ranges]
        return ranges[0] if len(ranges) == 1 else "(" + " OR ".join(f"({one})" for one in ranges) + ")"
    if term.is_rounded:
        column = f"arrow_cast({column}, 'Utf8')"
        values = [literal(_text(value)) for value in term.values]
    else:
        values = [literal(value, term.sql_type) for value in term.values]
    return f"{column} = {values[0]}" if len(values) == 1 else f"{column} IN ({', '.join(values)})"


def _term_polars(term: Term) -> pl.Expr:
    import polars as pl

    from rivers_frames.polars_frames import polars_column

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


def _term_mask(term: Term, rows: pa.RecordBatch) -> pa.BooleanArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows.column(term.column)
    if pa.types.is_string_view(column.type):
        # pyarrow (up to 26) does not look up string views, and earlier versions do not compare them.
        column = column.cast(pa.string())
    if isinstance(term, Within):
        ranges = (
            pc.and_(
                pc.greater_equal(column, pa.scalar(low, column.type)),
                pc.less(column, pa.scalar(high, column.type)),
            )
            for low, high in term.ranges
        )
        return reduce(pc.or_, ranges)
    if len(term.values) == 1:
        return pc.equal(column, pa.scalar(term.values[0], column.type))
    return pc.is_in(column, value_set=pa.array(term.values, column.type))
