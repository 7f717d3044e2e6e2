"""Run every block of every documentation page.

The blocks of a page run in order in one empty folder (those of docs/examples/ in a copy of the project):

- `python` blocks run as scripts. With a `title="name.py"` they are written to that file and imported, and
  later blocks can import or run it. `toml`, `json`, `yaml`, `ini` and `dotenv` with a title are written, too.
- `console` and `bash` blocks run in a shell. `pip install` of a distribution of this checkout is not
  run, only its name and extras are checked; `pip install .` installs the folder; `make` targets must exist.
  A block that ends with `cd` changes the folder of the following blocks.
- `text title="output"` must match the output of the previous block (`...` matches anything).
- A comment directly above a block changes that: `<!-- not run: reason -->`, `<!-- fails: part of the error -->`.

mypy and pyright check the Python blocks, see write_blocks.py; `<!-- untyped: reason -->` excepts one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_repository.checkout import DISTRIBUTIONS, ROOT

if TYPE_CHECKING:
    from tests.program_server import ProgramServer

RUNNER = Path(__file__).with_name("run_page.py")
EXAMPLES = ROOT / "docs" / "examples"

SCRIPTS = {"python"}
SHELLS = {"bash", "console"}
FILES = {"toml", "json", "yaml", "ini", "dotenv"}
SHOWN = {"text", "mermaid", "diff", "sql", "dockerfile"}

RUN = {"rivers", "python", "pytest", "pip", "cat", "ls", "cd", "mkdir", "export", "echo"}
NOT_RUN = {"make", "git"}

# The programs of these pages are started; those of other pages are forked, see tests/program_server.py.
STARTED = {"README.md", "docs/getting-started.md"}

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[\w-]*) *(?P<rest>[^`\n]*)\n(?P<source>.*?)^(?P=indent)``` *$",
    re.MULTILINE | re.DOTALL,
)
TITLE = re.compile(r'title="([^"]+)"')
MARKER = re.compile(r"<!-- *(not run|fails|untyped): *(.+?) *-->\s*\Z")


@dataclass(frozen=True)
class Block:
    kind: str
    title: str | None
    source: str
    line: int
    fails: str | None
    not_run: str | None
    untyped: str | None

    @property
    def action(self) -> str | None:
        """The action of the runner: "run", "write" or "compare"; None if the block is not executed."""
        if self.not_run:
            return None
        if self.kind in SHELLS:
            return "run" if any(first_word(command) not in NOT_RUN for command in self.commands) else None
        if self.title == "output":
            return "compare"
        if self.title and self.kind in SCRIPTS | FILES:
            return "write"
        return "run" if self.kind in SCRIPTS else None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block; in a `console` block, the lines after a `$`."""
        text = self.source.replace("\\\n", " ")
        if self.kind == "console":
            return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def first_word(command: str) -> str:
    words = [word for word in shlex.split(command, comments=True) if not re.match(r"\w+=", word)]
    return words[0] if words else ""


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    blocks = []
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        source = "".join(line[indent:] or "\n" for line in match["source"].splitlines(keepends=True))
        preceding = text[: match.start()].rstrip()
        marker = MARKER.search(preceding[preceding.rfind("\n") + 1 :])
        note = {marker[1]: marker[2]} if marker else {}
        title = TITLE.search(match["rest"])
        line = text.count("\n", 0, match.start("source"))
        blocks.append(
            Block(
                match["kind"],
                title and title[1],
                source,
                line,
                note.get("fails"),
                note.get("not run"),
                note.get("untyped"),
            )
        )
    return blocks


def all_pages() -> list[Path]:
    packages = [path.with_name("README.md") for path in ROOT.glob("*/pyproject.toml")]
    plugins = [path.with_name("README.md") for path in ROOT.glob("plugins/*/pyproject.toml")]
    general = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    docs = sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "benchmarks").rglob("*.md"))
    return [page for page in [*general, *packages, *plugins, *docs] if page.exists()]


PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in all_pages()]


def distributions() -> dict[str, set[str]]:
    """Return the distributions of this checkout with their extras."""
    extras = {}
    for distribution in DISTRIBUTIONS:
        project = distribution.project
        extras[project["name"]] = set(project.get("optional-dependencies", {}))
    return extras


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_page_blocks_have_known_kinds(page: Path) -> None:
    for block in blocks_of(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        known = SCRIPTS | SHELLS | FILES | SHOWN
        assert block.kind in known, f"{where}: kind must be one of {sorted(known)}, got {block.kind!r}"
        for command in block.commands if block.kind in SHELLS else []:
            word = first_word(command)
            assert block.not_run or word in RUN | NOT_RUN, (
                f"{where}: the tests do not support the command {word!r}"
            )


@pytest.mark.parametrize("page", PAGES)
def test_page_blocks_are_closed(page: Path) -> None:
    fences = [line for line in page.read_text().splitlines() if line.lstrip().startswith("```")]
    assert len(fences) == 2 * len(blocks_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_page_commands_name_existing_targets(page: Path) -> None:
    known = distributions()
    for block in blocks_of(page):
        for command in block.commands if block.kind in SHELLS else []:
            for name, extras in re.findall(r"\b(rivers(?:-\w+)?)(?:\[([\w,]+)\])?(?=\s|$|['\"])", command):
                if "pip install" in command:
                    assert name in known, f"pip install {name}: distribution not found"
                    assert set(filter(None, extras.split(","))) <= known[name], command
            if first_word(command) == "make":
                targets = {word for word in command.split()[1:] if "=" not in word}
                assert targets <= make_targets(), command


@pytest.mark.parametrize("page", PAGES)
def test_page_links_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: link target {target} not found"


def runnable(blocks: list[Block]) -> list[dict[str, object]]:
    tasks = []
    for block in blocks:
        if block.action is None:
            continue
        source = (
            "\n".join(without_download(command) for command in block.commands)
            if block.kind in SHELLS
            else block.source
        )
        tasks.append(asdict(block) | {"action": block.action, "source": source})
    return tasks


def without_download(command: str) -> str:
    """Return the command to run: `:` for a `pip install` from the index, which is installed already."""
    if first_word(command) != "pip":
        return command
    downloads = not {".", "-e"} & set(command.split())
    return ":" if downloads else command.replace(" -e ", " ")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_page_blocks_run(page: Path, tmp_path: Path, program_server: ProgramServer) -> None:
    tasks = runnable(blocks_of(page))
    if not tasks:
        return
    folder = tmp_path / "reader"
    if page.is_relative_to(EXAMPLES):
        shutil.copytree(
            page.parent,
            folder,
            ignore=shutil.ignore_patterns("__pycache__", "data", "lake", ".rivers", "reports"),
        )
    else:
        folder.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RIVERS_", "PYTEST_"))
    }
    environment["PYTHONPATH"] = os.pathsep.join([".", "src", ".site"])
    environment["COLUMNS"] = "120"
    environment["PYTEST_ADDOPTS"] = "-p no:randomly -p no:cacheprovider -p no:rerunfailures"
    task = json.dumps({"page": str(page.relative_to(ROOT)), "blocks": tasks})
    run = run_started if page.relative_to(ROOT).as_posix() in STARTED else program_server.run
    programs = Path(sys.executable).parent if run is run_started else program_server.folder
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    process = run(["python", str(RUNNER)], stdin=task, cwd=folder, env=environment)
    assert process.returncode == 0, process.stdout + process.stderr


def run_started(
    command: list[str], stdin: str, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a page with interpreters that are started, as its readers start them."""
    return subprocess.run(
        [sys.executable, *command[1:]], input=stdin, cwd=cwd, env=env, text=True, capture_output=True
    )
