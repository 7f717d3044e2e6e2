"""Workarounds for defects of arro3 and pyarrow, each with the versions that have it.

For each defect a test in `tests/test_frames/test_compat.py` fails once the installed version no longer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rivers_frames.arrow_types import plain_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arro3.core import RecordBatch, RecordBatchReader
    from arro3.core.types import ArrowStreamExportable

# Streams and the GIL. arro3 (0.4 up to 0.9) takes a thread that runs one of its streams for one that holds the GIL, so
# a Python stream within another would run without it, and a native stream that needs the GIL in another thread, such as
# a DuckDB query over Python objects, would wait forever. pyarrow releases and acquires the GIL correctly.


def batches_without_gil(reader: RecordBatchReader) -> Iterator[RecordBatch]:
    """Yield the batches of a native stream, releasing the GIL while waiting for one.

    Args:
        reader: The stream.
    """
    from arro3.core import RecordBatch

    for batch in pa.RecordBatchReader.from_stream(reader):
        yield RecordBatch.from_arrow(batch)


def stream_without_gil(schema: Any, batches: Iterator[RecordBatch]) -> ArrowStreamExportable:
    """Return a stream over Python batches that native code may consume without the GIL.

    Args:
        schema: Exports the Arrow schema of the batches.
        batches: The batches.
    """
    stream: ArrowStreamExportable = pa.RecordBatchReader.from_batches(
        pa.schema(schema), map(pa.record_batch, batches)
    )
    return stream


def without_views(schema: pa.Schema) -> pa.Schema:
    """Return types that pyarrow can filter: it does not filter views of text and bytes (up to 26).

    Args:
        schema: Columns of any types.
    """
    return pa.schema([field.with_type(plain_type(field.type)) for field in schema], schema.metadata)
