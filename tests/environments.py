"""Fresh environments with wheels of this checkout, without a package index."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from tests.test_repository.checkout import DISTRIBUTIONS, normalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = {item.name: item for item in DISTRIBUTIONS}


def build_wheel(folder: Path, target: Path) -> Path:
    """Build the wheel of a project in this process; an interpreter for each one takes longer than the build."""
    return Path(next(iter(WheelBuilder(str(folder)).build(directory=str(target)))))


def build_source_archive(folder: Path, target: Path) -> Path:
    """Build the source archive of a project in this process."""
    return Path(next(iter(SdistBuilder(str(folder)).build(directory=str(target)))))


def run(command: list[str], folder: Path) -> str:
    """Run a command without the settings of this process, and return its output."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RIVERS_", "PYTEST_", "PYTHON"))
    }
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
    return process.stdout


class Environment:
    """A virtual environment with wheels of this checkout, and links to the libraries that they declare.

    pip installs the wheels and resolves what they require, among other wheels of this checkout and the libraries
    that are linked. A library that a wheel does not declare is not there.

    Args:
        folder: Folder of the environment.
        names: Distributions to install.
    """

    def __init__(self, folder: Path, *names: str) -> None:
        venv.create(folder)
        self.python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
        self.wheels = folder / "wheels"
        self._site = Path(
            run([self.python, "-c", "import site; print(site.getsitepackages()[-1])"], folder).strip()
        )
        required = [*_required(names)]
        for name in required:
            if name in OURS:
                build_wheel(OURS[name].folder, self.wheels)
            else:
                self._link(name)
        self.install(*names)

    def install(self, *requirements: str) -> None:
        """Install distributions from wheels of this checkout, or from the path of another wheel."""
        options = [
            "-q",
            "--disable-pip-version-check",
            "--no-compile",
            "--no-index",
            "--find-links",
            str(self.wheels),
        ]
        run(
            [sys.executable, "-m", "pip", "--python", self.python, "install", *options, *requirements],
            self.wheels,
        )

    def program(self, name: str) -> str:
        """Return the path of a command that a wheel installed."""
        return str(Path(self.python).with_name(name))

    def run(self, folder: Path, *arguments: str) -> str:
        """Run the interpreter with arguments, and return the output."""
        return run([self.python, *arguments], folder)

    def _link(self, name: str) -> None:
        library = distribution(name)
        entries = {file.parts[0] for file in library.files or []} - {"..", "__pycache__"}
        for entry in entries:
            link = self._site / entry
            if not link.exists():
                link.symlink_to(Path(str(library.locate_file(entry))))


def _required(names: tuple[str, ...]) -> Iterator[str]:
    """Yield distributions and everything that they require, once each."""
    pending = [Requirement(name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    yielded: set[str] = set()
    while pending:
        requirement = pending.pop()
        name = normalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        if name not in yielded:
            yielded.add(name)
            yield name
        for line in distribution(name).requires or []:
            dependency = Requirement(line)
            contexts = [{"extra": extra} for extra in ("", *requirement.extras)]
            if dependency.marker is None or any(map(dependency.marker.evaluate, contexts)):
                pending.append(dependency)
