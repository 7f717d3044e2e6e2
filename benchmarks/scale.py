"""Whether what grows with a project grows no faster than the project: assets, partitions, and both.

Every figure is the cost per item of a large case against that of one a tenth as large: 1 means that it grows evenly,
10 that it grows with the square.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from measuring import Report
from peers.chain_functions import chain_functions

import rivers as rs

ROUNDS = 3
EVEN = 1.6
START = date(2000, 1, 1)

Costs = dict[str, float]


class Stopwatch:
    """Seconds per item, by what was done."""

    def __init__(self, items: int) -> None:
        self._items = items
        self.costs: Costs = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.costs[what] = (time.process_time() - start) / self._items


def days(count: int) -> rs.PartitionsDefinition:
    return rs.PartitionsDefinition.daily(START.isoformat(), (START + timedelta(days=count)).isoformat())


def chain_of_assets(count: int) -> Costs:
    """A chain without partitions: binding it, picking parts of it, asking how it is."""
    watch, last = Stopwatch(count), f"a{count - 1}"
    functions = chain_functions(count).values()
    with watch("declaring and resolving assets"):
        repository = rs.CodeRepository([rs.Asset(function) for function in functions], config=False)
        repository.resolve(storage=rs.Storage.memory())
    with watch("running all, for the first time"):
        repository.materialize()
    with watch("selecting every other asset, and running them"):
        repository.materialize([f"a{number}" for number in range(0, count, 2)])
    with watch("selecting one with all that it needs, and running that"):
        repository.materialize([last], include_upstream=True)
    with watch("asking which assets are fresh"):
        assert all(status.state == "fresh" for status in repository.status([last]))
        repository.status()
    with watch("running what is stale"):
        repository.materialize(only_stale=True)
    return watch.costs


def many_days(count: int) -> Costs:
    """One asset with daily partitions, and one that takes all of its days at once."""

    @rs.Asset(partitions_def=days(count))
    def day(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
        assert context.partition is not None
        return rs.PartitionedOutput({str(key): 1 for key in context.partition.keys})

    @rs.Asset
    def total(day: dict[str, int]) -> int:
        return sum(day.values())

    watch = Stopwatch(count)
    repository = rs.CodeRepository([day, total], config=False).resolve(storage=rs.Storage.memory())
    with watch("storing all days of an asset in one run"):
        repository.materialize([day], partition_key=days(count).get_partition_keys())
    with watch("loading all days of an asset"):
        repository.materialize([total])
    assert repository.load_node("total") == count
    return watch.costs


def chain_of_days(count: int) -> Costs:
    """Twenty assets in a chain with daily partitions, run day by day."""
    assets = [rs.Asset(partitions_def=days(count))(function) for function in chain_functions(20).values()]
    repository = rs.CodeRepository(assets, config=False).resolve(storage=rs.Storage.memory())
    watch = Stopwatch(count * 20)
    with watch("running 20 assets for one day after the other"):
        for key in days(count).get_partition_keys():
            repository.materialize(partition_key=key)
    with watch("asking which days of 20 assets are fresh"):
        assert len(repository.status()) == count * 20
    return watch.costs


# each case, with the small and the large number of what it grows with
CASES: tuple[tuple[Callable[[int], Costs], int, int], ...] = (
    (chain_of_assets, 500, 5000),
    (many_days, 366, 3660),
    (chain_of_days, 37, 366),
)


def least(case: Callable[[int], Costs], count: int) -> Costs:
    rounds = [case(count) for _ in range(ROUNDS)]
    return {what: min(costs[what] for costs in rounds) for what in rounds[0]}


def main() -> int:
    exit_code = 0
    for case, small, large in CASES:
        report = Report(f"cost per item of {large:,} against {small:,}, fastest of {ROUNDS}")
        few, many = least(case, small), least(case, large)
        for what, cost in many.items():
            report.ratio(what, cost, few[what], EVEN)
        exit_code = max(exit_code, report.exit_code)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
