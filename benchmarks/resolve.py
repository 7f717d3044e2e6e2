"""Cost of a large project: defining and resolving 10,000 assets, and running one of them.

Defining and resolving are compared with what `inspect.signature` and `typing.get_type_hints` take for the same
functions, a run of one asset with the same run in a project of that asset alone. All is processor time of one thread.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
import typing
from collections.abc import Callable

from harness import Report, run_interleaved
from peers.chain_functions import chain_functions

import rivers as rs

COUNT = 10_000
TARGETS = {"define": 0.5, "resolve": 0.7}
RUN_TARGETS = {"first": 10.0, "again": 1.2}


def timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def resolved(assets: list[rs.SingleAsset]) -> rs.CodeRepository:
    return rs.CodeRepository(assets, config=False).resolve(storage=rs.Storage.memory())


def measure_graph(rounds: int) -> int:
    report = Report(f"{COUNT:,} assets against the inspection of their functions, fastest of {rounds}")
    functions = list(chain_functions(COUNT).values())
    seconds = run_interleaved(
        {
            "inspect": lambda: timed(
                lambda: [(inspect.signature(f), typing.get_type_hints(f)) for f in functions]
            ),
            "define": lambda: timed(lambda: [rs.Asset(function) for function in functions]),
            "resolve": lambda: _resolve_seconds(functions),
        },
        rounds,
    )
    for name, target in TARGETS.items():
        report.ratio(f"{name} 10,000 assets", min(seconds[name]), min(seconds["inspect"]), target)
    return report.exit_code


def _resolve_seconds(functions: list[Callable[..., int]]) -> float:
    assets = [rs.Asset(function) for function in functions]
    return timed(lambda: resolved(assets))


def measure_runs(rounds: int) -> int:
    report = Report(f"a run of one asset out of {COUNT:,} against one out of one, fastest of {rounds}")
    functions = list(chain_functions(COUNT).values())
    spent: dict[str, list[float]] = {}
    for _ in range(rounds):
        for size in (1, COUNT):
            repository = resolved([rs.Asset(function) for function in functions[:size]])
            for time_of_run in ("first", "again"):
                run = timed(lambda repository=repository: repository.materialize(["a0"]))
                spent.setdefault(f"{time_of_run} of {size}", []).append(run)
    for time_of_run, target in RUN_TARGETS.items():
        ours, theirs = (min(spent[f"{time_of_run} of {size}"]) for size in (COUNT, 1))
        report.ratio(f"run one of 10,000, {time_of_run}", ours, theirs, target)
    return report.exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    return max(measure_graph(rounds), measure_runs(rounds))


if __name__ == "__main__":
    sys.exit(main())
