"""Pickle Arrow data without the memory that it was sliced from.

pyarrow (up to at least 21) pickles the whole buffers of a slice, foreign rows included.
"""

from __future__ import annotations

import copyreg
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
    return data.take(pa.array(range(len(data)), pa.int64()))


def _needs_compaction(data: Any) -> bool:
    size = data.get_total_buffer_size()
    return bool(size <= _SMALL or size > data.nbytes * 1.25)
