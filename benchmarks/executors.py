"""Overhead of a step under the parallel and the Dask executor, as ratios to peers in the same run.

- parallel: 64 steps of 10 ms on two warm workers; what a step takes beyond the work, compared with the published
  framework of the same name (`rivers==0.6.2`, in a separate environment).
- dask: 1,000 steps that store nothing, compared with 1,000 plain Dask futures of an empty function.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

STEPS, WORK_S, WORKERS = 64, 0.01, 2
ROUNDS = 3
DASK_STEPS = int(os.environ.get("STEPS", "1000"))
PEER = Path(__file__).parents[1] / ".venvs" / "published" / "bin" / "python"

# Both frameworks run this program.
PROGRAM = f"""
import functools, sys, tempfile, time
import rivers as rs
from obstore.store import LocalStore

def work():
    time.sleep({WORK_S})
    return 1

def asset(number, store):
    def function() -> int:
        return work()
    function.__name__ = function.__qualname__ = f"a{{number}}"
    return rs.Asset(io_handler=store)(function)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        store = rs.PickleIOHandler(store=LocalStore(folder))
        repo = rs.CodeRepository(
            assets=[asset(number, store) for number in range({STEPS})],
            default_executor=rs.Executor.parallel(max_workers={WORKERS}),
        )
        repo.resolve(storage=rs.Storage.memory())
        best = None
        for _ in range(4):
            start = time.perf_counter()
            repo.materialize()
            took = time.perf_counter() - start
            best = took if best is None else min(best, took)
        print((best - {STEPS * WORK_S / WORKERS}) / {STEPS})
        getattr(repo, "shutdown", lambda: None)()
"""


def overhead(python: str) -> float:
    """Return the seconds that a step takes beyond its work."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.py")
        program.write_text(PROGRAM, encoding="utf-8")
        command = [python, str(program)]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if result.returncode:
        sys.exit(result.stderr[-2000:])
    return float(result.stdout.split()[-1])


def measure_parallel(report: Report) -> None:
    if not PEER.exists():
        print("  parallel: the published framework is not installed; make bench installs it")
        return
    label = f"parallel: each of {STEPS} steps, against the published framework"
    report.ratio(label, overhead(sys.executable), overhead(str(PEER)), 0.4)


def nothing() -> None:
    return None


def submit_plain(client: Client) -> None:
    client.gather([client.submit(nothing, pure=False) for _ in range(DASK_STEPS)])


def seconds(function: Callable[..., object], *arguments: object, **options: object) -> float:
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def measure_dask(report: Report) -> None:
    from distributed import Client, LocalCluster

    import rivers as rs

    class Nowhere(rs.BaseIOHandler):
        locality = "shared"

        def handle_output(self, context: rs.OutputContext, obj: object) -> None:
            return

        def load_input(self, context: rs.InputContext) -> None:
            return

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.gather([client.submit(nothing, pure=False) for _ in range(100)])
        assets = [rs.Asset(nothing, name=f"a{n}", io_handler=Nowhere()) for n in range(DASK_STEPS)]
        with rs.CodeRepository(assets, config=False) as repo:
            executor = rs.Executor.dask(cluster.scheduler_address)
            repo.materialize("a0", executor=executor)
            plain = ours = math.inf
            for _ in range(ROUNDS):  # in turn, since other programs may take the processors for a while
                plain = min(plain, seconds(submit_plain, client))
                ours = min(ours, seconds(repo.materialize, executor=executor))
    label = f"dask: {DASK_STEPS:,} empty steps, against plain futures"
    report.ratio(label, ours, plain, 1.3)


def main() -> int:
    report = Report(f"overhead of steps elsewhere, {WORKERS} workers, lowest of several rounds")
    measure_parallel(report)
    measure_dask(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
