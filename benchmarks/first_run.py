"""Cost of a first run: a whole process that imports rivers, defines two assets and runs them in memory.

The peer is the published framework of the same name, which runs the same program. Processor time is that of the
process, all threads included; wall-clock time is what the caller waits for.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

from harness import Report, run_interleaved

TARGET = 0.4
PROGRAM = """
import rivers as rs

@rs.Asset
def numbers() -> int:
    return 1

@rs.Asset
def total(numbers: int) -> int:
    return numbers + 1

repository = rs.CodeRepository(assets=[numbers, total])
repository.resolve(storage=rs.Storage.memory())
assert repository.materialize().success
"""
PUBLISHED = Path(__file__).parents[1] / ".venvs" / "published" / "bin" / "python"


def measure(python: str, clock: str) -> float:
    """Return the processor or wall-clock time of a fresh process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([python, "-I", "-c", PROGRAM], check=True, capture_output=True)
    if clock == "wall":
        return time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    report = Report(
        f"first run of two assets against the published framework, fastest of {rounds} processes each"
    )
    pythons = {"ours": sys.executable, "published": str(PUBLISHED)}
    for clock, description in (("cpu", "processor time"), ("wall", "wall-clock time")):
        seconds = run_interleaved(
            {
                name: lambda python=python, clock=clock: measure(python, clock)
                for name, python in pythons.items()
            },
            rounds,
        )
        fastest = {name: min(measurements) for name, measurements in seconds.items()}
        target = TARGET if clock == "cpu" else None
        report.ratio(description, fastest["ours"], fastest["published"], target)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
