"""Cost of the pickle handler in time and memory, against pickle and obstore alone.

The baseline is `obstore.put(store, path, pickle.dumps(value))` and `pickle.loads(obstore.get(...).bytes())`. The
handler does the same, and also computes a digest, appends a footer that names the asset, and verifies both before
it unpickles. Both write to a local folder. Memory is the peak of a separate process, above what it held before.

An array and many small tuples are also compared with `pickle.dump` and `pickle.load` of a file, in memory (tmpfs) where
the machine has one, in processor time.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import obstore
from harness import Report, run_interleaved
from obstore.store import LocalStore

from rivers_core import InputContext, OutputContext
from rivers_pickle import PickleIOHandler

ROUNDS = {"small": 2000, "large": 9}
PAUSE_S = 200e-6
# in multiples of pickle and obstore alone
TIME_TARGETS = {"write small": 2.0, "read small": 3.0, "write large": 1.25, "read large": 1.4}
# in multiples of `pickle.dump` and `pickle.load`
FILE_TARGETS = {"array": {"write": 1.15, "read": 1.25}, "tuples": {"write": 1.1, "read": 1.0}}
FILE_ROUNDS = 5
TUPLES = 2_000_000
TMPFS = Path("/dev/shm")
# in multiples of the value
MEMORY_TARGETS = {"write": 0.35, "read": 2.2}

Writer = Callable[[object], object]
Reader = Callable[[], object]


def make_value(size: str, megabytes: int) -> object:
    if size == "small":
        return {"rows": list(range(100)), "name": "orders", "rate": 0.25}
    return np.random.default_rng(0).integers(0, 255, size=megabytes << 20, dtype=np.uint8)


def contestants(folder: str) -> dict[str, tuple[Writer, Reader]]:
    """Return the writer and the reader of each contestant."""
    store, handler = LocalStore(folder), PickleIOHandler(LocalStore(folder), prefix="ours")

    def write_baseline(value: object) -> object:
        return obstore.put(store, "baseline/asset.pkl", pickle.dumps(value, protocol=5))

    def read_baseline() -> object:
        return pickle.loads(memoryview(obstore.get(store, "baseline/asset.pkl").bytes()))

    return {
        "ours": (
            lambda value: handler.handle_output(OutputContext("asset"), value),
            lambda: handler.load_input(InputContext("asset", "next")),
        ),
        "baseline": (write_baseline, read_baseline),
    }


def seconds(call: Callable[[], object]) -> float:
    # obstore is faster while its threads are still awake from the previous call, which favors the one that runs second
    resume = time.perf_counter() + PAUSE_S
    while time.perf_counter() < resume:
        pass
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_times(report: Report, size: str, rounds: int, megabytes: int) -> None:
    """Write and read one value, and report the median time of a call."""
    value = make_value(size, megabytes)
    spent: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        calls = contestants(folder)
        # without the garbage collections of run_interleaved, each of which takes longer than a small value
        for _, (name, (write, read)) in product(range(rounds), calls.items()):
            spent[f"write {name}"].append(seconds(lambda write=write: write(value)))
            spent[f"read {name}"].append(seconds(read))
    for operation in ("write", "read"):
        ours, theirs = (statistics.median(spent[f"{operation} {name}"]) for name in ("ours", "baseline"))
        report.ratio(f"{operation} a {size} value", ours, theirs, TIME_TARGETS[f"{operation} {size}"])


def measure_files(report: Report, name: str, value: object) -> None:
    """Write and read one value as a file, and report the processor time of the fastest call."""
    with tempfile.TemporaryDirectory(dir=TMPFS if TMPFS.is_dir() else None) as folder:
        handler, file = PickleIOHandler(folder), Path(folder, "plain.pkl")

        def write_plain() -> None:
            with file.open("wb") as stream:
                pickle.dump(value, stream, protocol=5)

        def read_plain() -> object:
            with file.open("rb") as stream:
                return pickle.load(stream)

        calls: dict[str, Callable[[], object]] = {
            "write ours": lambda: handler.handle_output(OutputContext("asset"), value),
            "write plain": write_plain,
            "read ours": lambda: handler.load_input(InputContext("asset", "next")),
            "read plain": read_plain,
        }
        spent = run_interleaved(
            {label: lambda call=call: processor_seconds(call) for label, call in calls.items()}, FILE_ROUNDS
        )
    for operation, target in FILE_TARGETS[name].items():
        ours, theirs = min(spent[f"{operation} ours"]), min(spent[f"{operation} plain"])
        report.ratio(f"{operation} {name}, against a file of pickle", ours, theirs, target)


def processor_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    result = call()
    seconds = time.process_time() - start
    del result
    return seconds


def print_memory_growth(name: str, operation: str, folder: str, megabytes: int) -> None:
    """Print by how many bytes the peak memory of this process grew; runs in a separate process."""
    write, read = contestants(folder)[name]
    value = make_value("large", megabytes) if operation == "write" else None
    before = peak_memory()
    result = write(value) if operation == "write" else read()
    print(peak_memory() - before)
    del result


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; ru_maxrss would include that of its parent before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure_memory(report: Report, megabytes: int) -> None:
    """Report the memory growth of writing and of reading a large value, relative to the value."""
    size = megabytes << 20
    with tempfile.TemporaryDirectory() as folder:
        for operation, target in MEMORY_TARGETS.items():
            for name in ("ours", "baseline"):
                command = [sys.executable, __file__, "--megabytes", str(megabytes)]
                command += ["--child", name, operation, folder]
                growth = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                report.ratio(
                    f"memory to {operation} a large value, {name}",
                    growth,
                    size,
                    target if name == "ours" else None,
                    quantities=f"{growth / 2**20:.0f} / {megabytes} MiB",
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--small-rounds", type=int, default=ROUNDS["small"])
    parser.add_argument("--child", nargs=3, metavar=("NAME", "OPERATION", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print_memory_growth(*arguments.child, arguments.megabytes)
        return 0
    report = Report(
        f"the pickle handler against pickle and obstore: a value of about 400 bytes, and {arguments.megabytes} MiB"
    )
    measure_times(report, "small", arguments.small_rounds, arguments.megabytes)
    measure_times(report, "large", ROUNDS["large"], arguments.megabytes)
    measure_files(report, "array", make_value("large", arguments.megabytes))
    measure_files(report, "tuples", [(number, "name") for number in range(TUPLES)])
    measure_memory(report, arguments.megabytes)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
