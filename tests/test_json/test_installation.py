"""Wheels in fresh environments: rivers-json, the kit without the engine, and what `rivers new` writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.environments import Environment, build_wheel, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.server]

USE = """
from rivers_core import InputContext, OutputContext, load_config

handler = load_config().handler("documents")
handler.handle_output(OutputContext("orders"), {"ada": 30})
print(type(handler).__name__, handler.load_input(InputContext("orders", "report")))
"""


# one test: the environments and the caches of the type checkers take longer than everything that is done in them
def test_packages_work_in_fresh_environment(tmp_path):
    environment = Environment(tmp_path / "environment", "rivers-json", "rivers-testkit", "rivers-io")
    check_json(environment, tmp_path / "json")
    folder = tmp_path / "projects"
    folder.mkdir()
    for arguments in (["new", "--handler", "acme-duck"], ["new", "rain-gauge"]):
        run([environment.program("rivers"), *arguments], folder)
    wheel = build_wheel(folder / "acme-duck", environment.wheels)
    environment.install(str(wheel))
    check_new_project(environment, folder / "rain-gauge")
    check_tests(environment, folder / "acme-duck", "-k", "pipeline or registration or entry_point")
    assert "handler duck" in run([environment.program("rivers"), "plugins", "--load"], folder)
    check_types(
        environment, folder, "acme-duck/src", "acme-duck/tests", "rain-gauge/rain_gauge", "rain-gauge/tests"
    )
    check_kit_without_engine(tmp_path / "core", wheel, folder / "acme-duck")


def check_json(environment, folder):
    """Use the handler by its name from a configuration."""
    folder.mkdir()
    (folder / "rivers.toml").write_text('[io_handlers.documents]\nuse = "json"\nstore = "file:./data"\n')
    assert environment.run(folder, "-c", USE) == "JsonIOHandler {'ada': 30}\n"
    assert (folder / "data" / "orders.json").read_text() == '{"ada":30}\n'


def check_new_project(environment, project):
    """Run the tests of a created pipeline project, which leave no values behind."""
    check_tests(environment, project)
    assert not (project / ".rivers").exists()
    assert not (project / "data").exists()


def check_kit_without_engine(folder, wheel, project):
    """Run all tests of a created handler package where only the core and the kit are installed."""
    environment = Environment(folder, "rivers-core", "rivers-testkit")
    environment.install(str(wheel))
    installed = environment.run(
        folder, "-c", "import importlib.util as i; print(i.find_spec('rivers'), i.find_spec('rivers_cli'))"
    )
    assert installed == "None None\n"
    output = check_tests(environment, project)
    assert " 0 failed" in output
    assert "no installed distribution provides" not in output


def check_tests(environment, project, *arguments):
    """Run the tests of a project."""
    return environment.run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


def check_types(environment, folder, *sources):
    """Run the type checkers of the checkout on the packages of the environment; they come with the group `check`."""
    tools = Path(sys.executable).parent
    if (tools / "mypy").exists():
        run([str(tools / "mypy"), "--strict", "--python-executable", environment.python, *sources], folder)
        run([str(tools / "pyright"), "--pythonpath", environment.python, *sources], folder)
