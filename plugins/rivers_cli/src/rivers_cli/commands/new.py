"""`rivers new`: create a pipeline project, or a package with an IO handler."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rivers_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DISTRIBUTION: Final = re.compile(r"[a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9]", re.IGNORECASE | re.ASCII)
"""Names of distributions, see PEP 508."""
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices in every folder, also with an extension."""
_RESERVED: Final = {*sys.stdlib_module_names, "rivers", "tests", "pytest", "data"}
_OUR_HANDLERS: Final = {"delta", "json", "memory", "overlay", "parquet", "pickle"}

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
    handler_name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="With --handler: name of the handler, which users write in `use`."
        ),
    ] = None,
) -> None:
    """Create a working project: assets, configuration with two environments, a test, a README.

    With --handler, a package with an IO handler: the handler, its entry point, tests with the conformance kit, a
    workflow. The handler has the name of the package without its first part, `duck` in acme-duck, unless --name gives
    another one.

    Existing files are never overwritten.

    Examples:
      $ rivers new shop
      $ rivers new --handler acme-duck
      $ rivers new --handler acme-object-store --name store
    """
    if handler_name is not None and not handler:
        raise UsageError("--name is the name of a handler. Use it with --handler.")
    folder = project.absolute()
    package = _package_name(folder, is_handler=handler)
    names = _HandlerNames.choose(folder.name, handler_name) if handler else None
    values = {"name": folder.name, "package": package, **(names.values(package) if names else {})}
    templates = _PROJECT if names is None else _HANDLER
    targets = {project / path.format(package=package): template for path, template in templates.items()}
    for path in targets:
        if path.exists():
            raise UsageError(f"{path} already exists. Use another folder.")
    for path, template in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(template, values), encoding="utf-8")
    if names is None:
        print(f"Created {project}/: rivers.toml, {package}/definitions.py, tests/, README.md")
        _print_next(project, ["rivers materialize", "rivers load report"])
    else:
        print(f"Created {project}/: src/{package}/handler.py, tests/, README.md\n")
        print(f"The name of the handler is {names.name!r}, its class is {names.class_name}.")
        if handler_name is None:
            print("For another name, delete the folder and use --name.")
        _print_next(project, ['pip install -e ".[test]"', "pytest"])


def _print_next(project: Path, commands: list[str]) -> None:
    print("\nNext:")
    is_current_folder = project.absolute() == Path.cwd()
    for command in commands if is_current_folder else [f"cd {project}", *commands]:
        print(f"  $ {command}")


@dataclass(frozen=True, slots=True)
class _HandlerNames:
    """Names in a handler package.

    Attributes:
        name: Name that users write.
        class_name: Name of its class.
    """

    name: str
    class_name: str

    @classmethod
    def choose(cls, distribution: str, name: str | None) -> _HandlerNames:
        """Return valid names: of acme-object-store, `object_store` and `ObjectStoreIOHandler`.

        Args:
            distribution: Name of the distribution.
            name: Name of the handler that the user wants; None derives it from the distribution.

        Raises:
            UsageError: A handler cannot have this name.
        """
        parts = [part for part in re.split(r"[-_.]+", distribution.lower()) if part != "rivers"]
        if name is None:
            name = "_".join(parts[1:] or parts)
            if not name.isidentifier() or name in _OUR_HANDLERS:
                name = "_".join(parts)
        _check_handler_name(name)
        class_name = _camel_case(re.split(r"[-_.]+", name))
        if not class_name.isidentifier() or class_name == "Base":  # the handler is a BaseIOHandler
            class_name = _camel_case(parts)
        return cls(name, f"{class_name}IOHandler")

    def values(self, package: str) -> dict[str, str]:
        """Return what the templates contain."""
        return {
            "handler": self.name,
            "toml_key": f'"{self.name}"' if "." in self.name else self.name,
            "class_name": self.class_name,
            "prefix": f"{package.upper()}_",
        }


def _check_handler_name(name: str) -> None:
    from rivers_core.hooks import HandlerSpec

    if name in _OUR_HANDLERS:
        raise UsageError(
            f"--name: rivers has a handler {name!r}, and a name that two packages offer is an error. Use another name."
        )
    try:
        HandlerSpec(name, target="package.handler:Handler")
    except ValueError:
        raise UsageError(
            f"--name: must be a short lower-case name (letters, digits, '-', '_', '.'), got {name!r}."
        ) from None


def _camel_case(parts: list[str]) -> str:
    return "".join(part.capitalize() for part in parts)


def _render(template: str | None, values: Mapping[str, str]) -> str:
    if template is None:
        return ""
    text = (files("rivers_cli") / "template" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _package_name(folder: Path, *, is_handler: bool) -> str:
    """Return the name of the import package of a project.

    Raises:
        UsageError: The name of the folder cannot be that of a distribution, of a package or of a folder.
    """
    name = folder.name
    package = re.sub(r"[-_.]+", "_", name).lower()
    is_name = _DISTRIBUTION.fullmatch(name) and package.isidentifier() and not keyword.iskeyword(package)
    if not is_name:
        raise UsageError(
            f"The project name must be usable as the name of a distribution and of a Python package, got {name!r}. "
            "Start with a letter, end with a letter or digit, and use ASCII letters, digits, '-', '_' and '.'."
        )
    problem = _name_conflict(name, package, folder)
    if problem:
        raise UsageError(
            f"{problem} Use another name, such as {_suggest_name(package, is_handler=is_handler)}."
        )
    return package


def _name_conflict(name: str, package: str, folder: Path) -> str | None:
    if _DEVICE.fullmatch(name):
        return f"Windows reserves the name {name!r} for a device, so that the folder could not be checked out there."
    if package.startswith("rivers_"):
        return f"Names that start with 'rivers-' are those of packages of the rivers project, got {name!r}."
    shadowed = f"the module {package!r}" if package in _RESERVED else _installed_module(package, folder)
    return shadowed and f"A package {package!r} would hide {shadowed} from imports."


def _suggest_name(package: str, *, is_handler: bool) -> str:
    base = package.removeprefix("rivers").strip("_").replace("_", "-")
    return f"acme-{base or 'store'}" if is_handler else f"{base or 'my'}-pipeline"


def _installed_module(package: str, folder: Path) -> str | None:
    """Return the importable module that a package of this name would hide; a module of the project itself is none."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    places = [Path(place) for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
    is_own = bool(places) and all(place.is_relative_to(folder) for place in places)
    return None if is_own else f"the module {package!r} ({places[0] if places else 'built in'})"
