"""Cost of the framework: a chain of 1,000 trivial assets, against Hamilton with the same functions.

Both build the graph once and run it many times, interleaved, each in a separate process. rivers records
an event for every asset, in memory or in SQLite, and passes every value through its handler; Hamilton passes values on.
Both run in a single thread, so the script measures processor time, which other programs disturb least.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import Report, run_interleaved
from peers.chain_functions import chain_functions

import rivers as rs

COUNT = 1000
TARGETS = {"memory": 0.6, "SQLite": 1.0}

HERE = Path(__file__).parent
HAMILTON = HERE.parent / ".venvs" / "hamilton" / "bin" / "python"


def rivers_chain(storage: rs.Storage) -> Callable[[], float]:
    """Return a function that runs the chain once, with its events stored, and returns the seconds."""
    functions = chain_functions(COUNT)
    repository = rs.CodeRepository([rs.Asset(function) for function in functions.values()], config=False)
    repository.resolve(storage=storage)

    def run() -> float:
        start = time.process_time()
        result = repository.materialize()
        seconds = time.process_time() - start
        assert result.success
        assert repository.load_node(f"a{COUNT - 1}") == COUNT - 1
        return seconds

    return run


def hamilton_chain(worker: subprocess.Popen[str]) -> Callable[[], float]:
    """Return the same for Hamilton, which runs in a process of a separate environment."""
    assert worker.stdin
    assert worker.stdout
    requests, responses = worker.stdin, worker.stdout

    def run() -> float:
        requests.write("run\n")
        requests.flush()
        return float(responses.readline())

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    command = [str(HAMILTON), str(HERE / "peers" / "hamilton_chain.py"), str(COUNT)]
    report = Report(f"a chain of {COUNT:,} trivial assets against Hamilton, {rounds} interleaved rounds")
    with (
        tempfile.TemporaryDirectory() as folder,
        rs.Storage.embedded(folder) as storage,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker,
    ):
        contestants = {
            "memory": rivers_chain(rs.Storage.memory()),
            "SQLite": rivers_chain(storage),
            "hamilton": hamilton_chain(worker),
        }
        seconds = run_interleaved(contestants, rounds, warm_up=3)
        assert worker.stdin
        worker.stdin.close()
    for name, target in TARGETS.items():
        report.ratio(f"events in {name}, fastest run", min(seconds[name]), min(seconds["hamilton"]), target)
        report.ratio(
            f"events in {name}, median run", *map(statistics.median, (seconds[name], seconds["hamilton"]))
        )
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
