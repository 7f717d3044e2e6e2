"""Cost of the in-memory handler: one value stored and loaded, against functions around a bare dictionary.

Contexts are built before the clock starts, because they are a cost of the engine. Every write records the size
and the location of its value as metadata.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from harness import Report, run_interleaved

from rivers_core import InputContext, OutputContext
from rivers_memory import InMemoryIOHandler

COUNT = 20_000
# in calls of a Python function that does the same with a bare dictionary
TARGETS = {"store": 9.0, "load": 2.5}


class Bare:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def store(self, name: str, value: Any) -> None:
        self.values[name] = value

    def load(self, name: str) -> Any:
        return self.values[name]


def seconds_per_call(call: Callable[..., Any], argument_lists: list[tuple[Any, ...]]) -> float:
    start = time.process_time()
    for arguments in argument_lists:
        call(*arguments)
    return (time.process_time() - start) / len(argument_lists)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    names = [f"asset_{number % 500}" for number in range(COUNT)]
    bare, handler = Bare(), InMemoryIOHandler()
    report = Report(f"the in-memory handler against a dictionary: {COUNT:,} values, {rounds} rounds")
    seconds = run_interleaved(
        {
            "bare store": lambda: seconds_per_call(bare.store, [(name, 1) for name in names]),
            "our store": lambda: seconds_per_call(
                handler.handle_output, [(OutputContext(name), 1) for name in names]
            ),
            "bare load": lambda: seconds_per_call(bare.load, [(name,) for name in names]),
            "our load": lambda: seconds_per_call(
                handler.load_input, [(InputContext(name, "next"),) for name in names]
            ),
        },
        rounds,
        warm_up=0,
    )
    for operation, target in TARGETS.items():
        ours, theirs = seconds[f"our {operation}"], seconds[f"bare {operation}"]
        report.ratio(f"{operation}, fastest round", min(ours), min(theirs), target)
        report.ratio(f"{operation}, median round", statistics.median(ours), statistics.median(theirs))
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
