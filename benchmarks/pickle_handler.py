"""What the pickle handler costs, in time and in memory, against pickle and obstore by hand.

By hand: `obstore.put(store, path, pickle.dumps(value))` and `pickle.loads(obstore.get(...).bytes())`. The handler
does the same and on the way hashes, seals, names the asset in a footer, and checks all of it before unpickling.
Both write to a folder. Memory is the peak of a process of its own, beyond what it held before.
"""

from __future__ import annotations

import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore
from obstore.store import LocalStore

from rivers_core.contexts import InputContext, OutputContext
from rivers_pickle import PickleIOHandler

LARGE_MB = 200
ROUNDS = {"small": 2000, "large": 9}
PAUSE_S = 200e-6
# what is wanted, in multiples of pickle and obstore by hand
SLOWEST = {"write small": 2.0, "read small": 3.0, "write large": 1.25, "read large": 1.4}
# what is wanted of memory, in multiples of the value
PEAK = {"write": 0.35, "read": 2.2}


def value(kind: str) -> object:
    if kind == "small":
        return {"rows": list(range(100)), "name": "orders", "rate": 0.25}
    return np.random.default_rng(0).integers(0, 255, size=LARGE_MB << 20, dtype=np.uint8)


def contestants(folder: str) -> dict[str, tuple[Callable[[object], object], Callable[[], object]]]:
    store, handler = LocalStore(folder), PickleIOHandler(LocalStore(folder), prefix="ours")

    def write_by_hand(obj: object) -> object:
        return obstore.put(store, "hand/asset.pkl", pickle.dumps(obj, protocol=5))

    def read_by_hand() -> object:
        return pickle.loads(memoryview(obstore.get(store, "hand/asset.pkl").bytes()))

    return {
        "ours": (
            lambda obj: handler.handle_output(OutputContext("asset"), obj),
            lambda: handler.load_input(InputContext("asset", "next")),
        ),
        "by hand": (write_by_hand, read_by_hand),
    }


def seconds(kind: str) -> dict[str, dict[str, float]]:
    """The median seconds of one call of each, in turns."""
    spent: dict[str, dict[str, list[float]]] = {"write": {}, "read": {}}
    obj = value(kind)
    with tempfile.TemporaryDirectory() as folder:
        named = contestants(folder)
        for _ in range(ROUNDS[kind]):
            for name, (write, read) in named.items():
                spent["write"].setdefault(name, []).append(timed(lambda write=write: write(obj)))
                spent["read"].setdefault(name, []).append(timed(read))
    return {
        what: {name: statistics.median(times) for name, times in each.items()} for what, each in spent.items()
    }


def timed(call: Callable[[], object]) -> float:
    # obstore is quicker while its threads are still awake from the last call, which says nothing about either side
    rested = time.perf_counter() + PAUSE_S
    while time.perf_counter() < rested:
        pass
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_beyond(name: str, what: str, folder: str) -> None:
    """Print by how many bytes the process grew at most; run in a process of its own."""
    write, read = contestants(folder)[name]
    obj = value("large") if what == "write" else None
    before = highest_memory()
    kept = write(obj) if what == "write" else read()
    print(highest_memory() - before)
    del kept


def highest_memory() -> int:
    """The most memory that this process ever held, in bytes; getrusage would count what its parent held."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def peaks(what: str, folder: str) -> dict[str, float]:
    """How much each grew, in multiples of the value."""
    grown = {}
    for name in ("ours", "by hand"):
        command = [sys.executable, str(Path(__file__)), "peak", name, what, folder]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        grown[name] = int(answer) / (LARGE_MB << 20)
    return grown


def main() -> int:
    worse = 0
    print(f"median time of one call, for a value of some 400 bytes and an array of {LARGE_MB} MB")
    for kind in ROUNDS:
        for what, spent in seconds(kind).items():
            ratio, wanted = spent["ours"] / spent["by hand"], SLOWEST[f"{what} {kind}"]
            times = f"handler {spent['ours'] * 1e3:8.3f} ms   by hand {spent['by hand'] * 1e3:8.3f} ms"
            print(f"  {what:<5} {kind}   {times}   ratio {ratio:.2f}, wanted at most {wanted}")
            worse += ratio > wanted
    print(f"memory beyond what was there, for an array of {LARGE_MB} MB, in multiples of it")
    with tempfile.TemporaryDirectory() as folder:
        for what, wanted in PEAK.items():
            grown = peaks(what, folder)
            print(
                f"  {what:<5} handler {grown['ours']:.2f}   by hand {grown['by hand']:.2f}, wanted at most {wanted}"
            )
            worse += grown["ours"] > wanted
    return int(worse > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        peak_beyond(*sys.argv[2:])
    else:
        raise SystemExit(main())
