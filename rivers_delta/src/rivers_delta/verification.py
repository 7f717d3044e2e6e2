"""Verification of tables: decode every data file, and compare it with the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from rivers_core.authoring import counted
from rivers_core.exceptions import IntegrityError
from rivers_delta.errors import subject_of
from rivers_delta.read.data_files import DataFiles
from rivers_delta.read.load import find_table, requested_rows
from rivers_delta.write.digests import digest, recorded_digests

if TYPE_CHECKING:
    from rivers_core import InputContext
    from rivers_delta.config.table_settings import TableSettings

_ADVICE: Final = "Restore it, or write the asset again."


def verify(settings: TableSettings, context: InputContext) -> dict[str, int]:
    """Decode every data file of a table, and compare size, rows and recorded digest with the log.

    Args:
        settings: The table.
        context: Asset and partition; without a partition the whole table.

    Returns:
        Numbers of files, rows, bytes, and of files whose digest was compared.

    Raises:
        NotMaterializedError: The table or partition was never written.
        IntegrityError: The message names the first file that is damaged.
    """
    table = find_table(settings, context)
    files = DataFiles(table, requested_rows(settings, context, table.columns()))
    files.check(subject_of(context))
    digests, system = recorded_digests(table), table.file_system()
    counts = {"files": 0, "rows": 0, "bytes": 0, "digests": 0}
    for path, size, recorded_rows in files.entries():
        where = f"Verification of {subject_of(context)}, table {table.address!r}, failed: data file {path!r}"
        with system.open_input_file(path) as file:
            data = file.read()
        if len(data) != size:
            raise IntegrityError(
                f"{where} has {counted(len(data), 'byte')}, and {size} in the log. {_ADVICE}"
            )
        if path in digests:
            counts["digests"] += 1
            if digest(data) != digests[path]:
                raise IntegrityError(f"{where} differs from the digest in the log. {_ADVICE}")
        rows = _decoded_rows(data, where)
        if None not in (rows, recorded_rows) and rows != recorded_rows:
            raise IntegrityError(
                f"{where} has {counted(rows or 0, 'row')}, and {recorded_rows} in the log. {_ADVICE}"
            )
        counts["files"] += 1
        counts["rows"] += rows or 0
        counts["bytes"] += size
    return counts


def _decoded_rows(data: bytes, where: str) -> int | None:
    """Return the number of rows after decoding all of them; None for types that pyarrow does not support."""
    import pyarrow.parquet as pq

    try:
        rows = 0
        for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches():
            batch.validate(full=True)
            rows += batch.num_rows
    except pa.ArrowNotImplementedError:
        return None
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{where} cannot be decoded ({error}). {_ADVICE}") from error
    return rows
