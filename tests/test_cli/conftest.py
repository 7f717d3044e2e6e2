"""Fixtures that run the command in this process, in a temporary project."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from rivers_cli.main import main
from rivers_core.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEFINITIONS = """
import rivers as rs

@rs.Asset(group="raw")
def orders() -> list[str]:
    print("fetching orders")
    return ["bread", "milk", "bread"]

@rs.Asset(group="answers")
def counts(orders: list[str]) -> dict[str, int]:
    return {name: orders.count(name) for name in orders}

@rs.Asset(group="answers")
def report(counts: dict[str, int]) -> str:
    return "\\n".join(f"{name}: {count}" for name, count in counts.items())

repo = rs.CodeRepository([orders, counts, report], jobs=[rs.Job("nightly", [orders, counts])])
"""

TOML = """
repository = "definitions:repo"
default_io_handler = "files"

[io_handlers.files]
use = "pickle"
store = "file:./data"

[io_handlers.other]
use = "pickle"
store = "file:./other"

[environments.prod.io_handlers.files]
store = "file:./prod"
"""


@dataclass(frozen=True)
class Result:
    """Result of a call."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


class Folder:
    """A folder with a project, in which the command runs."""

    def __init__(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capfd = capfd

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def files(self, folder: str = ".") -> list[str]:
        below = self.path / folder
        return sorted(path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file())

    def rivers(self, *arguments: str) -> Result:
        """Run the command without effects of earlier calls in this process."""
        self._capfd.readouterr()
        environment, path, modules = dict(os.environ), list(sys.path), dict(sys.modules)
        try:
            with pytest.raises(SystemExit) as end:
                main(list(arguments))
            out, err = self._capfd.readouterr()
            return Result(int(end.value.code or 0), out, err)
        finally:
            _restore(environment)
            sys.path[:] = path
            for name in set(sys.modules) - set(modules):
                if str(self.path) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]

    def ok(self, *arguments: str) -> Result:
        """Run the command, and require that it succeeds."""
        done = self.rivers(*arguments)
        assert done.code == 0, done.out + done.err
        return done


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the plugin registry and the terminal variables."""
    monkeypatch.setattr(registry, "_registry", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for variable in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Folder:
    """Create an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Folder(folder, capfd)


def _restore(environment: dict[str, str]) -> None:
    """Restore only what differs: threads of native libraries may read the environment at the same time."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@pytest.fixture
def project(empty: Folder) -> Folder:
    """Create a project with three assets, two handlers and two environments."""
    empty.write("rivers.toml", TOML)
    empty.write("definitions.py", DEFINITIONS)
    return empty


@pytest.fixture
def project_of(empty: Folder) -> Callable[[str], Folder]:
    """Return a function that creates a project with the given definitions."""

    def create(definitions: str, toml: str = TOML) -> Folder:
        empty.write("rivers.toml", toml)
        empty.write("definitions.py", f"import rivers as rs\n{definitions}")
        return empty

    return create


@pytest.fixture
def run(project: Folder) -> Folder:
    """Create a project whose assets are materialized."""
    project.ok("materialize")
    return project
