"""`rivers new`: create a project."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer

from rivers_cli.errors import UsageError

_RESERVED: Final = {*sys.stdlib_module_names, "rivers", "tests", "pytest", "data"}
_TEMPLATES: Final = {
    "rivers.toml": "rivers.toml",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "{package}/__init__.py": None,
    "{package}/definitions.py": "definitions.py",
    "tests/test_definitions.py": "test_definitions.py",
}


def new(
    project: Annotated[
        Path,
        typer.Argument(metavar="PROJECT", help="Folder to create; its name becomes the name of the project."),
    ],
) -> None:
    """Create a working project: assets, configuration with two environments, a test, a README.

    Existing files are never overwritten.

    Examples:
      $ rivers new shop
      $ cd shop
      $ rivers materialize
    """
    name = project.absolute().name
    package = _package_name(name, project.absolute())
    targets = {project / path.format(package=package): template for path, template in _TEMPLATES.items()}
    for path in targets:
        if path.exists():
            raise UsageError(f"{path} already exists. Use another folder.")
    for path, template in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(template, name, package), encoding="utf-8")
    print(f"Created {project}/: rivers.toml, {package}/definitions.py, tests/, README.md\n\nNext:")
    is_current_folder = project.absolute() == Path.cwd()
    for command in ([] if is_current_folder else [f"cd {project}"]) + [
        "rivers materialize",
        "rivers load report",
    ]:
        print(f"  $ {command}")


def _render(template: str | None, name: str, package: str) -> str:
    if template is None:
        return ""
    text = (files("rivers_cli") / "template" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(name=name, package=package)


def _package_name(name: str, project: Path) -> str:
    package = re.sub(r"[-. ]+", "_", name).lower()
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package):
        raise UsageError(
            f"The project name must be usable as the name of a Python package, got {name!r}. Start with a letter, and "
            "use letters, digits, '-' and '_'."
        )
    shadowed = f"the module {package!r}" if package in _RESERVED else _installed_module(package, project)
    if shadowed or package.startswith("rivers_"):
        raise UsageError(
            f"A package {package!r} would hide {shadowed or 'packages of rivers'} from imports. Use another name, such "
            f"as {package}-pipeline."
        )
    return package


def _installed_module(package: str, project: Path) -> str | None:
    """Return the importable module that a package of this name would hide; a module of the project itself is none."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    places = [Path(place) for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
    is_own = bool(places) and all(place.is_relative_to(project) for place in places)
    return None if is_own else f"the module {package!r} ({places[0] if places else 'built in'})"
