"""Export of events to a file: JSON lines or Parquet, chosen by the suffix, written in batches."""

from __future__ import annotations

import json
import os
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rivers_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pyarrow as pa

ROWS_PER_GROUP: Final = 10_000


def export_documents(documents: Iterable[dict[str, Any]], path: Path) -> int:
    """Write events to a file that appears, or replaces an older one, when it is complete.

    Args:
        documents: Events as JSON documents, oldest first.
        path: The file: `.parquet`, or `.jsonl` or `.ndjson` for JSON lines.

    Returns:
        The number of events.

    Raises:
        UsageError: The suffix is another one, or pyarrow is not installed.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"--export {path}: the suffix must be one of {', '.join(_WRITERS)}.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = write(documents, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _write_json_lines(documents: Iterable[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(f"{json.dumps(document, ensure_ascii=False)}\n")
            count += 1
    return count


def _write_parquet(documents: Iterable[dict[str, Any]], path: Path) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            f"--export {path.suffix} requires pyarrow. Install it: pip install rivers-io[pyarrow]"
        ) from error
    schema = _schema(pa)
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = map(_row, documents)
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))
            count += len(group)
    return count


def _schema(pa: Any) -> pa.Schema:
    text, pairs = pa.string(), pa.map_(pa.string(), pa.string())
    return pa.schema(
        {
            "id": pa.int64(),
            "event": text,
            "at": pa.timestamp("ns", "UTC"),
            "run_id": text,
            "asset": text,
            "partition": text,
            "step": text,
            "attempt": pa.int32(),
            "handler": text,
            "data_version": text,
            "code_version": text,
            "inputs": pairs,
            "duration_s": pa.float64(),
            "message": text,
            "tags": pairs,
            "metadata": pairs,
        }
    )


def _row(document: dict[str, Any]) -> dict[str, Any]:
    tags = [(tag, None) if isinstance(tag, str) else tuple(tag) for tag in document["tags"]]
    pairs = {name: list(document[name].items()) for name in ("inputs", "metadata")}
    return {**document, **pairs, "at": document["timestamp"], "tags": tags}


_WRITERS: Final[dict[str, Callable[[Iterable[dict[str, Any]], Path], int]]] = {
    ".parquet": _write_parquet,
    ".jsonl": _write_json_lines,
    ".ndjson": _write_json_lines,
}
