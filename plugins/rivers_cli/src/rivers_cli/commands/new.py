"""`rivers new`."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = {
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
        typer.Argument(
            metavar="PROJECT", help="The folder to make; its name becomes the name of the project."
        ),
    ],
) -> None:
    """Start a project that works: assets, configuration with two environments, a test, a README.

    Nothing that exists is overwritten.

    Examples:
      $ rivers new shop
      $ cd shop
      $ rivers materialize
    """
    from rivers_cli.problems import UsageProblemError

    name = project.absolute().name
    package = _package_of(name)
    there = [path for path in _paths(project, package) if path.exists()]
    if there:
        raise UsageProblemError(
            f"{there[0]} exists already, and nothing is overwritten; choose another folder."
        )
    for path, template in zip(_paths(project, package), _FILES.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(template, name, package), encoding="utf-8")
    here = project.absolute() == Path.cwd()
    print(f"Made {project}/: rivers.toml, {package}/definitions.py, tests/, README.md\n\nNext:")
    for line in (*([] if here else [f"cd {project}"]), "rivers materialize", "rivers load report"):
        print(f"  $ {line}")


def _paths(project: Path, package: str) -> Iterator[Path]:
    return (project / name.format(package=package) for name in _FILES)


def _filled(template: str | None, name: str, package: str) -> str:
    if template is None:
        return ""
    text = (files("rivers_cli") / "template" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(name=name, package=package)


def _package_of(name: str) -> str:
    from rivers_cli.problems import UsageProblemError

    package = re.sub(r"[-. ]+", "_", name).lower()
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package):
        raise UsageProblemError(
            f"{name!r} gives no name for a Python package; begin with a letter and use letters, digits, '-' and '_'."
        )
    taken = {*sys.stdlib_module_names, "rivers", "tests", "pytest", "data"}
    if package in taken or package.startswith("rivers_"):
        raise UsageProblemError(
            f"A package {package!r} would hide another one of that name; call the project otherwise, such as "
            f"{package}-pipeline."
        )
    return package
