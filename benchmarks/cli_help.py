"""What `rivers --help` costs against importing the library that it stands on.

Every figure is a fresh process, in turns with its peer, in seconds of the processor, start of Python included.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Report, in_turns

ROUNDS = 15
WANTED = 2.5
RIVERS = str(Path(sys.executable).with_name("rivers"))

TOML = """
repository = "definitions:repo"
[io_handlers.files]
use = "pickle"
store = "file:./data"
[plugins]
allow = ["rivers-*"]
"""


def timed(command: list[str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    report = Report(f"rivers --help, a process each, the best of {ROUNDS}")
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as project:
        (Path(project) / "rivers.toml").write_text(TOML)
        spent = in_turns(
            {
                "typer": lambda: timed([sys.executable, "-c", "import typer"], empty),
                "help": lambda: timed([RIVERS, "--help"], empty),
                "help in a project": lambda: timed([RIVERS, "--help"], project),
                "help of a command": lambda: timed([RIVERS, "materialize", "--help"], project),
            },
            ROUNDS,
        )
    best = {name: min(each) for name, each in spent.items()}
    for name, wanted in (("help", WANTED), ("help in a project", WANTED), ("help of a command", None)):
        report.ratio(f"{name}  :  import typer", best[name], best["typer"], wanted)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
