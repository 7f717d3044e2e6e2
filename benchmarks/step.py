"""Cost of a step, part by part, against a hand-written loop; and the cost that SQLite and observers add.

The loop calls the same functions, stores their values in a dictionary and appends a tuple to a list. The parts of
a step are measured separately, with the objects that the engine uses; the rest of the whole step is the engine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from harness import Report, run_interleaved
from peers.chain_functions import chain_functions

import rivers as rs
from rivers.storage import Event
from rivers_core import InputContext, OutputContext, hookimpl
from rivers_core.plugins import get_registry

COUNT = 1000
# in steps of the hand-written loop
PART_TARGETS = {"whole step": 24.0, "load": 2.0, "store": 3.5, "event": 4.0}
# in steps recorded in memory, and in steps without observers (by number of observers)
SQLITE_TARGET = 4.0
OBSERVER_TARGETS = {1: 1.15, 3: 1.35}

FUNCTIONS = chain_functions(COUNT)
NAMES = list(FUNCTIONS)
LINKS = [(name, FUNCTIONS[name], NAMES[index - 1] if index else None) for index, name in enumerate(NAMES)]


def loop() -> None:
    values: dict[str, int] = {}
    events: list[tuple[str, str | None, int]] = []
    for name, function, upstream in LINKS:
        values[name] = function() if upstream is None else function(values[upstream])
        events.append((name, upstream, time.time_ns()))


def call_functions() -> None:
    for _, function, upstream in LINKS:
        function(**({} if upstream is None else {upstream: 1}))


def loads(handler: rs.BaseIOHandler) -> Callable[[], None]:
    for name in NAMES:
        handler.handle_output(OutputContext(name), 1)

    def run() -> None:
        for name in NAMES:
            handler.load_input(InputContext(name, "next", {}, None, int))

    return run


def store_values(handler: rs.BaseIOHandler) -> None:
    for name in NAMES:
        handler.handle_output(OutputContext(name, {}, None, int), 1)


def record_events() -> None:
    storage = rs.Storage.memory()
    for name in NAMES:
        event = Event(
            "Materialization",
            run_id="run",
            asset_key=name,
            metadata={},
            data_version="1",
            handler="memory",
            step=name,
        )
        storage.record(event)


def chain(storage: rs.Storage) -> Callable[[], None]:
    repository = rs.CodeRepository([rs.Asset(function) for function in FUNCTIONS.values()], config=False)
    repository.resolve(storage=storage)

    def run() -> None:
        assert repository.materialize().success

    return run


def timer(call: Callable[[], None], clock: Callable[[], float] = time.process_time) -> Callable[[], float]:
    def measure() -> float:
        start = clock()
        call()
        return clock() - start

    return measure


def fastest(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the seconds per step of the fastest round."""
    measurements = run_interleaved(contestants, rounds, warm_up=3)
    return {name: min(seconds) / COUNT for name, seconds in measurements.items()}


def measure_parts(rounds: int) -> int:
    report = Report(f"a step against a step of a hand-written loop: chain of {COUNT:,}, fastest of {rounds}")
    handler = rs.InMemoryIOHandler()
    seconds = fastest(
        {
            "loop": timer(loop),
            "whole step": timer(chain(rs.Storage.memory())),
            "function call": timer(call_functions),
            "load": timer(loads(handler)),
            "store": timer(lambda: store_values(handler)),
            "event": timer(record_events),
        },
        rounds,
    )
    parts = ("function call", "load", "store", "event")
    seconds["engine"] = seconds["whole step"] - sum(seconds[part] for part in parts)
    for part in ("whole step", *parts, "engine"):
        report.ratio(part, seconds[part], seconds["loop"], PART_TARGETS.get(part))
    return report.exit_code


def measure_sqlite(rounds: int) -> int:
    report = Report(f"a step recorded in SQLite against memory: fastest of {rounds}, wall-clock time")
    with tempfile.TemporaryDirectory() as folder, rs.Storage.embedded(folder) as storage:
        contestants = {"memory": chain(rs.Storage.memory()), "SQLite": chain(storage)}
        timers = {name: timer(run, time.perf_counter) for name, run in contestants.items()}
        seconds = fastest(timers, rounds)
    report.ratio("whole step in SQLite", seconds["SQLite"], seconds["memory"], SQLITE_TARGET)
    return report.exit_code


def observer() -> Any:
    """Return a plugin that observes stored outputs and loaded inputs, and does almost nothing."""
    seen: list[str] = []

    @hookimpl
    def rivers_output_stored(context: OutputContext) -> None:
        seen.append(context.asset_name)

    @hookimpl
    def rivers_input_loaded(context: InputContext) -> None:
        seen.clear()

    return SimpleNamespace(rivers_output_stored=rivers_output_stored, rivers_input_loaded=rivers_input_loaded)


def with_observers(count: int) -> Callable[[], float]:
    run = timer(chain(rs.Storage.memory()))

    def measure() -> float:
        names = [f"observer-{number}" for number in range(count)]
        for name in names:
            get_registry().register(observer(), name)
        seconds = run()
        for name in names:
            get_registry().unregister(name)
        return seconds

    return measure


def measure_observers(rounds: int) -> int:
    report = Report(f"a step with observers of every load and store, against none: fastest of {rounds}")
    seconds = fastest({str(count): with_observers(count) for count in (0, 1, 3)}, rounds)
    for count, target in OBSERVER_TARGETS.items():
        report.ratio(f"number of observers: {count}", seconds[str(count)], seconds["0"], target)
    return report.exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    return max(measure_parts(rounds), measure_sqlite(rounds * 3 // 5), measure_observers(rounds))


if __name__ == "__main__":
    sys.exit(main())
