"""Growth of the cost with the size of a project: assets, partitions, and both.

Every figure is the cost per item of a large case against that of a case a tenth as large: 1 means linear growth,
10 quadratic growth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from harness import Report
from peers.chain_functions import chain_functions

import rivers as rs

TARGET = 1.6
START = date(2000, 1, 1)

Costs = dict[str, float]


class Stopwatch:
    """Measure seconds per item, by operation."""

    def __init__(self, items: int) -> None:
        self._items = items
        self.costs: Costs = {}

    @contextmanager
    def __call__(self, operation: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.costs[operation] = (time.process_time() - start) / self._items


def days(count: int) -> rs.PartitionsDefinition:
    return rs.PartitionsDefinition.daily(START.isoformat(), (START + timedelta(days=count)).isoformat())


def chain_of_assets(count: int) -> Costs:
    """Resolve, run, select from, and query the status of a chain without partitions."""
    watch, last = Stopwatch(count), f"a{count - 1}"
    functions = chain_functions(count).values()
    with watch("define and resolve assets"):
        repository = rs.CodeRepository([rs.Asset(function) for function in functions], config=False)
        repository.resolve(storage=rs.Storage.memory())
    with watch("run all assets for the first time"):
        repository.materialize()
    with watch("select and run every other asset"):
        repository.materialize([f"a{number}" for number in range(0, count, 2)])
    with watch("select and run one asset with its upstream"):
        repository.materialize([last], include_upstream=True)
    with watch("query the status of all assets"):
        assert all(status.state == "fresh" for status in repository.status([last]))
        repository.status()
    with watch("run stale assets only"):
        repository.materialize(only_stale=True)
    return watch.costs


def many_days(count: int) -> Costs:
    """Run an asset with daily partitions, one that stores them in one call, and one that loads all of them."""

    @rs.Asset(partitions_def=days(count))
    def day() -> int:
        return 1

    @rs.Asset(partitions_def=days(count), partition_batches=True)
    def batch(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
        assert context.partition is not None
        return rs.PartitionedOutput({str(key): 1 for key in context.partition.keys})

    @rs.Asset
    def total(day: dict[str, int]) -> int:
        return sum(day.values())

    watch = Stopwatch(count)
    repository = rs.CodeRepository([day, batch, total], config=False).resolve(storage=rs.Storage.memory())
    with watch("store all days of an asset in one run"):
        repository.materialize([day], partition_key=days(count).get_partition_keys())
    with watch("store all days of an asset in one call"):
        repository.materialize([batch], partition_key=days(count).get_partition_keys())
    with watch("load all days of an asset"):
        repository.materialize([total])
    assert repository.load_node("total") == count
    return watch.costs


def chain_of_days(count: int) -> Costs:
    """Run a chain of twenty assets with daily partitions, one run per day."""
    assets = [rs.Asset(partitions_def=days(count))(function) for function in chain_functions(20).values()]
    repository = rs.CodeRepository(assets, config=False).resolve(storage=rs.Storage.memory())
    watch = Stopwatch(count * 20)
    with watch("run 20 assets, one run per day"):
        for key in days(count).get_partition_keys():
            repository.materialize(partition_key=key)
    with watch("query the status of all days of 20 assets"):
        assert len(repository.status()) == count * 20
    return watch.costs


# each case with its small and its large size
CASES: tuple[tuple[Callable[[int], Costs], int, int], ...] = (
    (chain_of_assets, 500, 5000),
    (many_days, 366, 3660),
    (chain_of_days, 37, 366),
)


def lowest_costs(case: Callable[[int], Costs], count: int, rounds: int) -> Costs:
    measurements = [case(count) for _ in range(rounds)]
    return {operation: min(costs[operation] for costs in measurements) for operation in measurements[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shrink", type=int, default=1, help="divide every size by this number")
    arguments = parser.parse_args()
    exit_code = 0
    for case, *sizes in CASES:
        small, large = (size // arguments.shrink for size in sizes)
        report = Report(f"cost per item of {large:,} against {small:,}, fastest of {arguments.rounds}")
        small_costs, large_costs = (lowest_costs(case, size, arguments.rounds) for size in (small, large))
        for operation, cost in large_costs.items():
            report.ratio(operation, cost, small_costs[operation], TARGET)
        exit_code = max(exit_code, report.exit_code)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
