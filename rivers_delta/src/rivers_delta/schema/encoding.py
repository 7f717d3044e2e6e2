"""Encoding: which Arrow types a Delta table stores as they are, which it stores as another, and which it refuses.

A column whose type Delta Lake does not support (a categorical, an unsigned integer, a time zone) is stored in the
nearest type that holds every value. Its own type becomes a hint in the metadata of the stored column, which other
Delta readers ignore. A type without such a representation is refused with the name of the column.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import types as pat

from rivers_delta.schema.categories import order_problem, recorded
from rivers_delta.schema.hints import field_from_json, field_to_json
from rivers_delta.schema.promotion import filled
from rivers_frames.arrow_types import (
    children,
    contains,
    extension_name,
    is_any_list,
    is_bytes,
    is_text,
    same_type,
    with_children,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rivers_delta.schema.categories import Categories

TYPE_HINT: Final = "rivers.type"
PARTITION_HINT: Final = "rivers.partition"

_KEPT: Final = frozenset(
    [
        pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.date32(),
        pa.string(), pa.binary(), pa.timestamp("us"), pa.timestamp("us", "UTC"),
    ]
)  # fmt: skip
_WIDENED: Final = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
}
_UNSUPPORTED: Final = "which Delta Lake does not support"
_ADVICE: Final = (
    (pat.is_null, "cast it to the intended type"),
    (pat.is_date64, f"{_UNSUPPORTED}; cast it to date32"),
    (pat.is_duration, f"{_UNSUPPORTED}; store a number of microseconds"),
    (pat.is_time, f"{_UNSUPPORTED}; store a timestamp, or text"),
    (pat.is_interval, f"{_UNSUPPORTED}; store numbers"),
    (
        pat.is_decimal,
        f"{_UNSUPPORTED}; cast it to decimal128 with at most 38 digits and a scale of 0 or more",
    ),
    (pat.is_union, f"{_UNSUPPORTED}; store a struct"),
    (pat.is_run_end_encoded, f"{_UNSUPPORTED}; decode it"),
    (pat.is_list_view, f"{_UNSUPPORTED}; cast it to a list"),
    (pat.is_large_list_view, f"{_UNSUPPORTED}; cast it to a list"),
    (pat.is_struct, "a struct without fields, which Parquet does not support; drop it or add a field"),
    (lambda _: True, f"{_UNSUPPORTED}; cast or drop it"),
)


class _UnstorableError(Exception):
    """Why a type cannot be stored."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as it was given and as it is stored.

    Args:
        given: Name and type in the value.
        stored: Name and type in the table.
        hint: Text in the column's metadata from which `given` is restored; empty if not needed.
        extras: What the adapter needs to restore the type of its library.
        is_cast: Whether values have to be cast before deltalake takes them.
        is_checked: Whether that cast may lose values, so that its result is verified.
        through: Type that every value has to fit as well, if the table's column was given another type.
        categories: The values of a dictionary in their order, as text, if they are recorded.
        declared: The column as an existing table has it, with its metadata; None for one of a value.
        name: The name of the column.
    """

    given: pa.Field
    stored: pa.Field
    hint: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)
    is_cast: bool = False
    is_checked: bool = False
    through: pa.DataType | None = None
    categories: Categories | None = None
    declared: pa.Field | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.given.name)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Stored form of the columns of a value, and those that cannot be stored."""

    columns: tuple[Column, ...]
    problems: tuple[str, ...] = ()

    @property
    def is_identity(self) -> bool:
        """True if the batches of the value can be passed on unchanged."""
        return not any(column.is_cast or column.hint for column in self.columns)

    def schema(self) -> pa.Schema:
        """Return the columns as the value has them."""
        return pa.schema([column.given for column in self.columns])

    def stored_schema(self) -> pa.Schema:
        """Return the columns as the table stores them."""
        return pa.schema([column.stored for column in self.columns])


def encode(
    schema: pa.Schema,
    extras: Mapping[str, Mapping[str, str]],
    categories: Mapping[str, Sequence[str | None]],
    table: Sequence[Column] = (),
) -> Encoding:
    """Decide how each column is stored.

    Args:
        schema: The columns of a value.
        extras: Per column, what the adapter needs to restore the type of its library.
        categories: Per column, its categories in their order, as text.
        table: The columns of the table, which give columns of nulls their type.

    Returns:
        The encoding, with one message for each column that cannot be stored.
    """
    columns: list[Column] = []
    problems: list[str] = []
    existing = {column.name: column for column in table}
    for given in schema:
        extra = extras.get(given.name, {})
        try:
            column = _fill_nulls(given.remove_metadata(), extra, existing.get(given.name))
            if column is None:
                _refuse_extension(given)
                column = _encode(given.remove_metadata(), extra, categories.get(given.name))
            columns.append(column)
        except _UnstorableError as reason:
            problems.append(f"column {given.name!r} has type {given.type}, {reason}")
    return Encoding(tuple(columns), (*problems, *_name_problems(schema)))


def decode(schema: pa.Schema) -> tuple[Column, ...]:
    """Return the columns of a table, with the types they were written with.

    Args:
        schema: The Arrow schema of a Delta table.
    """
    return tuple(map(_decode, schema))


