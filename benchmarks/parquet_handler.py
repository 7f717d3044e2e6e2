"""Cost of the Parquet handler, against polars, and the memory that it needs for a table larger than memory.

    python benchmarks/parquet_handler.py                       # everything; 5 GiB for the memory
    python benchmarks/parquet_handler.py --only read           # write, read or memory
    python benchmarks/parquet_handler.py --only memory --gib 1

Targets: writing and reading 5,000,000 rows of 3 columns takes at most 1.05 times as long as with polars, on files of
the same layout. 5 GiB, as a RecordBatchReader and as a LazyFrame, are written in less than 1.5 GiB of resident memory,
and read as a RecordBatchReader as well.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from harness import Report, run_interleaved

from rivers_core import InputContext, OutputContext
from rivers_parquet import ParquetIOHandler

ROWS = 131_072
GIB = 1024**3
LIMIT_GIB = 1.5


def make_frame(rows: int) -> pl.DataFrame:
    """Return a frame with a column of integers, one of floats and one of strings."""
    ids = pl.int_range(rows, eager=True)
    return pl.DataFrame({"id": ids, "value": ids * 0.5, "name": "n" + (ids % 1000).cast(pl.String)})


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(
    report: Report, name: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> None:
    """Report the ratio of two calls; of each the fastest round counts."""
    spent = run_interleaved({"ours": lambda: seconds(ours), "theirs": lambda: seconds(theirs)}, rounds)
    report.ratio(name, min(spent["ours"]), min(spent["theirs"]), 1.05)


def measure_write(report: Report, folder: Path, rows: int) -> None:
    """Write a large frame."""
    frame, handler = make_frame(rows), ParquetIOHandler(folder)
    compare(
        report,
        f"write {rows:,} rows",
        lambda: handler.handle_output(OutputContext("large"), frame),
        lambda: frame.lazy().sink_parquet(folder / "raw.parquet"),
        rounds=9,
    )


def measure_read(report: Report, folder: Path, rows: int) -> None:
    """Read the same file, verified and not."""
    handler = ParquetIOHandler(folder)
    handler.handle_output(OutputContext("large"), make_frame(rows))
    compare(
        report,
        f"read {rows:,} rows",
        lambda: handler.load_input(InputContext("large", "bench", type_hint=pl.DataFrame)),
        lambda: pl.read_parquet(folder / "large.parquet"),
        rounds=31,
    )


def batches(total: int) -> Iterator[pa.RecordBatch]:
    """Yield record batches of three incompressible columns, until their size reaches `total` bytes."""
    import numpy as np

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


def as_reader(total: int) -> pa.RecordBatchReader:
    """Return a one-shot reader of the batches."""
    return pa.RecordBatchReader.from_batches(next(batches(1)).schema, batches(total))


def as_lazy_frame(total: int) -> pl.LazyFrame:
    """Return a query whose source generates the batches."""
    from polars.io.plugins import register_io_source

    def source(with_columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[pl.DataFrame]:
        del with_columns, predicate, n_rows, batch_size
        for batch in batches(total):
            yield pl.DataFrame(batch)

    schema = pl.DataFrame(next(batches(1))).schema
    return register_io_source(source, schema=schema).with_columns(double=pl.col("value") * 2)


def read_stream(handler: ParquetIOHandler, total: int) -> int:
    """Store a value and read it as a stream; the peak of the process includes both."""
    handler.handle_output(OutputContext("large"), as_reader(total))
    reader = handler.load_input(InputContext("large", "bench", type_hint=pa.RecordBatchReader))
    return sum(batch.num_rows for batch in reader)


WORK: dict[str, Callable[[ParquetIOHandler, int], object]] = {
    "write a reader": lambda handler, total: handler.handle_output(OutputContext("large"), as_reader(total)),
    "write a lazy frame": lambda handler, total: handler.handle_output(
        OutputContext("large"), as_lazy_frame(total)
    ),
    "read a stream": read_stream,
}


def measure_memory(report: Report, gib: float) -> None:
    """Run each kind of work in a separate process, and report its peak."""
    for name in WORK:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--gib", str(gib), "--child", name, folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        peak = json.loads(output)["peak"] / GIB
        report.ratio(f"{name}, {gib:g} GiB: peak of {peak:.2f} GiB : {LIMIT_GIB} GiB", peak, LIMIT_GIB, 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--only", choices=["write", "read", "memory"])
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, folder = arguments.child
        WORK[kind](ParquetIOHandler(folder), int(arguments.gib * GIB))
        print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
        return 0
    report = Report("the Parquet handler against polars, fastest of interleaved rounds")
    measurements: dict[str, Callable[[Path], None]] = {
        "write": lambda folder: measure_write(report, folder, arguments.rows),
        "read": lambda folder: measure_read(report, folder, arguments.rows),
        "memory": lambda _: measure_memory(report, arguments.gib),
    }
    for name, measure in measurements.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
