"""Cost of `rivers --help`, against importing the library that the command is built on.

Every figure is processor time of a fresh process, interleaved with its peer, start of Python included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Report, run_interleaved

TARGET = 1.5
RIVERS = str(Path(sys.executable).with_name("rivers"))

TOML = """
repository = "definitions:repo"
[io_handlers.files]
use = "pickle"
store = "file:./data"
[plugins]
allow = ["rivers-*"]
"""


def process_seconds(command: list[str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    report = Report(f"rivers --help, fastest of {rounds} processes each")
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as project:
        (Path(project) / "rivers.toml").write_text(TOML)
        seconds = run_interleaved(
            {
                "typer": lambda: process_seconds([sys.executable, "-c", "import typer"], empty),
                "help": lambda: process_seconds([RIVERS, "--help"], empty),
                "help in a project": lambda: process_seconds([RIVERS, "--help"], project),
                "help of a command": lambda: process_seconds([RIVERS, "materialize", "--help"], project),
            },
            rounds,
        )
    fastest = {name: min(measurements) for name, measurements in seconds.items()}
    for name, target in (("help", TARGET), ("help in a project", TARGET), ("help of a command", None)):
        report.ratio(f"{name}  :  import typer", fastest[name], fastest["typer"], target)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
