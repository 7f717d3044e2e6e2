"""Memory needed to write a table that is much larger than the memory that the write may use.

    python benchmarks/delta_memory.py              # 5 GiB, as a RecordBatchReader and as a LazyFrame
    python benchmarks/delta_memory.py --gib 0.5 --only reader

Each writer runs in a separate process that generates the batches while it writes. The script prints the peak of its
resident memory. Target: 5 GiB are written in less than 1.5 GiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

LIMIT_GIB = 1.5
ROWS = 131_072
GIB = 1024**3


def batches(total: int) -> Iterator[Any]:
    """Yield record batches of three incompressible columns, until their size reaches `total` bytes."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(0)
    size = 0
    while size < total:
        batch = pa.record_batch({
            "id": np.arange(ROWS) + size,
            "value": random.random(ROWS),
            "noise": random.integers(0, 2**63, ROWS),
        })  # fmt: skip
        size += batch.nbytes
        yield batch


def as_reader(total: int) -> Any:
    """Return a one-shot reader of the batches."""
    import pyarrow as pa

    schema = next(batches(1)).schema
    return pa.RecordBatchReader.from_batches(schema, batches(total))


def as_lazy_frame(total: int) -> Any:
    """Return a query whose source generates the batches."""
    import polars as pl
    from polars.io.plugins import register_io_source

    schema = pl.DataFrame(next(batches(1))).schema

    def source(with_columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[pl.DataFrame]:
        del with_columns, predicate, n_rows, batch_size
        for batch in batches(total):
            yield pl.DataFrame(batch)

    return register_io_source(source, schema=schema).with_columns(double=pl.col("value") * 2)


VALUES = {"reader": as_reader, "lazy": as_lazy_frame}


def write(kind: str, total: int, folder: str) -> None:
    """Write one value, and print the memory, the time and the size as JSON."""
    from rivers_core import OutputContext
    from rivers_delta import DeltaIOHandler

    start = time.perf_counter()
    context = OutputContext("large")
    DeltaIOHandler(table_uri=folder).handle_output(context, VALUES[kind](total))
    assert context.output_metadata is not None
    print(
        json.dumps({
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "seconds": time.perf_counter() - start,
            "rows": context.output_metadata["delta/rows_written"].raw_value(),
            "stored": context.output_metadata["delta/size_bytes"].raw_value(),
        })
    )  # fmt: skip


def measure(kind: str, gib: float) -> float:
    """Write one value in a separate process, print its figures, and return its peak in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--gib", str(gib), "--child", kind, folder]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures = json.loads(output)
    peak = figures["peak"] / GIB
    print(
        f"{gib:g} GiB as {kind:<7} peak {peak:.2f} GiB (limit {LIMIT_GIB}), {figures['rows']:,} rows, "
        f"{figures['stored'] / GIB:.2f} GiB stored, {figures['seconds']:.0f} s",
        flush=True,
    )
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--only", choices=list(VALUES))
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, folder = arguments.child
        write(kind, int(arguments.gib * GIB), folder)
        return 0
    kinds = [kind for kind in VALUES if arguments.only in (None, kind)]
    return int(max(measure(kind, arguments.gib) for kind in kinds) > LIMIT_GIB)


if __name__ == "__main__":
    sys.exit(main())
