"""Every distribution of the checkout is complete, and declares exactly the dependencies that it imports."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

import pytest

from tests.test_repository.checkout import (
    DISTRIBUTIONS,
    ROOT,
    Distribution,
    each_distribution,
    normalize_name,
)

if TYPE_CHECKING:
    from pathlib import Path

# Distributions that are part of the API of another one: every handler is a pydantic-settings model, every plugin
# uses pluggy, and deltalake and rivers-frames accept and return arro3 streams.
SETTINGS = {"pydantic", "pydantic-core"}
REEXPORTED = {
    "pydantic-settings": SETTINGS,
    "rivers-core": SETTINGS | {"importlib-metadata", "pluggy", "pydantic-settings"},
    "deltalake": {"arro3-core"},
    "rivers-frames": {"arro3-core"},
}

# Imported only when a value has a type of this library, so that the user has installed it.
INSTALLED_BY_USER = {"duckdb"}

# Imported only where it is installed.
IF_INSTALLED = {"rivers-cli": {"pyarrow"}, "rivers-io": {"ipython"}, "rivers-ui": {"polars"}}


@cache
def imported_names(module: Path, *, type_checking: bool) -> frozenset[str]:
    """Return the top-level names of all absolute imports of a module, including those in functions."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(module.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not type_checking:
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                names.add(argument.value.partition(".")[0])
        pending.extend(ast.iter_child_nodes(node))
    return frozenset(names)


@cache
def distributions_by_import_name() -> dict[str, list[str]]:
    """Return the installed distributions of each top-level name."""
    return {**packages_distributions(), "rivers": ["rivers-io"]}


def distributions_of(names: set[str]) -> set[str]:
    providers = distributions_by_import_name()
    return {
        normalize_name(providers.get(name, [name])[0])
        for name in names - sys.stdlib_module_names - {"__future__"}
    }


def imported_distributions(distribution: Distribution, *, type_checking: bool = False) -> set[str]:
    names: set[str] = set().union(
        *(imported_names(path, type_checking=type_checking) for path in distribution.modules)
    )
    return distributions_of(names) - {distribution.name}


@each_distribution
def test_distribution_is_complete(distribution: Distribution) -> None:
    assert (distribution.package / "py.typed").exists()
    assert (distribution.package / "__init__.py").exists()
    assert (distribution.folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    readme = (distribution.folder / "README.md").read_text()
    title = "rivers" if distribution.name == "rivers-io" else distribution.name
    assert readme.startswith(f"# {title}\n")
    assert len(readme.splitlines()) > 10, "a README explains the package, its installation and its use"


@each_distribution
def test_distribution_pins_siblings(distribution: Distribution) -> None:
    version = DISTRIBUTIONS[0].project["version"]
    assert distribution.project["version"] == version
    extras = distribution.project.get("optional-dependencies", {}).values()
    for line in [*distribution.project["dependencies"], *(line for lines in extras for line in lines)]:
        name = normalize_name(line)
        if name.startswith("rivers-") and name != distribution.name:
            assert line.endswith(f"=={version}"), f"{line}: distributions are released together"


@each_distribution
def test_distribution_declares_its_imports(distribution: Distribution) -> None:
    declared = distribution.required | distribution.optional
    reexported = {name for required in distribution.required for name in REEXPORTED.get(required, set())}
    optional = INSTALLED_BY_USER | IF_INSTALLED.get(distribution.name, set())
    assert not imported_distributions(distribution) - declared - reexported - optional


@each_distribution
def test_distribution_imports_its_dependencies(distribution: Distribution) -> None:
    plugins = {item.name for item in DISTRIBUTIONS if is_plugin(item)}
    assert not distribution.required - imported_distributions(distribution, type_checking=True) - plugins


def is_plugin(distribution: Distribution) -> bool:
    """Return whether a distribution is used through its entry points rather than by import."""
    return "scripts" in distribution.project or "rivers" in distribution.project.get("entry-points", {})


@each_distribution
def test_plugin_module_imports_hooks_only(distribution: Distribution) -> None:
    """Discovery imports the plugin module of every installed package, so it has to be cheap."""
    for target in distribution.project.get("entry-points", {}).get("rivers", {}).values():
        *parents, name = target.split(".")
        module = distribution.package.parent.joinpath(*parents, f"{name}.py")
        allowed = {"__future__", "collections", "rivers_core", "typing"}
        assert imported_names(module, type_checking=False) <= allowed


def test_core_requires_three_libraries() -> None:
    """Every handler package installs them, so the core keeps to three small ones."""
    core = Distribution(ROOT / "rivers_core")
    assert core.required == {"importlib-metadata", "pluggy", "pydantic-settings"}


@pytest.mark.parametrize(
    "name",
    [
        "plugins/rivers_memory",
        "plugins/rivers_overlay",
        "plugins/rivers_json",
        "plugins/rivers_parquet",
        "rivers_delta",
        "rivers_pickle",
    ],
)
def test_handler_requires_core_not_engine(name: str) -> None:
    required = Distribution(ROOT / name).required
    assert "rivers-core" in required
    assert "rivers-io" not in required
