"""Time of steps whose results are stored in threads, against storing each before the next step.

20 independent steps compute for 50 ms and store for 50 ms, both without using the processor, so that the figure
depends on overlap alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from harness import Report, run_interleaved
from pydantic import PrivateAttr

import rivers as rs

STEPS = 20
WORK_S = 0.05
TARGET = 0.6


class SlowIOHandler(rs.BaseIOHandler):
    """Keeps values; takes as long to store one as a store on a network."""

    locality = "host"
    _values: dict[str, Any] = PrivateAttr(default_factory=dict)

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        """Wait, then keep the value."""
        time.sleep(WORK_S)
        self._values[context.storage_key] = obj

    def load_input(self, context: rs.InputContext) -> Any:
        """Return the value."""
        return self._values[context.storage_key]


def compute() -> int:
    time.sleep(WORK_S)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    report = Report(f"{STEPS} steps that compute and store, fastest of {rounds}, wall-clock time")
    handler = SlowIOHandler()
    assets = [rs.Asset(compute, name=f"asset_{number}", io_handler=handler) for number in range(STEPS)]
    repo = rs.CodeRepository(assets, config=False)

    def seconds(io_threads: int) -> float:
        start = time.perf_counter()
        repo.materialize(executor=rs.Executor.in_process(io_threads=io_threads))
        return time.perf_counter() - start

    measured = run_interleaved({"threads": lambda: seconds(2), "serial": lambda: seconds(0)}, rounds)
    repo.shutdown()
    report.ratio("io_threads=2  :  io_threads=0", min(measured["threads"]), min(measured["serial"]), TARGET)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
