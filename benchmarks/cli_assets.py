"""Cost of `rivers assets` in a project of 1,000 assets that imports polars, against importing its definitions.

The command imports the definitions as well. Every figure is processor time of a fresh process with the start of
Python.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Report, run_interleaved

COUNT = 1000
TARGET = 1.5
RIVERS = str(Path(sys.executable).with_name("rivers"))
TOML = 'repository = "definitions:repo"\n'


def write_project(folder: Path, count: int) -> None:
    """Write a project whose assets form chains of ten."""
    lines = ["import polars as pl", "import rivers as rs", ""]
    for number in range(count):
        parameter = f"asset_{number - 1}: int" if number % 10 else ""
        lines += ["@rs.Asset", f"def asset_{number}({parameter}) -> int:", "    return 1", ""]
    names = ", ".join(f"asset_{number}" for number in range(count))
    lines.append(f"repo = rs.CodeRepository([{names}])")
    (folder / "definitions.py").write_text("\n".join(lines) + "\n")
    (folder / "rivers.toml").write_text(TOML)


def process_seconds(command: list[str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    report = Report(f"rivers assets over {COUNT:,} assets, fastest of {rounds} processes each")
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), COUNT)
        seconds = run_interleaved(
            {
                "definitions": lambda: process_seconds([sys.executable, "-c", "import definitions"], folder),
                "command": lambda: process_seconds([RIVERS, "assets"], folder),
            },
            rounds,
        )
    fastest = {name: min(measurements) for name, measurements in seconds.items()}
    report.ratio("rivers assets  :  import definitions", fastest["command"], fastest["definitions"], TARGET)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
