"""Dictionaries of pyarrow: their values as text and back, and columns that get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_texts(values: Any) -> list[str | None] | None:
    """Each value as text; None if text does not say the values of that type exactly.

    Args:
        values: The values of a dictionary.
    """
    try:
        said = _plain(values).cast(pa.string())
        same = _from_texts(said, values.type).equals(values)
    except pa.ArrowException:
        return None
    texts: list[str | None] = said.to_pylist()
    return texts if same else None


def encoded(name: str, column: Any, kind: Any, categories: Sequence[str | None] | None) -> Any:
    """A column as a dictionary; pyarrow itself casts nothing but text to one.

    Args:
        name: Of the column, for messages.
        column: Its values, an array or chunks; of chunks, numbers too small to count all values are made wider.
        kind: The type of the dictionary.
        categories: All values that the dictionary has at least, in order, as text; None for those that occur.

    Raises:
        ValueError: The categories have an order, and there is a value that is none of them.
    """
    is_chunked = isinstance(column, pa.ChunkedArray)
    chunks = [
        chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        for chunk in ((column.chunks or [pa.array([], column.type)]) if is_chunked else [column])
    ]
    if categories is None:
        made = [chunk.dictionary_encode() for chunk in chunks]
        parts = [(one.indices, one.dictionary) for one in made]
    else:
        known = _with_new(name, chunks, kind, categories)
        parts = [(pc.index_in(_findable(chunk), value_set=known, skip_nulls=True), known) for chunk in chunks]
    index_type = kind.index_type
    if is_chunked and any(len(dictionary) > _most(index_type) for _, dictionary in parts):
        index_type = pa.int32()
    wide = pa.dictionary(index_type, kind.value_type, kind.ordered)
    arrays = [
        pa.DictionaryArray.from_arrays(
            indices.cast(index_type), dictionary.cast(kind.value_type), ordered=kind.ordered
        )
        for indices, dictionary in parts
    ]
    return pa.chunked_array(arrays, wide) if is_chunked else arrays[0]


def _with_new(name: str, chunks: list[Any], kind: Any, categories: Sequence[str | None]) -> Any:
    """The categories, and after them whatever else occurs."""
    known = _from_texts(pa.array(categories, pa.string()), kind.value_type)
    found = pc.unique(pa.chunked_array([_findable(chunk) for chunk in chunks])).drop_null()
    known = _findable(known).cast(found.type)
    new = found.filter(pc.invert(pc.is_in(found, value_set=known)))
    if kind.ordered and len(new):
        raise ValueError(f"column {name!r} holds {new[0].as_py()!r}, which is none of its ordered categories")
    return pa.concat_arrays([known, new]) if len(new) else known


def _from_texts(texts: Any, kind: Any) -> Any:
    return texts.cast(_number(kind)).cast(kind) if pa.types.is_temporal(kind) else texts.cast(kind)


def _plain(values: Any) -> Any:
    """Moments as numbers, since text of them is not read back in every zone."""
    return values.cast(_number(values.type)) if pa.types.is_temporal(values.type) else values


def _number(kind: Any) -> Any:
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _findable(values: Any) -> Any:
    """Values in a type that pyarrow looks up: it does so in neither views nor halves."""
    if values.type in {pa.string(), pa.string_view()}:
        return values.cast(pa.large_string())
    return values.cast(pa.float32()) if pa.types.is_float16(values.type) else values


def _most(index_type: Any) -> int:
    return int(2 ** (index_type.bit_width - pa.types.is_signed_integer(index_type)))
