"""Resident memory of the coordinator and of the workers over 10,000 steps under the parallel executor.

    python benchmarks/parallel_memory.py
    python benchmarks/parallel_memory.py --steps 2000

One run of 10,000 assets on two workers; values are stored as pickle, events in SQLite. The largest
memory in the last tenth of the run is compared with that in the second. 1 means that memory does not grow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

import psutil
from harness import Report

import rivers as rs

WORKERS = 2
LIMIT = 1.05


def one() -> int:
    return 1


class Sampler(threading.Thread):
    """Notes the resident memory of this process and its children until it is stopped.

    Args:
        folder: Where the steps store their values, whose number says how far the run is.
        steps: Number of steps of the run.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        super().__init__(daemon=True)
        self._folder, self._steps = folder, steps
        self._stopped = threading.Event()
        self.peaks: dict[int, dict[int, int]] = defaultdict(dict)

    def run(self) -> None:
        me = psutil.Process()
        while not self._stopped.wait(0.2):
            tenth = min(9, 10 * len(os.listdir(self._folder)) // self._steps)
            for process in [me, *me.children(recursive=True)]:
                try:
                    size = process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                peaks = self.peaks[process.pid]
                peaks[tenth] = max(peaks.get(tenth, 0), size)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args().steps
    report = Report(f"memory over {steps:,} steps on {WORKERS} workers, last tenth against second tenth")
    with tempfile.TemporaryDirectory() as root:
        values = Path(root, "values")
        values.mkdir()
        handler = rs.PickleIOHandler(values)
        assets = [rs.Asset(one, name=f"a{number}", io_handler=handler) for number in range(steps)]
        executor = rs.Executor.parallel(max_workers=WORKERS)
        with rs.CodeRepository(assets, config=False, default_executor=executor) as repo:
            repo.resolve(storage=rs.Storage.embedded(Path(root, "events")))
            sampler = Sampler(values, steps)
            sampler.start()
            repo.materialize()
            sampler.stop()
    workers = [peaks for pid, peaks in sampler.peaks.items() if pid != os.getpid()]
    total: dict[int, int] = defaultdict(int)
    for peaks in workers:
        for tenth, size in peaks.items():
            total[tenth] += size
    for label, peaks in (("coordinator", sampler.peaks[os.getpid()]), ("workers and their helpers", total)):
        report.ratio(
            label,
            peaks[9],
            peaks[1],
            LIMIT,
            quantities=f"{peaks[9] / 1e6:.1f} MB / {peaks[1] / 1e6:.1f} MB",
        )
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
