"""Tables as other engines write them: data files and a log with one commit."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa


def field(name: str, kind: Any, **metadata: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def mapped(name: str, kind: Any, number: int) -> dict[str, Any]:
    """A column whose data files call it `col-<number>`."""
    names = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"}
    return field(name, kind, **names)


def write_foreign(
    folder: Path,
    fields: Sequence[dict[str, Any]],
    files: Mapping[str, tuple[pa.Table, Mapping[str, str | None]]],
    *,
    protocol: tuple[int, int] = (1, 2),
    features: Sequence[str] | None = None,
    writer_features: Sequence[str] | None = None,
    configuration: Mapping[str, str] | None = None,
    **parquet: Any,
) -> None:
    """Write a table.

    Args:
        folder: The folder of the table.
        fields: Its columns.
        files: Path of each data file, its rows and partition values.
        protocol: Versions for readers and writers.
        features: Features for readers and writers; sets the versions to 3 and 7.
        writer_features: Features for writers alone; sets the version to 7.
        configuration: Table properties.
        **parquet: Options of the Parquet writer.
    """
    reader, writer = (3, 7) if features is not None else protocol
    versions: dict[str, Any] = {"minReaderVersion": reader, "minWriterVersion": writer}
    if features is not None:
        versions |= {"readerFeatures": list(features), "writerFeatures": list(features)}
    if writer_features is not None:
        versions |= {"minWriterVersion": 7, "writerFeatures": list(writer_features)}
    partition = next((list(values) for _, values in files.values()), [])
    metadata = {
        "id": "foreign",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": list(fields)}),
        "partitionColumns": partition,
        "configuration": dict(configuration or {}),
        "createdTime": 0,
    }
    actions: list[dict[str, Any]] = [{"protocol": versions}, {"metaData": metadata}]
    for path, (rows, values) in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, file, store_schema=False, **parquet)
        size = os.path.getsize(file)
        add = {"path": quote(path), "partitionValues": dict(values), "size": size, "modificationTime": 0}
        actions.append({"add": add | {"dataChange": True}})
    log = folder / "_delta_log"
    log.mkdir()
    (log / f"{0:020d}.json").write_text("\n".join(map(json.dumps, actions)))
