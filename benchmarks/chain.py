"""What the framework costs: a chain of 1,000 trivial assets, against Hamilton with the same functions.

Both build the graph once and run it many times, in turns, each in a process of its own. rivers records
an event for every asset (in memory) and hands every value through its handler; Hamilton passes values on.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from peers.chain_functions import chain_functions

import rivers as rs

COUNT = 1000
ROUNDS = 30
WARM_UP = 3
TARGET = 2.5

HERE = Path(__file__).parent
HAMILTON = HERE.parent / ".venvs" / "hamilton" / "bin" / "python"


def rivers_chain() -> Callable[[], float]:
    """A function that runs the chain once and gives the seconds."""
    functions = chain_functions(COUNT)
    repository = rs.CodeRepository([rs.Asset(function) for function in functions.values()], config=False)
    repository.resolve(storage=rs.Storage.memory())

    def run() -> float:
        start = time.perf_counter()
        result = repository.materialize()
        seconds = time.perf_counter() - start
        assert result.success
        assert repository.load_node(f"a{COUNT - 1}") == COUNT - 1
        return seconds

    return run


def hamilton_chain(worker: subprocess.Popen[str]) -> Callable[[], float]:
    """The same for Hamilton, in the process of its own environment."""
    assert worker.stdin
    assert worker.stdout
    ask, answers = worker.stdin, worker.stdout

    def run() -> float:
        ask.write("run\n")
        ask.flush()
        return float(answers.readline())

    return run


def main() -> int:
    command = [str(HAMILTON), str(HERE / "peers" / "hamilton_chain.py"), str(COUNT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        contestants = {"rivers": rivers_chain(), "hamilton": hamilton_chain(worker)}
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(WARM_UP + ROUNDS):
            for name, run in contestants.items():
                seconds[name].append(run())
        assert worker.stdin
        worker.stdin.close()
    print(f"a chain of {COUNT:,} trivial assets, {ROUNDS} interleaved runs")
    ratios = {}
    for title, pick in (("fastest", min), ("median", statistics.median)):
        ours, theirs = (pick(seconds[name][WARM_UP:]) for name in ("rivers", "hamilton"))
        ratios[title] = ours / theirs
        times = f"rivers {ours * 1e3:6.2f} ms   hamilton {theirs * 1e3:6.2f} ms"
        print(f"  {title:<8} {times}   ratio {ours / theirs:.2f}")
    print(f"  wanted: at most {TARGET}")
    return int(ratios["fastest"] > TARGET)


if __name__ == "__main__":
    sys.exit(main())
