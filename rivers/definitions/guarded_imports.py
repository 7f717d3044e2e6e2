"""Imports below `if TYPE_CHECKING:`, which annotations use and a running module lacks."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import linecache
from functools import lru_cache
from typing import Any, NamedTuple


class GuardedImport(NamedTuple):
    """An import that only type checkers execute.

    Attributes:
        module: Absolute name of the imported module.
        attribute: Name that is taken from it; None for `import module as name`.
        binds_package: Whether it is `import package.module`, which binds the package.
    """

    module: str
    attribute: str | None = None
    binds_package: bool = False

    def execute(self) -> Any:
        """Return the imported module or its attribute; raise what the import raises."""
        module = importlib.import_module(self.module)
        if self.binds_package:
            return importlib.import_module(self.module.partition(".")[0])
        if self.attribute is None:
            return module
        if not hasattr(module, self.attribute):
            return importlib.import_module(f"{self.module}.{self.attribute}")
        return getattr(module, self.attribute)


def guarded_imports(module_globals: dict[str, Any]) -> dict[str, GuardedImport]:
    """Return the imports below `if TYPE_CHECKING:` by the name that they bind; empty without a source file.

    Args:
        module_globals: Globals of the module.

    Raises:
        SyntaxError: The source was changed since the import, and is not valid.
    """
    file = module_globals.get("__file__")
    if not isinstance(file, str):
        return {}
    linecache.checkcache(file)
    source = "".join(linecache.getlines(file, module_globals))
    return _imports(source, module_globals.get("__package__") or "")


@lru_cache(maxsize=64)  # a module is parsed once, not for each of its functions
def _imports(source: str, package: str) -> dict[str, GuardedImport]:
    result: dict[str, GuardedImport] = {}
    guards = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.If) and _is_guard(node.test)
    )
    for statement in (statement for guard in guards for statement in guard.body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                name = alias.asname or alias.name.partition(".")[0]
                result[name] = GuardedImport(alias.name, None, alias.asname is None)
        elif isinstance(statement, ast.ImportFrom):
            dots = "." * statement.level
            module = importlib.util.resolve_name(f"{dots}{statement.module or ''}", package)
            for alias in statement.names:
                result[alias.asname or alias.name] = GuardedImport(module, alias.name)
    return result


def _is_guard(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
