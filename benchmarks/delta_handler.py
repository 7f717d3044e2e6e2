"""Cost of the Delta handler, against deltalake and polars, each pair interleaved.

    python benchmarks/delta_handler.py                 # everything
    python benchmarks/delta_handler.py --only growth   # write, read, small or growth

Targets: writing 5,000,000 rows of 3 columns takes at most 1.05 times as long as `write_deltalake`, reading them at
most 1.05 times as long as `pl.read_delta`, a small write to an existing table at most 1.2 times. Of 1,000 appends
of one row, the last 50 take at most 1.5 times as long as the first 50 (medians).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
from deltalake import write_deltalake
from harness import Report, run_interleaved

from rivers_core import InputContext, OutputContext
from rivers_delta import DeltaIOHandler

APPEND = {"delta/mode": "append"}


def make_frame(rows: int) -> pl.DataFrame:
    """Return a frame with a column of integers, one of floats and one of strings."""
    ids = pl.int_range(rows, eager=True)
    return pl.DataFrame({"id": ids, "value": ids * 0.5, "name": "n" + (ids % 1000).cast(pl.String)})


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of both calls."""
    spent = run_interleaved({"ours": lambda: seconds(ours), "theirs": lambda: seconds(theirs)}, rounds)
    return statistics.median(spent["ours"]), statistics.median(spent["theirs"])


def measure_write(report: Report, folder: Path, rows: int) -> None:
    """Overwrite a table with a large frame."""
    frame, handler = make_frame(rows), DeltaIOHandler(table_uri=str(folder / "ours"))
    times = medians(
        lambda: handler.handle_output(OutputContext("large"), frame),
        lambda: write_deltalake(str(folder / "raw"), frame, mode="overwrite"),
        rounds=7,
    )
    report.ratio(f"write {rows:,} rows", *times, 1.05)


def measure_read(report: Report, folder: Path, rows: int) -> None:
    """Read the same frame."""
    handler = DeltaIOHandler(table_uri=str(folder / "read"))
    handler.handle_output(OutputContext("large"), make_frame(rows))
    address = handler.address("large", None)
    times = medians(
        lambda: handler.load_input(InputContext("large", "bench", type_hint=pl.DataFrame)),
        lambda: pl.read_delta(address),
        rounds=31,
    )
    report.ratio(f"read {rows:,} rows", *times, 1.05)


def measure_small_writes(report: Report, folder: Path) -> None:
    """Write one row to an existing table again and again."""
    frame, handler = make_frame(1), DeltaIOHandler(table_uri=str(folder / "small"))
    raw = str(folder / "small_raw")
    # the interval of the handler, so that both write as many checkpoints
    write_deltalake(raw, frame, configuration={"delta.checkpointInterval": "10"})
    run_numbers = iter(range(10_000))

    def append_ours() -> None:
        context = OutputContext("appended", APPEND, run_id=f"run-{next(run_numbers)}")
        handler.handle_output(context, frame)

    for log, rounds in (("short", 25), ("long", 60)):
        times = medians(append_ours, lambda: write_deltalake(raw, frame, mode="append"), rounds)
        report.ratio(f"append one row, {log} log", *times, 1.2)
    times = medians(
        lambda: handler.handle_output(OutputContext("overwritten"), frame),
        lambda: write_deltalake(str(folder / "overwritten_raw"), frame, mode="overwrite"),
        rounds=60,
    )
    report.ratio("overwrite one row", *times, 1.2)


def measure_growth(report: Report, folder: Path, appends: int) -> None:
    """Append one row many times; interleave the last appends to one table with the first ones to another.

    Measured for one handler; for a new handler per append, as in processes that append once; and for deltalake.
    """
    frame, handler = make_frame(1), DeltaIOHandler(table_uri=str(folder / "one_handler"))
    run_numbers = iter(range(10_000))

    def append(handler: DeltaIOHandler, table: str) -> None:
        handler.handle_output(OutputContext(table, APPEND, run_id=f"run-{next(run_numbers)}"), frame)

    contestants: dict[str, tuple[Callable[[str], None], float | None]] = {
        "one handler": (lambda table: append(handler, table), 1.5),
        "a handler per append": (
            lambda table: append(DeltaIOHandler(table_uri=str(folder / "new_handlers")), table),
            None,
        ),
        "deltalake alone": (
            lambda table: write_deltalake(str(folder / f"raw_{table}"), frame, mode="append"),
            None,
        ),
    }
    compared = min(50, appends // 2)
    for name, (append_to, target) in contestants.items():
        for _ in range(appends - compared):
            append_to("old")
        pairs = [
            (seconds(partial(append_to, "old")), seconds(partial(append_to, "new"))) for _ in range(compared)
        ]
        last, first = (statistics.median(column) for column in zip(*pairs, strict=True))
        report.ratio(f"{appends:,} appends, last : first, {name}", last, first, target)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--appends", type=int, default=1000)
    parser.add_argument("--only", choices=["write", "read", "small", "growth"])
    arguments = parser.parse_args()
    report = Report("the Delta handler against deltalake and polars, medians of interleaved rounds")
    measurements: dict[str, Callable[[Path], None]] = {
        "write": lambda folder: measure_write(report, folder, arguments.rows),
        "read": lambda folder: measure_read(report, folder, arguments.rows),
        "small": lambda folder: measure_small_writes(report, folder),
        "growth": lambda folder: measure_growth(report, folder, arguments.appends),
    }
    for name, measure in measurements.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
