"""What a step costs, part by part, against a loop written by hand; and what SQLite and observers add.

The loop calls the same functions, keeps their values in a dictionary and appends a tuple to a list. The parts of
a step are measured one by one with the objects that the engine uses; what is left of the whole is the engine's own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from measuring import Report, in_turns
from peers.chain_functions import chain_functions

import rivers as rs
from rivers.storage import Event
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.hooks import hookimpl
from rivers_core.plugins import get_registry

COUNT = 1000
ROUNDS = 25
SQLITE_ROUNDS = 15
# the most that each may cost, in steps of the loop by hand; then what recording elsewhere and watching may add
WANTED = {"whole step": 24.0, "load": 2.0, "store": 3.5, "event": 4.0}
WANTED_SQLITE = 4.0
WANTED_OBSERVED = {1: 1.15, 3: 1.35}

FUNCTIONS = chain_functions(COUNT)
NAMES = list(FUNCTIONS)
LINKS = [(name, FUNCTIONS[name], NAMES[place - 1] if place else None) for place, name in enumerate(NAMES)]


def by_hand() -> None:
    values: dict[str, int] = {}
    history: list[tuple[str, str | None, int]] = []
    for name, function, before in LINKS:
        values[name] = function() if before is None else function(values[before])
        history.append((name, before, time.time_ns()))


def calls() -> None:
    for _, function, before in LINKS:
        function(**({} if before is None else {before: 1}))


def loads(handler: rs.BaseIOHandler) -> Callable[[], None]:
    for name in NAMES:
        handler.handle_output(OutputContext(name), 1)

    def run() -> None:
        for name in NAMES:
            handler.load_input(InputContext(name, "next", {}, None, int))

    return run


def stores(handler: rs.BaseIOHandler) -> None:
    for name in NAMES:
        handler.handle_output(OutputContext(name, {}, None, int), 1)


def events() -> None:
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


def timed(call: Callable[[], None], clock: Callable[[], float] = time.process_time) -> Callable[[], float]:
    def measure() -> float:
        start = clock()
        call()
        return clock() - start

    return measure


def fastest(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    return {name: min(spent) / COUNT for name, spent in in_turns(contestants, rounds, warm_up=3).items()}


def parts() -> int:
    report = Report(
        f"a step, against a step of a loop by hand: chain of {COUNT:,}, fastest of {ROUNDS} in turns"
    )
    handler = rs.InMemoryIOHandler()
    spent = fastest(
        {
            "by hand": timed(by_hand),
            "whole step": timed(chain(rs.Storage.memory())),
            "function call": timed(calls),
            "load": timed(loads(handler)),
            "store": timed(lambda: stores(handler)),
            "event": timed(events),
        },
        ROUNDS,
    )
    own = "the engine's own"
    spent[own] = spent["whole step"] - sum(
        spent[part] for part in ("function call", "load", "store", "event")
    )
    for part in ("whole step", "function call", "load", "store", "event", own):
        report.ratio(part, spent[part], spent["by hand"], WANTED.get(part))
    return report.exit_code


def recorded_in_sqlite() -> int:
    report = Report(
        f"a step recorded in SQLite, against memory: fastest of {SQLITE_ROUNDS} in turns, by the wall clock"
    )
    with tempfile.TemporaryDirectory() as folder, rs.Storage.embedded(folder) as storage:
        contestants = {"memory": chain(rs.Storage.memory()), "SQLite": chain(storage)}
        clocked = {name: timed(run, time.perf_counter) for name, run in contestants.items()}
        spent = fastest(clocked, SQLITE_ROUNDS)
    report.ratio("whole step", spent["SQLite"], spent["memory"], WANTED_SQLITE)
    return report.exit_code


def watching() -> Any:
    """A plugin that watches values come and go, and does next to nothing."""
    seen: list[str] = []

    @hookimpl
    def rivers_output_stored(context: OutputContext) -> None:
        seen.append(context.asset_name)

    @hookimpl
    def rivers_input_loaded(context: InputContext) -> None:
        seen.clear()

    return SimpleNamespace(rivers_output_stored=rivers_output_stored, rivers_input_loaded=rivers_input_loaded)


def watched(count: int) -> Callable[[], float]:
    run = timed(chain(rs.Storage.memory()))

    def measure() -> float:
        names = [f"watcher-{number}" for number in range(count)]
        for name in names:
            get_registry().register(watching(), name)
        spent = run()
        for name in names:
            get_registry().unregister(name)
        return spent

    return measure


def observed() -> int:
    report = Report(f"a step that plugins watch, against one that none does: fastest of {ROUNDS} in turns")
    spent = fastest({str(count): watched(count) for count in (0, 1, 3)}, ROUNDS)
    for count, wanted in WANTED_OBSERVED.items():
        report.ratio(f"{count} observers of every load and store", spent[str(count)], spent["0"], wanted)
    return report.exit_code


def main() -> int:
    return max(parts(), recorded_in_sqlite(), observed())


if __name__ == "__main__":
    sys.exit(main())
