"""What the delta handler costs over deltalake and polars, each pair measured in turns in one run.

    python benchmarks/delta_handler.py              # everything
    python benchmarks/delta_handler.py --only flat  # write, read, small, or flat

Prints ratios; the claims are: writing 5,000,000 rows x 3 columns at most 1.05 times `write_deltalake`, reading at
most 1.05 times `pl.read_delta`, a small warm write at most 1.2 times. Of 1,000 appends of one row, the last 50
take at most 1.5 times as long as the first 50 (medians).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from deltalake import write_deltalake

from rivers_core import InputContext, OutputContext
from rivers_delta import DeltaIOHandler

if TYPE_CHECKING:
    from collections.abc import Callable

APPEND = {"delta/mode": "append"}
OVER: list[str] = []


def frame(rows: int) -> pl.DataFrame:
    """Three columns: whole numbers, numbers, text."""
    ids = pl.int_range(rows, eager=True)
    return pl.DataFrame({"id": ids, "value": ids * 0.5, "name": "n" + (ids % 1000).cast(pl.String)})


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], times: int) -> tuple[float, float]:
    """The median seconds of both, called alternately after one warm-up each."""
    ours()
    theirs()
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(times):
        for which in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            (ours, theirs)[which]()
            seconds[which].append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def show(name: str, ours: float, theirs: float, limit: float) -> None:
    """One line: the ratio, and both times."""
    ratio = ours / theirs
    verdict = "ok" if ratio <= limit else "OVER"
    OVER.extend([name] * (ratio > limit))
    print(
        f"{name:<34} {ratio:6.3f} x  (limit {limit})  {ours * 1e3:9.2f} ms / {theirs * 1e3:9.2f} ms  {verdict}",
        flush=True,
    )


def write(folder: Path, rows: int) -> None:
    """A large frame, overwriting."""
    data, handler = frame(rows), DeltaIOHandler(table_uri=str(folder / "ours"))
    raw = str(folder / "raw")
    ours, theirs = in_turns(
        lambda: handler.handle_output(OutputContext("big"), data),
        lambda: write_deltalake(raw, data, mode="overwrite"),
        times=7,
    )
    show(f"write {rows:,} rows", ours, theirs, 1.05)


def read(folder: Path, rows: int) -> None:
    """The same frame, read back."""
    handler = DeltaIOHandler(table_uri=str(folder / "read"))
    handler.handle_output(OutputContext("big"), frame(rows))
    address = handler.address("big", None)
    ours, theirs = in_turns(
        lambda: handler.load_input(InputContext("big", "bench", type_hint=pl.DataFrame)),
        lambda: pl.read_delta(address),
        times=31,
    )
    show(f"read {rows:,} rows", ours, theirs, 1.05)


def small(folder: Path) -> None:
    """One row, appended again and again to tables that are there."""
    data, handler = frame(1), DeltaIOHandler(table_uri=str(folder / "small"))
    raw = str(folder / "small_raw")
    write_deltalake(raw, data, configuration={"delta.checkpointInterval": "10"})
    run = iter(range(10_000))

    def append_ours() -> None:
        handler.handle_output(OutputContext("one", APPEND, run_id=f"run-{next(run)}"), data)

    def append_raw() -> None:
        write_deltalake(raw, data, mode="append")

    for log, times in (("short", 25), ("long", 60)):
        ours, theirs = in_turns(append_ours, append_raw, times)
        show(f"small write, appending, {log} log", ours, theirs, 1.2)
    ours, theirs = in_turns(
        lambda: handler.handle_output(OutputContext("two"), data),
        lambda: write_deltalake(str(folder / "over_raw"), data, mode="overwrite"),
        times=60,
    )
    show("small write, overwriting", ours, theirs, 1.2)


def flat(folder: Path, appends: int = 1000) -> None:
    """Appends of one row: the last 50 of one table in turns with the first 50 of another.

    By one handler; by a new handler each, as processes do that append once; and by deltalake alone.
    """
    data, handler = frame(1), DeltaIOHandler(table_uri=str(folder / "flat"))
    run = iter(range(10_000))

    def ours(name: str) -> None:
        handler.handle_output(OutputContext(name, APPEND, run_id=f"run-{next(run)}"), data)

    def raw(name: str) -> None:
        write_deltalake(str(folder / f"raw_{name}"), data, mode="append")

    def once(name: str) -> None:
        fresh = DeltaIOHandler(table_uri=str(folder / "once"))
        fresh.handle_output(OutputContext(name, APPEND, run_id=f"run-{next(run)}"), data)

    for who, append, limit in (
        ("one handler", ours, 1.5),
        ("a handler each", once, float("inf")),
        ("deltalake alone", raw, float("inf")),
    ):
        for _ in range(appends - 50):
            append("old")
        pairs = [(seconds(append, "old"), seconds(append, "new")) for _ in range(50)]
        last, first = (statistics.median(column) for column in zip(*pairs, strict=True))
        show(f"{appends} appends, {who}", last, first, limit)


def seconds(append: Callable[[str], None], name: str) -> float:
    """How long one append takes."""
    started = time.perf_counter()
    append(name)
    return time.perf_counter() - started


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--only", choices=["write", "read", "small", "flat"])
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Path], None]] = {
        "write": lambda folder: write(folder, arguments.rows),
        "read": lambda folder: read(folder, arguments.rows),
        "small": small,
        "flat": flat,
    }
    for name, part in parts.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                part(Path(folder))
    sys.exit(bool(OVER))


if __name__ == "__main__":
    main()
