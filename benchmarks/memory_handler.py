"""What the in-memory handler costs: one value stored and loaded, against a bare dictionary and a function call.

Contexts are built before the clock starts, as the engine's own cost. The size and the place of the value
are in the metadata of every write that is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from rivers_core.contexts import InputContext, OutputContext
from rivers_memory import InMemoryIOHandler

COUNT = 20_000
ROUNDS = 15
# in calls of a Python function that does the same with a bare dictionary
TARGETS = {"store": 9.0, "load": 2.5}


class Bare:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def store(self, name: str, value: Any) -> None:
        self.values[name] = value

    def load(self, name: str) -> Any:
        return self.values[name]


def seconds(call: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> float:
    start = time.perf_counter()
    for given in arguments:
        call(*given)
    return time.perf_counter() - start


def main() -> int:
    names = [f"asset_{number % 500}" for number in range(COUNT)]
    bare, handler = Bare(), InMemoryIOHandler()
    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        outputs = [(OutputContext(name), 1) for name in names]
        inputs = [(InputContext(name, "next"),) for name in names]
        for name, call, arguments in (
            ("bare store", bare.store, [(name, 1) for name in names]),
            ("our store", handler.handle_output, outputs),
            ("bare load", bare.load, [(name,) for name in names]),
            ("our load", handler.load_input, inputs),
        ):
            spent.setdefault(name, []).append(seconds(call, arguments))
    print(f"{COUNT:,} values, {ROUNDS} interleaved rounds")
    worse = 0
    for what, target in TARGETS.items():
        ours, theirs = min(spent[f"our {what}"]), min(spent[f"bare {what}"])
        median = statistics.median(spent[f"our {what}"]) / statistics.median(spent[f"bare {what}"])
        each = f"handler {ours / COUNT * 1e9:5.0f} ns   dictionary {theirs / COUNT * 1e9:4.0f} ns"
        print(
            f"  {what:<6} {each}   ratio {ours / theirs:.1f} (median {median:.1f}), wanted at most {target}"
        )
        worse += ours / theirs > target
    return int(worse > 0)


if __name__ == "__main__":
    raise SystemExit(main())
