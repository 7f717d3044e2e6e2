"""Every distribution of the checkout is complete, and declares what it uses: no more, no less."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [
    ROOT,
    *sorted(path.parent for path in ROOT.glob("*/pyproject.toml")),
    *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")),
]

# What is part of another distribution's promise: every handler is a pydantic-settings model, every plugin
# speaks pluggy, and deltalake gives and takes the tables of arro3.
SETTINGS = {"pydantic", "pydantic-core"}
PROMISES = {
    "pydantic-settings": SETTINGS,
    "rivers-core": SETTINGS | {"importlib-metadata", "pluggy", "pydantic-settings"},
    "deltalake": {"arro3-core"},
}

# Imported only when a user's own value is of such a type, and so is there already.
BROUGHT_BY_THE_USER = {"duckdb"}


def normal(name: str) -> str:
    """The distribution's name in a requirement such as `rivers-core[cron]==0.1.0`."""
    found = re.match(r"[A-Za-z0-9._-]+", name)
    assert found, name
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@dataclass(frozen=True)
class Distribution:
    folder: Path

    @property
    def project(self) -> dict:
        return tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def import_name(self) -> str:
        # the index name `rivers` belongs to another project; the engine is published as `rivers-io`
        return "rivers" if self.name == "rivers-io" else self.name.replace("-", "_")

    @property
    def package(self) -> Path:
        source = self.folder if self.folder == ROOT else self.folder / "src"
        return source / self.import_name

    @property
    def needed(self) -> set[str]:
        return {normal(line) for line in self.project.get("dependencies", [])}

    @property
    def optional(self) -> set[str]:
        extras = self.project.get("optional-dependencies", {})
        return {normal(line) for lines in extras.values() for line in lines}

    @property
    def modules(self) -> list[Path]:
        return sorted(self.package.rglob("*.py"))


DISTRIBUTIONS = [pytest.param(Distribution(folder), id=Distribution(folder).name) for folder in FOLDERS]


def imported_names(module: Path, *, also_for_types: bool) -> set[str]:
    """Top-level names of the absolute imports of a module, wherever in it they stand."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(module.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not also_for_types:
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
    return names


def distributions_of(names: set[str]) -> set[str]:
    providers = packages_distributions() | {"rivers": ["rivers-io"]}
    return {
        normal(providers.get(name, [name])[0]) for name in names - sys.stdlib_module_names - {"__future__"}
    }


def used_by(distribution: Distribution, *, also_for_types: bool = False) -> set[str]:
    names = set().union(
        *(imported_names(path, also_for_types=also_for_types) for path in distribution.modules)
    )
    return distributions_of(names) - {distribution.name}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_is_complete(distribution: Distribution) -> None:
    assert (distribution.package / "py.typed").exists()
    assert (distribution.package / "__init__.py").exists()
    assert (distribution.folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    readme = (distribution.folder / "README.md").read_text()
    title = "rivers" if distribution.name == "rivers-io" else distribution.name
    assert readme.startswith(f"# {title}\n")
    assert len(readme.splitlines()) > 10, (
        "a README says what it is, how it is installed, and shows it at work"
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_all_distributions_are_released_together(distribution: Distribution) -> None:
    version = Distribution(ROOT).project["version"]
    assert distribution.project["version"] == version
    extras = distribution.project.get("optional-dependencies", {}).values()
    for line in [*distribution.project["dependencies"], *(line for lines in extras for line in lines)]:
        name = normal(line)
        if name.startswith("rivers-") and name != distribution.name:
            assert line.endswith(f"=={version}"), f"{line}: another release of a sibling must not slip in"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_declares_what_it_imports(distribution: Distribution) -> None:
    declared = distribution.needed | distribution.optional
    promised = {name for needed in distribution.needed for name in PROMISES.get(needed, set())}
    assert not used_by(distribution) - declared - promised - BROUGHT_BY_THE_USER


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_imports_what_it_declares(distribution: Distribution) -> None:
    plugins = {Distribution(folder).name for folder in FOLDERS if provides(Distribution(folder))}
    assert not distribution.needed - used_by(distribution, also_for_types=True) - plugins


def provides(distribution: Distribution) -> bool:
    """Whether others reach this distribution by an entry point, not by an import."""
    return "scripts" in distribution.project or "rivers" in distribution.project.get("entry-points", {})


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_plugin_module_is_light(distribution: Distribution) -> None:
    """It is imported to see what a package offers, so it imports nothing but the hooks."""
    for target in distribution.project.get("entry-points", {}).get("rivers", {}).values():
        *parents, name = target.split(".")
        module = distribution.package.parent.joinpath(*parents, f"{name}.py")
        light = {"__future__", "collections", "rivers_core", "typing"}
        assert imported_names(module, also_for_types=False) <= light


def test_the_core_stays_minimal() -> None:
    """A stranger's handler package installs three small libraries, and no more."""
    core = Distribution(ROOT / "rivers_core")
    assert core.needed == {"importlib-metadata", "pluggy", "pydantic-settings"}


@pytest.mark.parametrize(
    "name", ["plugins/rivers_memory", "plugins/rivers_overlay", "rivers_delta", "rivers_pickle"]
)
def test_a_handler_needs_the_core_and_not_the_engine(name: str) -> None:
    needed = Distribution(ROOT / name).needed
    assert "rivers-core" in needed
    assert "rivers-io" not in needed
