"""Registration: the entry point, the plugin module, and the methods of the class."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rivers_core import BaseIOHandler, HandlerSpec, PluginRegistry
from rivers_core.authoring import did_you_mean
from rivers_core.handler import contract_problems
from rivers_testkit.subject import HandlerChecks

if TYPE_CHECKING:
    from rivers_core.plugins import PluginStatus, Registration

PUBLIC: Final = {"rivers_core", "rivers_core.authoring", "rivers_core.exceptions", "rivers_core.hooks"}
LIGHT: Final = {"rivers_core", "pluggy", "importlib_metadata", "zipp", "rivers_testkit"}

LIST_MODULES: Final = """
import sys
sys.path[:] = {path!r}
before = set(sys.modules)
import {module}
import json
print(json.dumps(sorted(set(sys.modules) - before - set(sys.stdlib_module_names))))
"""


class RegistrationChecks(HandlerChecks):
    """Discovery, import and signature of the handler."""

    documentation: ClassVar[str] = "registration"

    def test_method_signatures(self, handler: BaseIOHandler) -> None:
        """Take the arguments of the contract in its order: the engine calls methods by position.

        Copy the signature from `BaseIOHandler`: `handle_output(self, context, obj)`, `load_input(self, context)`.
        Further arguments need defaults.
        """
        problems = contract_problems(type(handler))
        assert not problems, " ".join(problems)

    def test_contract_names_are_spelled(self, handler: BaseIOHandler) -> None:
        """Spell optional methods and capabilities as the contract does: under another name they are never used.

        A method or flag of your own needs a name that does not resemble one of the contract.
        """
        contract = [name for name in vars(BaseIOHandler) if not name.startswith(("_", "model_"))]
        hints = {name: did_you_mean(name, contract, cutoff=0.85) for name in own_names(type(handler))}
        assert not any(hints.values()), " ".join(f"`{name}`:{hint}" for name, hint in hints.items() if hint)

    def test_public_imports_only(self, handler: BaseIOHandler) -> None:
        """Import only the public modules of the core: rivers_core, and its authoring, hooks and exceptions.

        Other modules may change in any release.
        """
        private = {name for name in imported_modules(type(handler)) if is_private(name)}
        assert not private, f"Private modules: {', '.join(sorted(private))}."

    def test_engine_is_not_imported(self, handler: BaseIOHandler) -> None:
        """Depend on rivers-core, not on the engine: a handler also works where no pipeline runs.

        Import from `rivers_core` what you imported from `rivers`: contexts, keys, metadata and errors are defined
        there. Tests and examples outside the package may use the engine.
        """
        engine = {name for name in imported_modules(type(handler)) if name.partition(".")[0] == "rivers"}
        assert not engine, f"Imported: {', '.join(sorted(engine))}."

    def test_class_is_documented(self, handler: BaseIOHandler) -> None:
        """Document the class: the command `rivers handlers` and editors show its docstring.

        Begin the class with a docstring of one sentence that says where values are kept, then `Args:` with the
        settings.
        """
        assert type(handler).__dict__.get("__doc__"), f"{type(handler).__name__} has no docstring."

    def test_entry_point_exists(self, handler: BaseIOHandler, registered_name: str) -> None:
        """Provide the class under a name, so that a configuration can name it.

        Yield `HandlerSpec(name, "package.module:Class", summary)` from `rivers_io_handlers`, and name the plugin
        module in `[project.entry-points.rivers]`. Install again after a change: `pip install -e .`.
        """
        assert PluginRegistry().handler(registered_name) is type(handler)

    def test_entry_point_is_named_like_handler(
        self, handler: BaseIOHandler, registration: Registration[HandlerSpec]
    ) -> None:
        """Name an entry point like the handler, so that a lookup loads this plugin only.

        In `[project.entry-points.rivers]`, write `<name of the handler> = "package.plugin"`, and install again: `pip
        install -e .`.
        """
        del handler
        assert registration.entry_point == registration.spec.name, (
            f"Handler {registration.spec.name!r} has the entry point {registration.entry_point!r}."
        )

    def test_summary_is_given(self, handler: BaseIOHandler, registration: Registration[HandlerSpec]) -> None:
        """Give the record a summary: lists of handlers show it.

        Pass a sentence as third argument of `HandlerSpec`.
        """
        del handler
        assert registration.spec.summary.strip(), "The summary is empty."

    def test_plugin_has_no_warnings(
        self, handler: BaseIOHandler, registration: Registration[HandlerSpec]
    ) -> None:
        """Register without warnings: no hook without announcement, no target that cannot be imported.

        Each warning names its cause. After a change of `pyproject.toml`, install again: `pip install -e .`.
        """
        del handler
        status = plugin_status(registration)
        assert status.state == "loaded", f"It is {status.state}: {status.error}"
        assert not status.warnings, " ".join(status.warnings)

    def test_plugin_module_is_light(
        self, handler: BaseIOHandler, registration: Registration[HandlerSpec]
    ) -> None:
        """Import nothing but `rivers_core.hooks` in the plugin module: it is imported to list what is installed.

        `target` names the class as text. Keep `__init__.py` of the package light, too.
        """
        module = plugin_module(registration)
        imported = modules_imported_by(module)
        package = module.partition(".")[0]
        heavy = {name.partition(".")[0] for name in imported} - LIGHT - {package}
        assert not heavy, f"{module} imports {', '.join(sorted(heavy))}."
        assert type(handler).__module__ not in imported, f"{module} imports the handler."

    def test_requirements_are_installed(
        self, handler: BaseIOHandler, registration: Registration[HandlerSpec]
    ) -> None:
        """Name in `requires` distributions as the index knows them; they are installed here.

        Write names as in `pip install NAME`, which differ from names of modules for some libraries, and install them.
        """
        del handler
        self.claim(registration.spec.requires, "`requires` is empty")
        assert PluginRegistry().handler(registration.qualified_name)


def own_names(cls: type[BaseIOHandler]) -> list[str]:
    """Return the public names that a handler class adds to the contract: methods, class attributes, flags.

    Args:
        cls: The class. Its settings are not among the names, except for those annotated `bool`.
    """
    flags = [name for name, field in cls.model_fields.items() if field.annotation is bool]
    parents = [parent for parent in cls.__mro__ if issubclass(parent, BaseIOHandler)]
    names = {name for parent in parents for name in vars(parent)}.union(flags)
    return sorted(name for name in names if not name.startswith("_") and not hasattr(BaseIOHandler, name))


def find_registration(cls: type) -> Registration[HandlerSpec] | None:
    """Return the record of a handler class; None if no installed distribution provides it.

    Args:
        cls: The class.
    """
    target = f"{cls.__module__}:{cls.__qualname__}"
    items = [item for item in PluginRegistry().handlers() if item.spec.target == target]
    return next(iter(items), None)


def plugin_status(registration: Registration[HandlerSpec]) -> PluginStatus:
    """Return the status of the plugin of a record, after its targets were imported.

    Args:
        registration: The record.
    """
    registry = PluginRegistry()
    registry.load_all(targets=True)
    return next(
        item
        for item in registry.plugins()
        if (item.distribution, item.entry_point) == (registration.distribution, registration.entry_point)
    )


def plugin_module(registration: Registration[HandlerSpec]) -> str:
    """Return the module that the entry point of a record names.

    Args:
        registration: The record.
    """
    from importlib.metadata import distribution

    entry_points = distribution(registration.distribution).entry_points
    return next(entry.value for entry in entry_points.select(group="rivers", name=registration.entry_point))


def modules_imported_by(module: str) -> list[str]:
    """Return the modules outside the standard library that a fresh interpreter imports with a module.

    Args:
        module: Name of the module.
    """
    path = [entry or os.getcwd() for entry in sys.path]
    script = LIST_MODULES.format(path=path, module=module)
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    names: list[str] = json.loads(output)
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]


def imported_modules(cls: type) -> set[str]:
    """Return the modules that the package of a class imports, those in functions included.

    Args:
        cls: The class; a class outside a package stands for its module.
    """
    spec = importlib.util.find_spec(cls.__module__.partition(".")[0])
    folders = list(spec.submodule_search_locations or []) if spec is not None and spec.origin else []
    module_file = sys.modules[cls.__module__].__file__
    files = [path for folder in folders for path in Path(folder).rglob("*.py")]
    if not files and module_file is not None:
        files = [Path(module_file)]
    return {name for path in files for name in imports_of(ast.parse(path.read_text(encoding="utf-8")))}


def imports_of(tree: ast.AST) -> set[str]:
    """Return the names of the modules that a syntax tree imports absolutely.

    Args:
        tree: Syntax tree of a module.
    """
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def is_private(module: str) -> bool:
    """Return whether a module of the core is not public.

    Args:
        module: Name of any module.
    """
    return module.partition(".")[0] == "rivers_core" and module not in PUBLIC
