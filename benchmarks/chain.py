"""What the framework costs: a chain of 1,000 trivial assets, against Hamilton with the same functions.

Both build the graph once and run it many times, in turns, each in a process of its own. rivers records
an event for every asset (in memory) and hands every value through its handler; Hamilton passes values on.
Seconds are those of the processor: both run in one thread, and other work on the machine does not count then.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Report, in_turns
from peers.chain_functions import chain_functions

import rivers as rs

COUNT = 1000
ROUNDS = 30
WANTED = 1.0

HERE = Path(__file__).parent
HAMILTON = HERE.parent / ".venvs" / "hamilton" / "bin" / "python"


def rivers_chain() -> Callable[[], float]:
    """A function that runs the chain once and gives the seconds."""
    functions = chain_functions(COUNT)
    repository = rs.CodeRepository([rs.Asset(function) for function in functions.values()], config=False)
    repository.resolve(storage=rs.Storage.memory())

    def run() -> float:
        start = time.process_time()
        result = repository.materialize()
        seconds = time.process_time() - start
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
    report = Report(f"a chain of {COUNT:,} trivial assets against Hamilton, {ROUNDS} rounds in turns")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        spent = in_turns({"rivers": rivers_chain(), "hamilton": hamilton_chain(worker)}, ROUNDS, warm_up=3)
        assert worker.stdin
        worker.stdin.close()
    report.ratio("fastest run", min(spent["rivers"]), min(spent["hamilton"]), WANTED)
    report.ratio("median run", *(statistics.median(spent[name]) for name in ("rivers", "hamilton")))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
