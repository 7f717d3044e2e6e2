"""Cost of importing rivers, of writing a plugin for it, and of listing the installed handlers.

Every figure is a fresh process, interleaved with its peer. Times are processor time, which other programs disturb
least; those of imports do not include a bare `python -c pass`. Memory is the peak of the process. The listed
distributions are generated in a temporary folder.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Report, run_interleaved

IMPORTS = {
    "bare": "pass",
    "pluggy": "import pluggy, dataclasses",
    "settings": "from pydantic_settings import BaseSettings",
    "plugin module": "from rivers_core import hookimpl, HandlerSpec",
    "core": "import rivers_core",
    "handler": "from rivers_core import BaseIOHandler",
    "rivers": "import rivers",
    "pipeline": "from rivers import Asset, CodeRepository",
}
# import, peer, and the targets for time and memory, in multiples of the peer
TARGETS = (
    ("plugin module", "pluggy", 1.3, 1.2),
    ("core", "settings", 0.05, 0.6),
    ("handler", "settings", 1.1, 1.1),
    ("rivers", "settings", 0.05, 0.6),
    ("pipeline", "settings", 2.0, 1.3),
)

# not getrusage: its ru_maxrss includes the memory of the parent before exec
PEAK_MEMORY = """
from pathlib import Path
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""

LISTING = """
import importlib.metadata, sys, time
import importlib_metadata, pluggy
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry

sys.path[:] = [{folder!r}]
if {ours}:
    registry = PluginRegistry()
    start = time.process_time()
    handlers = registry.handlers()
    first = time.process_time() - start
    start = time.process_time()
    for _ in range(100):
        registry.handlers()
    second = (time.process_time() - start) / 100
else:
    start = time.process_time()
    handlers = importlib.metadata.entry_points(group="rivers")
    first = second = time.process_time() - start
assert len(handlers) == 3, handlers
print(first, second)
"""
# distributions on the path, and the targets for the first and the second listing, in multiples of a bare scan
LISTING_TARGETS = ((44, 3.0, 0.006), (300, 1.4, 0.0015))


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def process_seconds(code: str) -> float:
    start = children_seconds()
    run(code)
    return children_seconds() - start


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_imports(rounds: int) -> int:
    report = Report(f"imports, fastest of {rounds} processes each, without the start of Python")
    measurements = run_interleaved(
        {name: lambda code=code: process_seconds(code) for name, code in IMPORTS.items()}, rounds
    )
    seconds = {name: min(times) - min(measurements["bare"]) for name, times in measurements.items()}
    kilobytes = {name: int(run(code + PEAK_MEMORY)) for name, code in IMPORTS.items()}
    for ours, theirs, target, _ in TARGETS:
        report.ratio(f"{IMPORTS[ours]}  :  {theirs}", seconds[ours], seconds[theirs], target)
    for ours, theirs, _, target in TARGETS:
        quantities = f"{kilobytes[ours] / 1024:.1f} / {kilobytes[theirs] / 1024:.1f} MiB"
        label = f"memory of {ours}  :  {theirs}"
        report.ratio(label, kilobytes[ours], kilobytes[theirs], target, quantities=quantities)
    return report.exit_code


def create_distributions(folder: Path, count: int) -> None:
    """Write metadata of installed distributions; every third has entry points, three of them a handler."""
    for number in range(count):
        info = folder / f"generated_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: generated-{number}\nVersion: 1.0\n")
        if number % 3:
            continue
        lines = ["[console_scripts]", f"generated-{number} = generated_{number}:main"]
        if number < 9:
            lines += ["", "[rivers]", f"generated_{number} = generated_{number}"]
            plugin = (
                "from rivers_core.hooks import HandlerSpec, hookimpl\n\n@hookimpl\ndef rivers_io_handlers():\n"
                f"    yield HandlerSpec('generated_{number}', 'generated_{number}.handler:Handler')\n"
            )
            (folder / f"generated_{number}.py").write_text(plugin)
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def measure_listing(rounds: int) -> int:
    report = Report(f"listing handlers, fastest of {rounds} processes each, 3 distributions have a handler")
    for count, first_target, second_target in LISTING_TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            create_distributions(Path(folder), count)
            listings: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
            for _ in range(rounds):
                for ours, times in listings.items():
                    first, second = run(LISTING.format(folder=folder, ours=ours)).split()
                    times.append((float(first), float(second)))
        scan = min(first for first, _ in listings[False])
        first = min(first for first, _ in listings[True])
        second = min(second for _, second in listings[True])
        report.ratio(f"{count} distributions, first  :  entry_points()", first, scan, first_target)
        report.ratio(f"{count} distributions, second  :  entry_points()", second, scan, second_target)
    return report.exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    return max(measure_imports(rounds), measure_listing(rounds * 3 // 2))


if __name__ == "__main__":
    sys.exit(main())
