"""Pickle Arrow data without the memory that it was sliced from.

pyarrow (up to at least 21) pickles the whole buffers of a slice, foreign rows included.
"""

from __future__ import annotations

import copyreg
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Small data is always rewritten, so that equal rows have equal bytes; large data only if it is a slice.
_SMALL: Final = 1024 * 1024


def reducers() -> dict[type, Callable[[Any], Any]] | None:
    """Return a `dispatch_table` for a pickler; None if pyarrow is not in use, so that no value contains its types."""
    return _reducers() if "pyarrow" in sys.modules else None


@cache
def _reducers() -> dict[type, Callable[[Any], Any]]:
    # not imported: a value holds its types only if it is in use, and the package does not depend on it
    pa: Any = sys.modules["pyarrow"]

    arrays = _subclasses(pa.Array)
    return {
        **copyreg.dispatch_table,
        pa.Table: lambda table: _compact(table).__reduce__(),
        pa.RecordBatch: lambda batch: _compact(batch).__reduce__(),
        **dict.fromkeys((*arrays, pa.ChunkedArray), lambda array: _compact(array).__reduce__()),
    }


def _subclasses(cls: type) -> list[type]:
    subclasses: list[type] = cls.__subclasses__()
    return [cls, *(inner for subclass in subclasses for inner in _subclasses(subclass))]


def _compact(data: Any) -> Any:
    """Return a table, batch or array whose buffers hold its rows only.

    The IPC format would do less: it pads a slice with the bytes that follow it.
    """
    pa: Any = sys.modules["pyarrow"]

    if not _needs_compaction(data):
        return data
    if isinstance(data, pa.Table):
        data = data.combine_chunks()
    kinds = data.schema.types if isinstance(data, (pa.Table, pa.RecordBatch)) else [data.type]
    if all(_is_taken(kind) for kind in kinds):
        return data.take(pa.array(range(len(data)), pa.int64()))
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return type(data).from_arrays(
            [_compact_column(column) for column in data.columns], schema=data.schema
        )
    return _compact_column(data)


def _is_taken(kind: Any) -> bool:
    """Return whether `take` copies exactly the rows of a type.

    pyarrow (up to 26) takes nothing from views of texts or run-end encoded arrays, and all values from list views.
    """
    return not re.search("_view|run_end_encoded", str(kind))


def _compact_column(column: Any) -> Any:
    """Return an array or chunked array of any type whose buffers hold its rows only, where pyarrow can do this."""
    pa: Any = sys.modules["pyarrow"]

    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_compact_column(chunk) for chunk in column.chunks], column.type)
    if _is_taken(column.type):
        return column.take(pa.array(range(len(column)), pa.int64()))
    kind = _without_views(column.type)
    # a cast (pyarrow up to 26) ignores the offset of a run-end encoded slice
    if kind == column.type or "run_end_encoded" in str(kind):
        return pa.concat_arrays([column])
    try:
        return pa.concat_arrays([column.cast(kind)]).cast(column.type)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # a list view of views
        return pa.concat_arrays([column])


def _without_views(kind: Any) -> Any:
    """Return a type whose texts and bytes are no views: the concatenation of views keeps the rows of all."""
    pa: Any = sys.modules["pyarrow"]
    types: Any = sys.modules["pyarrow.types"]

    def inner(field: Any) -> Any:
        return field.with_type(_without_views(field.type))

    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_list(kind):
        return pa.list_(inner(kind.value_field))
    if types.is_large_list(kind):
        return pa.large_list(inner(kind.value_field))
    if types.is_fixed_size_list(kind):
        return pa.list_(inner(kind.value_field), kind.list_size)
    if types.is_map(kind):
        return pa.map_(inner(kind.key_field), inner(kind.item_field), kind.keys_sorted)
    if types.is_struct(kind):
        return pa.struct([inner(kind.field(i)) for i in range(kind.num_fields)])
    return kind


def _needs_compaction(data: Any) -> bool:
    size = data.get_total_buffer_size()
    return bool(size <= _SMALL or size > data.nbytes * 1.25)
