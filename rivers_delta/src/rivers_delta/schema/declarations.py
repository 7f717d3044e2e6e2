"""Declarations: what the columns of a table demand of values beyond their types, and frames do not know.

Spark stores `char(n)` and `varchar(n)` as strings, keeps the declared type in the metadata of the column, and refuses
longer values. deltalake (up to 1.6) ignores it, so that lengths are checked while values are written. Nested fields
that must not be null, as those of a `variant`, are nullable in frames, and deltalake does not cast them.
"""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as pat

from rivers_frames.arrow_types import children, with_children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arro3.core.types import ArrowArrayExportable, ArrowSchemaExportable

_DECLARED_TYPE: Final = b"__CHAR_VARCHAR_TYPE_STRING"
_OWN: Final = b"rivers."
_TEXT: Final = re.compile(r"(?:var)?char\((\d+)\)")
_OTHER: Final = re.compile(r"[\w ]+(?:\([\d, ]*\))?")


@dataclass(frozen=True, slots=True)
class TextLength:
    """The largest length of the texts in a column, or in a part of it.

    Args:
        path: Position of the child on each level of the column's type, from the column to the text.
        declared: The type that the other engine declared, `varchar(20)`.
        maximum: The number of characters that it allows.
    """

    path: tuple[int, ...]
    declared: str
    maximum: int

    def excess(self, values: pa.Array) -> int | None:
        """Return the length of the longest text if the type does not allow it.

        Args:
            values: Values of the column.
        """
        for child in self.path:
            values = _child(values, child)
        longest = pc.max(pc.utf8_length(values.cast(pa.large_string()))).as_py()
        return None if longest is None or longest <= self.maximum else int(longest)


class Retyped:
    """An array or batch under a type that differs only in which of its fields may be null; nothing is copied.

    Args:
        values: The array or batch.
        kind: The type or schema.
    """

    def __init__(self, values: ArrowArrayExportable, kind: ArrowSchemaExportable) -> None:
        self._values, self._kind = values, kind

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        _, values = self._values.__arrow_c_array__()
        return self._kind.__arrow_c_schema__(), values


def is_declared(field: pa.Field) -> bool:
    """Return whether a column has metadata of another engine, or forbids nulls.

    Args:
        field: The column, as the table has it.
    """
    is_own = all(key.startswith(_OWN) for key in field.metadata or {})
    return not field.nullable or not is_own or any(map(is_declared, _nullable_children(field.type)))


def forbids_nested_nulls(kind: pa.DataType) -> bool:
    """Return whether a type has a nested field that must not be null; keys of maps do not count.

    Args:
        kind: The type of a column, as the table has it.
    """
    return any(not child.nullable or forbids_nested_nulls(child.type) for child in _nullable_children(kind))


def nullable(kind: pa.DataType) -> pa.DataType:
    """Return a type whose nested fields may be null.

    Args:
        kind: The type.
    """
    nested = [child.with_type(nullable(child.type)) for child in children(kind)]
    if not nested:
        return kind
    keys = nested[:1] if pat.is_map(kind) else []
    return with_children(kind, [*keys, *(child.with_nullable(True) for child in nested[len(keys) :])])


def forbidden_null(values: pa.Array, kind: pa.DataType) -> str | None:
    """Return the name of the first nested field with nulls that a type forbids, below values that are not null.

    Args:
        values: Values of a column.
        kind: The type of the column, as the table has it.
    """
    for position, child in enumerate(children(kind)):
        nested = _child(values.drop_null(), position)
        if not child.nullable and nested.null_count:
            return str(child.name)
        deeper = forbidden_null(nested, child.type)
        if deeper is not None:
            return f"{child.name}.{deeper}"
    return None


def text_lengths(field: pa.Field) -> tuple[TextLength, ...]:
    """Return the lengths that a column declares for its texts.

    Args:
        field: The column, as the table has it.

    Raises:
        ValueError: The declared type does not describe the column.
    """
    return tuple(_lengths(field, ()))


def _lengths(field: pa.Field, path: tuple[int, ...]) -> Iterator[TextLength]:
    declared = (field.metadata or {}).get(_DECLARED_TYPE)
    if declared is not None:
        lengths, rest = _parse(field.type, declared.decode(), path)
        if rest:
            raise ValueError(f"{declared.decode()} is not a type of the column")
        yield from lengths
        return
    for position, child in enumerate(children(field.type)):
        yield from _lengths(child, (*path, position))


def _parse(kind: pa.DataType, text: str, path: tuple[int, ...]) -> tuple[list[TextLength], str]:
    """Return the lengths in a type as Spark writes it, and the text behind the type.

    The columns of the table are known: names of fields are expected instead of parsed, since Spark does not quote them.
    """
    match = _TEXT.match(text)
    if match is not None:
        return [TextLength(path, match[0], int(match[1]))], text[match.end() :]
    openings = _openings(kind)
    if not openings:
        other = _OTHER.match(text)
        return [], text[other.end() :] if other else text
    lengths: list[TextLength] = []
    for position, (opening, child) in enumerate(zip(openings, children(kind), strict=True)):
        if not text.startswith(opening):
            raise ValueError(f"{text} does not begin with {opening}")
        more, text = _parse(child.type, text.removeprefix(opening), (*path, position))
        lengths += more
    if not text.startswith(">"):
        raise ValueError(f"{text} does not begin with >")
    return lengths, text[1:]


def _openings(kind: pa.DataType) -> list[str]:
    """Return the text in front of each child in a type as Spark writes it."""
    if pat.is_map(kind):
        return ["map<", ","]
    if pat.is_struct(kind):
        names = [child.name for child in children(kind)]
        return [f"{',' if position else 'struct<'}{name}:" for position, name in enumerate(names)]
    return ["array<"] if children(kind) else []


def _child(values: pa.Array, position: int) -> pa.Array:
    kind = values.type
    if pat.is_struct(kind):
        return pc.struct_field(values, [position])
    if pat.is_map(kind):
        # the children of a map ignore its offset and nulls; those of a list of entries do not
        entries = pa.struct([kind.key_field, kind.item_field])
        return pc.struct_field(pc.list_flatten(values.cast(pa.list_(entries))), [position])
    return pc.list_flatten(values)


def _nullable_children(kind: pa.DataType) -> list[pa.Field]:
    """Return the children of a type except the key of a map, which is never null."""
    return children(kind)[1:] if pat.is_map(kind) else children(kind)
