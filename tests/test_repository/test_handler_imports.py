"""Handler packages import only the public part of the core, as handler packages of other authors do."""

from __future__ import annotations

import ast
import tomllib

import pytest

from tests.test_repository.checkout import ROOT

PUBLIC = {"rivers_core", "rivers_core.authoring", "rivers_core.exceptions", "rivers_core.hooks"}


def handler_packages():
    """Return the projects with an entry point in the group `rivers`, whose plugin registers IO handlers."""
    patterns = ("rivers_*/pyproject.toml", "plugins/*/pyproject.toml", "docs/examples/*/pyproject.toml")
    projects = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return {
        path.parent.name: path.parent
        for path in projects
        if "rivers" in tomllib.loads(path.read_text())["project"].get("entry-points", {})
        and any("def rivers_io_handlers" in source.read_text() for source in path.parent.rglob("plugin.py"))
    }


def core_imports(folder):
    """Return the modules of `rivers_core` that the sources in a folder import."""
    modules = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
                # `from rivers_core import metadata` imports a module, too
                modules.update(
                    f"{node.module}.{alias.name}"
                    for alias in node.names
                    if is_module(node.module, alias.name)
                )
    return {module for module in modules if module.partition(".")[0] == "rivers_core"}


def is_module(package, name):
    path = ROOT / "rivers_core" / "src" / package.replace(".", "/") / name
    return path.is_dir() or path.with_suffix(".py").exists()


def test_handler_packages_are_found():
    names = {
        "rivers_pickle",
        "rivers_parquet",
        "rivers_delta",
        "rivers_json",
        "rivers_memory",
        "rivers_overlay",
    }
    assert names <= handler_packages().keys()


@pytest.mark.parametrize("name", handler_packages())
def test_handler_package_imports_public_core_only(name):
    assert core_imports(handler_packages()[name]) <= PUBLIC
