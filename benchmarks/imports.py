"""What it costs to import rivers, to write a plugin for it, and to list what is installed.

Every figure is a fresh process, in turns with its peer. Times are those of the processor, which other work on the
machine disturbs least; those of imports are beyond a bare `python -c pass`. Memory is the most that the process ever
held. Distributions are made up in a folder of their own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Report, in_turns

ROUNDS = 10
LISTING_ROUNDS = 15

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
# what is measured, its peer, and the most that it may cost in time and in memory, in multiples of the peer
WANTED = (
    ("plugin module", "pluggy", 1.3, 1.2),
    ("core", "settings", 0.2, 0.6),
    ("handler", "settings", 1.1, 1.1),
    ("rivers", "settings", 0.2, 0.6),
    ("pipeline", "settings", 2.0, 1.3),
)

MEMORY = """
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
    found = registry.handlers()
    first = time.process_time() - start
    start = time.process_time()
    for _ in range(100):
        registry.handlers()
    second = (time.process_time() - start) / 100
else:
    start = time.process_time()
    found = importlib.metadata.entry_points(group="rivers")
    first = second = time.process_time() - start
assert len(found) == 3, found
print(first, second)
"""
# distributions on the path; the first listing and the second one, in multiples of a bare scan for entry points
LISTED = ((44, 3.0, 0.006), (300, 1.4, 0.0015))


def run(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return answer.stdout


def timed(code: str) -> float:
    before = children_seconds()
    run(code)
    return children_seconds() - before


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def imports() -> int:
    report = Report(f"imports, fastest of {ROUNDS} processes each, beyond bare python")
    spent = in_turns({name: lambda code=code: timed(code) for name, code in IMPORTS.items()}, ROUNDS)
    seconds = {name: min(each) - min(spent["bare"]) for name, each in spent.items()}
    kilobytes = {name: int(run(code + MEMORY)) for name, code in IMPORTS.items()}
    for ours, theirs, wanted, _ in WANTED:
        report.ratio(f"{IMPORTS[ours]}  :  {theirs}", seconds[ours], seconds[theirs], wanted)
    for ours, theirs, _, wanted in WANTED:
        shown = f"{kilobytes[ours] / 1024:.1f} / {kilobytes[theirs] / 1024:.1f} MiB"
        report.ratio(
            f"memory of the same  :  {theirs}", kilobytes[ours], kilobytes[theirs], wanted, shown=shown
        )
    return report.exit_code


def make_distributions(folder: Path, count: int) -> None:
    """Installed metadata of `count` distributions; every third announces something, three of them a handler."""
    for number in range(count):
        info = folder / f"made_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-{number}\nVersion: 1.0\n")
        if number % 3:
            continue
        lines = ["[console_scripts]", f"made-{number} = made_{number}:main"]
        if number < 9:
            lines += ["", "[rivers]", f"made_{number} = made_{number}"]
            plugin = (
                "from rivers_core.hooks import HandlerSpec, hookimpl\n\n@hookimpl\ndef rivers_io_handlers():\n"
                f"    yield HandlerSpec('made_{number}', 'made_{number}.handler:Made')\n"
            )
            (folder / f"made_{number}.py").write_text(plugin)
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def listing() -> int:
    report = Report(
        f"listing handlers, fastest of {LISTING_ROUNDS} processes each, 3 of the distributions have one"
    )
    for count, wanted_first, wanted_second in LISTED:
        with tempfile.TemporaryDirectory() as name:
            make_distributions(Path(name), count)
            answers: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
            for _ in range(LISTING_ROUNDS):
                for ours, kept in answers.items():
                    first, second = run(LISTING.format(folder=name, ours=ours)).split()
                    kept.append((float(first), float(second)))
        scan = min(first for first, _ in answers[False])
        first = min(first for first, _ in answers[True])
        second = min(second for _, second in answers[True])
        report.ratio(f"{count} distributions, first  :  entry_points()", first, scan, wanted_first)
        report.ratio(f"{count} distributions, second  :  entry_points()", second, scan, wanted_second)
    return report.exit_code


def main() -> int:
    return max(imports(), listing())


if __name__ == "__main__":
    sys.exit(main())
