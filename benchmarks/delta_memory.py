"""How much memory it takes to write a table that is much larger than memory should be.

    python benchmarks/delta_memory.py              # 5 GiB, as a RecordBatchReader and as a LazyFrame
    python benchmarks/delta_memory.py --gib 0.5 --only reader

Each writer is a process of its own, fed with batches that are generated while it writes. Prints the peak of its
resident memory; the claim is: 5 GiB stay under 1.5 GiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
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
    """Record batches of three columns that do not compress, until there are so many bytes."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(0)
    made = 0
    while made < total:
        batch = pa.record_batch({
            "id": np.arange(ROWS) + made,
            "value": random.random(ROWS),
            "noise": random.integers(0, 2**63, ROWS),
        })  # fmt: skip
        made += batch.nbytes
        yield batch


def as_reader(total: int) -> Any:
    """A stream that can be read once."""
    import pyarrow as pa

    first = next(batches(1))
    return pa.RecordBatchReader.from_batches(first.schema, batches(total))


def as_lazy_frame(total: int) -> Any:
    """A query whose source is generated."""
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
    """Write one value, and print what it took."""
    from rivers_core import OutputContext
    from rivers_delta import DeltaIOHandler

    started = time.perf_counter()
    context = OutputContext("large")
    DeltaIOHandler(table_uri=folder).handle_output(context, VALUES[kind](total))
    assert context.output_metadata is not None
    print(
        json.dumps({
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "seconds": time.perf_counter() - started,
            "rows": context.output_metadata["delta/rows_written"].raw_value(),
            "stored": context.output_metadata["delta/size_bytes"].raw_value(),
        })
    )  # fmt: skip


def main() -> None:
    """Measure each kind of value in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--only", choices=list(VALUES))
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    total = int(arguments.gib * GIB)
    if arguments.child:
        write(arguments.child[0], total, arguments.child[1])
        return
    worst = 0.0
    for kind in VALUES:
        if arguments.only in (None, kind):
            folder = tempfile.mkdtemp()
            try:
                command = [sys.executable, __file__, "--gib", str(arguments.gib), "--child", kind, folder]
                said = json.loads(
                    subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                )
            finally:
                shutil.rmtree(folder)
            peak = said["peak"] / GIB
            worst = max(worst, peak)
            print(f"{arguments.gib:g} GiB as {kind:<7} peak {peak:.2f} GiB (limit {LIMIT_GIB}), {said['rows']:,} rows, "
                  f"{said['stored'] / GIB:.2f} GiB stored, {said['seconds']:.0f} s", flush=True)  # fmt: skip
    sys.exit(worst > LIMIT_GIB)


if __name__ == "__main__":
    main()
