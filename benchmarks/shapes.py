"""Steps of large graphs, each in a separate process: their cost against a chain of 1,000, and the memory they leave.

A chain of 100,000, 10,000 assets between one source and one sink, and 3,333 diamonds in a row. All functions are equal,
so that nothing but the graph differs. Memory is the growth of resident memory while `materialize` runs, per step,
against 1,000 bytes; the values are small integers, which take none.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Report

import rivers as rs

SMALL = 1000
TIME_TARGET = 1.3
BYTES_TARGET = 1000

Links = Iterator[tuple[str, list[str]]]


def chain(count: int) -> Links:
    yield "a0", []
    for number in range(1, count):
        yield f"a{number}", [f"a{number - 1}"]


def wide(count: int) -> Links:
    middle = [f"m{number}" for number in range(count - 2)]
    yield "source", []
    yield from ((name, ["source"]) for name in middle)
    yield "sink", middle


def diamonds(count: int) -> Links:
    yield "top0", []
    for number in range(count // 3):
        yield f"left{number}", [f"top{number}"]
        yield f"right{number}", [f"top{number}"]
        yield f"top{number + 1}", [f"left{number}", f"right{number}"]


SHAPES = {
    "small": (chain, SMALL),
    "chain": (chain, 100_000),
    "wide": (wide, 10_000),
    "diamonds": (diamonds, 10_000),
}


def assets(links: Links) -> list[rs.SingleAsset]:
    namespace: dict[str, object] = {}
    source = "\n".join(f"def {name}({', '.join(upstreams)}): return 1" for name, upstreams in links)
    exec(source, namespace)
    return [rs.Asset(function) for name, function in namespace.items() if callable(function)]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def print_costs(shape: str, divisor: int) -> None:
    """Print seconds and bytes per step of a run; runs in a separate process."""
    make_links, count = SHAPES[shape]
    repository = rs.CodeRepository(assets(make_links(max(10, count // divisor))), config=False)
    repository.resolve(storage=rs.Storage.memory())
    repository.materialize([next(iter(repository.assets))])  # what the first run of a process imports
    gc.collect()
    before, start = resident_bytes(), time.process_time()
    repository.materialize()
    steps = len(repository.assets)
    print((time.process_time() - start) / steps, (resident_bytes() - before) / steps)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shrink", type=int, default=1, help="divide every size by this number")
    parser.add_argument("--child", choices=SHAPES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print_costs(arguments.child, arguments.shrink)
        return 0
    costs: dict[str, list[tuple[float, float]]] = {shape: [] for shape in SHAPES}
    for _ in range(arguments.rounds):
        for shape, measured in costs.items():
            command = [sys.executable, __file__, "--child", shape, "--shrink", str(arguments.shrink)]
            seconds, growth = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout.split()
            measured.append((float(seconds), float(growth)))
    report = Report(
        f"a step of large graphs against one of a chain of {SMALL:,}, lowest of {arguments.rounds}"
    )
    base = min(seconds for seconds, _ in costs["small"])
    for shape in ("chain", "wide", "diamonds"):
        label = f"{shape} of {SHAPES[shape][1]:,}"
        report.ratio(label, min(seconds for seconds, _ in costs[shape]), base, TIME_TARGET)
        growth = min(growth for _, growth in costs[shape])
        quantities = f"{growth:.0f} / {BYTES_TARGET} bytes"
        report.ratio(f"memory of a {label}", growth, BYTES_TARGET, 1.0, quantities=quantities)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