def _encode(given: pa.Field, extras: Mapping[str, str], categories: Sequence[str | None] | None) -> Column:
    kind, known = given.type, None
    if pat.is_dictionary(kind):
        problem = order_problem(kind, categories)
        if problem is not None:
            raise _UnstorableError(problem)
        known = recorded(categories)
    stored = _stored(kind, is_nested=False)
    is_cast = pat.is_dictionary(kind) or not same_type(kind, stored)
    return Column(
        given,
        given.with_type(stored),
        "" if kind == stored and not extras else _hint(given, extras, known),
        extras,
        is_cast,
        is_checked=contains(kind, _is_other_unit),
        categories=known,
    )


def _fill_nulls(given: pa.Field, extras: Mapping[str, str], existing: Column | None) -> Column | None:
    """Return a column of nulls with the table's type; None if the column has a type itself."""
    if existing is None or given.type == existing.given.type:
        return None
    kind = filled(given.type, existing.given.type)
    if kind == given.type:
        return None
    if kind == existing.given.type:
        return replace(existing, is_cast=True)
    return replace(_encode(given.with_type(kind), extras, None), is_cast=True)


def _hint(given: pa.Field, extras: Mapping[str, str], categories: Categories | None) -> str:
    data: dict[str, Any] = {"arrow": field_to_json(given.with_name(""))}
    if extras:
        data["metadata"] = dict(extras)
    if categories is not None:
        data["categories"] = categories
    return json.dumps(data, separators=(",", ":"))


def _decode(stored: pa.Field) -> Column:
    hint = (stored.metadata or {}).get(TYPE_HINT.encode(), b"").decode()
    plain = stored.remove_metadata()
    if not hint:
        return Column(plain, plain, declared=stored)
    data = json.loads(hint)
    categories = tuple(data["categories"]) if "categories" in data else None
    return Column(
        field_from_json(data["arrow"]).with_name(stored.name),
        plain,
        hint,
        data.get("metadata", {}),
        is_cast=True,
        categories=categories,
        declared=stored,
    )


def _stored(kind: pa.DataType, *, is_nested: bool) -> pa.DataType:
    """Return the type in which a table stores a type.

    Raises:
        _UnstorableError: No type of Delta Lake holds every value.
    """
    if pat.is_dictionary(kind):
        return _stored_dictionary(kind, is_nested=is_nested)
    if kind in _KEPT or (pat.is_decimal128(kind) and 0 <= kind.scale <= kind.precision):
        return kind
    if kind in _WIDENED:
        return _WIDENED[kind]
    if is_text(kind):
        return pa.string()
    if is_bytes(kind) or pat.is_fixed_size_binary(kind):
        return pa.binary()
    if pat.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    nested = [child.with_type(_stored(child.type, is_nested=True)) for child in children(kind)]
    if is_any_list(kind):
        return pa.list_(nested[0])
    if pat.is_map(kind):
        # deltalake (up to 1.6) ignores maps when it decides whether a table needs the feature timestampNtz.
        if contains(kind, lambda inner: pat.is_timestamp(inner) and not inner.tz):
            raise _UnstorableError("with timestamps without a time zone inside a map; give them a time zone")
        return pa.map_(*nested)
    if pat.is_struct(kind) and nested:
        return with_children(kind, nested)
    raise _UnstorableError(next(advice for test, advice in _ADVICE if test(kind)))


def _stored_dictionary(kind: pa.DataType, *, is_nested: bool) -> pa.DataType:
    if is_nested:
        raise _UnstorableError("a dictionary nested in another type; decode it")
    if contains(kind.value_type, _is_other_unit):
        raise _UnstorableError("a dictionary of timestamps that are not in microseconds; decode it")
    return _stored(kind.value_type, is_nested=True)


def _is_other_unit(kind: pa.DataType) -> bool:
    """Return whether a type is a timestamp in another unit than microseconds."""
    return bool(pat.is_timestamp(kind) and kind.unit != "us")


def _refuse_extension(given: pa.Field) -> None:
    name = extension_name(given)
    if name is not None:
        raise _UnstorableError(f"with the extension type {name!r}; store its storage type")


def _name_problems(schema: pa.Schema) -> Iterator[str]:
    if not schema.names:
        yield "it has no columns, and a table needs one"
    for first, second in _same_names(schema.names):
        yield (
            f"column {first!r} exists more than once"
            if first == second
            else f"columns {first!r} and {second!r} differ only in case, which Delta Lake does not distinguish"
        )
    for column in schema:
        for first, second in _same_nested_names(column.type):
            yield (
                f"column {column.name!r} has nested fields {first!r} and {second!r}, which Delta Lake does not "
                "distinguish"
            )


def _same_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names that differ at most in case: the first, and each further one."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.get(name.casefold())
        if first is not None:
            yield first, name
        seen.setdefault(name.casefold(), name)


def _same_nested_names(kind: pa.DataType) -> Iterator[tuple[str, str]]:
    if pat.is_struct(kind):
        yield from _same_names(child.name for child in children(kind))
    for child in children(kind):
        yield from _same_nested_names(child.type)
