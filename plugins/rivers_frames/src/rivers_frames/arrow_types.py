"""Arrow types: their plain variants, their children, and comparison by the values they hold."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import types as pat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXTENSION: Final = b"ARROW:extension:name"
"""Key of a field's metadata that names its extension type, as the Arrow specification defines it."""


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text, in any of its variants."""
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether a type is binary of any length, in any of its variants."""
    return bool(pat.is_binary(kind) or pat.is_large_binary(kind) or pat.is_binary_view(kind))


def is_plain_list(kind: pa.DataType) -> bool:
    """Return whether a type is a list with offsets of 32 or 64 bits."""
    return bool(pat.is_list(kind) or pat.is_large_list(kind))


def is_any_list(kind: pa.DataType) -> bool:
    """Return whether a type is a list, of fixed size or not; list views do not count."""
    return is_plain_list(kind) or bool(pat.is_fixed_size_list(kind))


def is_ordered(kind: pa.DataType) -> bool:
    """Return whether a type is a dictionary whose categories have an order."""
    return bool(pat.is_dictionary(kind) and kind.ordered)


def children(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields of a struct or union, the item of a list, or the key and item of a map."""
    if not pat.is_nested(kind):
        return []
    if pat.is_map(kind):
        return [kind.key_field, kind.item_field]
    if is_any_list(kind) or pat.is_list_view(kind) or pat.is_large_list_view(kind):
        return [kind.value_field]
    if pat.is_struct(kind) or pat.is_union(kind):
        return [kind.field(i) for i in range(kind.num_fields)]
    return []


def with_children(kind: pa.DataType, fields: Sequence[pa.Field]) -> pa.DataType:
    """Return a struct, list or map of the same kind with other children."""
    if pat.is_struct(kind):
        return pa.struct(fields)
    if pat.is_map(kind):
        return pa.map_(*fields, keys_sorted=kind.keys_sorted)
    if pat.is_fixed_size_list(kind):
        return pa.list_(fields[0], kind.list_size)
    return pa.large_list(fields[0]) if pat.is_large_list(kind) else pa.list_(fields[0])


def contains(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    """Return whether a type or one nested in it passes a test; dictionaries count as their index type."""
    return test(kind) or any(contains(child.type, test) for child in children(kind))


def extension_name(field: pa.Field) -> str | None:
    """Return the name of the extension type of a field, or of one nested in it."""
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.extension_name)
    name = (field.metadata or {}).get(EXTENSION)
    if name is not None:
        return str(name.decode())
    return next(filter(None, map(extension_name, children(field.type))), None)


@lru_cache(maxsize=1024)
def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return a type with large and view variants replaced by the plain ones, at any depth."""
    if pat.is_dictionary(kind):
        return pa.dictionary(kind.index_type, plain_type(kind.value_type), kind.ordered)
    if is_text(kind):
        return pa.string()
    if is_bytes(kind):
        return pa.binary()
    fields = [child.with_type(plain_type(child.type)) for child in children(kind)]
    if is_plain_list(kind):
        return pa.list_(fields[0])
    return with_children(kind, fields) if _is_rebuildable(kind) else kind


@lru_cache(maxsize=1024)
def comparable(kind: pa.DataType) -> pa.DataType:
    """Return one type for all types that hold the same values.

    Large and view variants, nullability, the order of categories and the names of list items do not count.
    """
    if pat.is_dictionary(kind):
        return pa.dictionary(kind.index_type, comparable(kind.value_type))
    plain = plain_type(kind)
    if not _is_rebuildable(plain):
        return plain
    names = [child.name if pat.is_struct(plain) else "item" for child in children(plain)]
    fields = [
        pa.field(name, comparable(child.type)) for name, child in zip(names, children(plain), strict=True)
    ]
    if pat.is_map(plain):
        fields[0] = fields[0].with_nullable(False)
    return with_children(plain, fields)


def same_type(left: pa.DataType, right: pa.DataType) -> bool:
    """Return whether two types hold the same values."""
    return bool(left == right or comparable(left) == comparable(right))


def streamed(schema: pa.Schema) -> pa.Schema:
    """Return the types of a stream of these columns.

    Dictionaries without an order get indices of 32 bits: later batches may bring more categories than narrow indices
    can count.
    """
    return pa.schema([field.with_type(_streamed(field.type)) for field in schema])


def _streamed(kind: pa.DataType) -> pa.DataType:
    if not pat.is_dictionary(kind) or kind.ordered or kind.index_type.bit_width >= 32:
        return kind
    return pa.dictionary(pa.int32(), kind.value_type)


def _is_rebuildable(kind: pa.DataType) -> bool:
    return bool(pat.is_struct(kind) or pat.is_map(kind) or is_any_list(kind))


def nested_fields(field: pa.Field) -> Iterator[pa.Field]:
    """Yield a field and all fields nested in it."""
    yield field
    for child in children(field.type):
        yield from nested_fields(child)
