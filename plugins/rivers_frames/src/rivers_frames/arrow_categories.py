"""Categories of pyarrow dictionaries: conversion to text and back, and encoding of columns with known categories."""

# pyarrow generates the functions of pyarrow.compute at import, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as pat

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_texts(values: Any) -> list[str | None] | None:
    """Return each value as text; None if text does not represent the type exactly.

    Args:
        values: The values of a dictionary.
    """
    try:
        texts = _numbers_of_moments(values).cast(pa.string())
        is_exact = _from_texts(texts, values.type).equals(values)
    except pa.ArrowException:
        return None
    plain: list[str | None] = texts.to_pylist()
    return plain if is_exact else None


def encoded(name: str, column: Any, kind: Any, categories: Sequence[str | None] | None) -> Any:
    """Return a column as a dictionary; pyarrow itself casts only text to one.

    Args:
        name: The column, for messages.
        column: An array or chunks; indices too narrow to count all values of chunks are widened.
        kind: The dictionary type.
        categories: Categories that the dictionary has at least, in order and as text; None for those that occur.

    Raises:
        ValueError: The categories are ordered, and a value is not one of them.
    """
    is_chunked = isinstance(column, pa.ChunkedArray)
    chunks = [
        chunk.dictionary_decode() if pat.is_dictionary(chunk.type) else chunk
        for chunk in ((column.chunks or [pa.array([], column.type)]) if is_chunked else [column])
    ]
    if categories is None:
        dictionaries = [chunk.dictionary_encode() for chunk in chunks]
        parts = [(array.indices, array.dictionary) for array in dictionaries]
    else:
        known = _with_new(name, chunks, kind, categories)
        parts = [
            (pc.index_in(_comparable(chunk), value_set=known, skip_nulls=True), known) for chunk in chunks
        ]
    index_type = kind.index_type
    if is_chunked and any(len(dictionary) > _capacity(index_type) for _, dictionary in parts):
        index_type = pa.int32()
    arrays = [
        pa.DictionaryArray.from_arrays(
            indices.cast(index_type), dictionary.cast(kind.value_type), ordered=kind.ordered
        )
        for indices, dictionary in parts
    ]
    if not is_chunked:
        return arrays[0]
    return pa.chunked_array(arrays, pa.dictionary(index_type, kind.value_type, kind.ordered))


def _with_new(name: str, chunks: list[Any], kind: Any, categories: Sequence[str | None]) -> Any:
    """Return the known categories, followed by other values that occur."""
    known = _from_texts(pa.array(categories, pa.string()), kind.value_type)
    values = pc.unique(pa.chunked_array([_comparable(chunk) for chunk in chunks])).drop_null()
    known = _comparable(known).cast(values.type)
    new = values.filter(pc.invert(pc.is_in(values, value_set=known)))
    if kind.ordered and len(new):
        raise ValueError(
            f"column {name!r} contains {new[0].as_py()!r}, which is not one of its ordered categories"
        )
    return pa.concat_arrays([known, new]) if len(new) else known


def _from_texts(texts: Any, kind: Any) -> Any:
    return texts.cast(_integer_type(kind)).cast(kind) if pat.is_temporal(kind) else texts.cast(kind)


def _numbers_of_moments(values: Any) -> Any:
    """Return moments as numbers: pyarrow does not parse their text in every time zone."""
    return values.cast(_integer_type(values.type)) if pat.is_temporal(values.type) else values


def _integer_type(kind: Any) -> Any:
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _comparable(values: Any) -> Any:
    """Return values in a type that pyarrow (up to 26) can look up: not a string view, not a half float."""
    if values.type in {pa.string(), pa.string_view()}:
        return values.cast(pa.large_string())
    return values.cast(pa.float32()) if pat.is_float16(values.type) else values


def _capacity(index_type: Any) -> int:
    return int(2 ** (index_type.bit_width - pat.is_signed_integer(index_type)))
