"""Wheels in a fresh environment: rivers-json, and what `rivers new` writes."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.test_repository.checkout import DISTRIBUTIONS

pytestmark = [pytest.mark.timeout(600), pytest.mark.server]

USE = """
from rivers_core import InputContext, OutputContext, load_config

handler = load_config().handler("documents")
handler.handle_output(OutputContext("orders"), {"ada": 30})
print(type(handler).__name__, handler.load_input(InputContext("orders", "report")))
"""


def run(command, folder):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RIVERS_", "PYTEST_", "PYTHON"))
    }
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
    return process.stdout


@pytest.fixture
def wheels(tmp_path):
    """A folder with wheels of the distributions of this checkout."""
    folder = tmp_path / "wheels"
    for distribution in DISTRIBUTIONS:
        run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            distribution.folder,
        )
    return folder


@pytest.fixture
def environment(tmp_path, wheels):
    """A fresh environment with our wheels; other distributions come from the package index."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    install(folder, wheels, "rivers-json", "rivers-testkit", "rivers-io", "hatchling")
    return folder


def install(environment, wheels, *requirements):
    command = ["install", "-q", "--disable-pip-version-check", "--find-links", str(wheels), *requirements]
    run([program(environment, "python"), "-m", "pip", *command], wheels)


def program(environment, name):
    return str(environment / ("Scripts" if sys.platform == "win32" else "bin") / name)


# one test: the environment takes longer than everything that is done in it
def test_packages_work_in_fresh_environment(environment, wheels, tmp_path):
    check_json(environment, tmp_path / "json")
    check_new_handler(environment, wheels, tmp_path / "handler")
    check_new_project(environment, tmp_path / "project")


def check_json(environment, folder):
    """Use the handler by its name from a configuration."""
    folder.mkdir()
    (folder / "rivers.toml").write_text('[io_handlers.documents]\nuse = "json"\nstore = "file:./data"\n')
    assert run([program(environment, "python"), "-c", USE], folder) == "JsonIOHandler {'ada': 30}\n"
    assert (folder / "data" / "orders.json").read_text() == '{"ada":30}\n'


def check_new_handler(environment, wheels, folder):
    """Create a handler package, install it, and run its tests and the type checkers."""
    folder.mkdir()
    run([program(environment, "rivers"), "new", "--handler", "acme-duck"], folder)
    project = folder / "acme-duck"
    install(environment, wheels, "--no-build-isolation", "--no-deps", str(project))
    output = run([program(environment, "pytest"), "-q", "-p", "no:cacheprovider"], project)
    assert " 0 failed" in output
    assert "no installed distribution provides" not in output
    check_types(environment, project, "src", "tests")


def check_new_project(environment, folder):
    """Create a pipeline project, and run its tests and the type checkers."""
    folder.mkdir()
    run([program(environment, "rivers"), "new", "shop"], folder)
    project = folder / "shop"
    run([program(environment, "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"], project)
    check_types(environment, project, "shop", "tests")


def check_types(environment, project, *sources):
    """Run the type checkers of the checkout on the packages of the environment; they come with the group `check`."""
    tools, interpreter = Path(sys.executable).parent, program(environment, "python")
    if (tools / "mypy").exists():
        run([str(tools / "mypy"), "--strict", "--python-executable", interpreter, *sources], project)
        run([str(tools / "pyright"), "--pythonpath", interpreter, *sources], project)
