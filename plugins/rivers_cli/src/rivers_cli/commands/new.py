"""`rivers new`: create a pipeline project, or a package with an IO handler."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rivers_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESERVED: Final = {*sys.stdlib_module_names, "rivers", "tests", "pytest", "data"}
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices in every folder, also with an extension."""

_PROJECT: Final = {
    "rivers.toml": "rivers.toml",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "{package}/__init__.py": None,
    "{package}/definitions.py": "definitions.py",
    "tests/test_definitions.py": "test_definitions.py",
}
_HANDLER: Final = {
    "pyproject.toml": "handler/pyproject.toml",
    "README.md": "handler/README.md",
    ".gitignore": "handler/gitignore",
    ".github/workflows/test.yml": "handler/workflow.yml",
    "src/{package}/__init__.py": "handler/init.py",
    "src/{package}/py.typed": None,
    "src/{package}/plugin.py": "handler/plugin.py",
    "src/{package}/handler.py": "handler/handler.py",
    "tests/test_handler.py": "handler/test_handler.py",
}


def new(
    project: Annotated[
        Path,
        typer.Argument(metavar="PROJECT", help="Folder to create; its name becomes the name of the project."),
    ],
    handler: Annotated[
        bool, typer.Option("--handler", help="Create a package with an IO handler instead of a pipeline.")
    ] = False,
) -> None:
    """Create a working project: assets, configuration with two environments, a test, a README.

    With --handler, a package with an IO handler: the handler, its entry point, tests with the conformance kit, a
    workflow. Its handler is named after the last part of the name, `duck` in acme-duck.

    Existing files are never overwritten.

    Examples:
      $ rivers new shop
      $ rivers new --handler acme-duck
    """
    name = project.absolute().name
    package = _package_name(name, project.absolute())
    values = {"name": name, "package": package, **(_handler_names(package) if handler else {})}
    templates = _HANDLER if handler else _PROJECT
    targets = {project / path.format(package=package): template for path, template in templates.items()}
    for path in targets:
        if path.exists():
            raise UsageError(f"{path} already exists. Use another folder.")
    for path, template in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(template, values), encoding="utf-8")
    if handler:
        _print_next(
            project,
            f"src/{package}/handler.py, tests/",
            ["pip install -e . --group test    # pip 25.1 or newer", "pytest"],
        )
    else:
        _print_next(
            project,
            f"rivers.toml, {package}/definitions.py, tests/",
            ["rivers materialize", "rivers load report"],
        )


def _print_next(project: Path, created: str, commands: list[str]) -> None:
    print(f"Created {project}/: {created}, README.md\n\nNext:")
    is_current_folder = project.absolute() == Path.cwd()
    for command in commands if is_current_folder else [f"cd {project}", *commands]:
        print(f"  $ {command}")


def _handler_names(package: str) -> dict[str, str]:
    handler = package.rpartition("_")[2]
    return {
        "handler": handler,
        "class_name": f"{handler.capitalize()}IOHandler",
        "prefix": f"{package.upper()}_",
    }


def _render(template: str | None, values: Mapping[str, str]) -> str:
    if template is None:
        return ""
    text = (files("rivers_cli") / "template" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _package_name(name: str, project: Path) -> str:
    package = re.sub(r"[-. ]+", "_", name).lower()
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package):
        raise UsageError(
            f"The project name must be usable as the name of a Python package, got {name!r}. Start with a letter, and "
            "use letters, digits, '-' and '_'."
        )
    if _DEVICE.fullmatch(name):
        raise UsageError(
            f"Windows reserves the name {name!r} for a device, so that the folder could not be checked out there. Use "
            f"another name, such as {package}-pipeline."
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
