"""Lazy exports (PEP 562): importing a package loads none of the modules behind its public names.

Neither this module nor a package that uses it imports `typing`, which takes most of the time of `import rivers`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose public names are imported on first use.

    Call it in the `else` of an `if TYPE_CHECKING` with the same names as imports, which type checkers read:
    `from package.module import Name as Name`.

    Args:
        package: The package's `__name__`.
        names: Full name of each module to the public names that it defines; for a module that is itself public,
            `[""]`.

    Examples:
        >>> __getattr__, __dir__, __all__ = lazy_exports("rivers_core", {"rivers_core.keys": ["storage_key"]})
        >>> __getattr__("storage_key")("orders")
        'orders'
    """
    homes = {name or module.rpartition(".")[2]: module for module, own in names.items() for name in own}

    def attribute(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}. Public names: {', '.join(homes)}."
            )
        module = import_module(home)
        value = getattr(module, name) if name in names[home] else module
        setattr(sys.modules[package], name, value)
        return value

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return attribute, listing, sorted(homes)


def register_former_module(module: str, names: Mapping[str, Sequence[str]]) -> None:
    """Keep a module that was moved or renamed importable, for pickles that name it.

    Call it where the parent package is imported: `pickle` imports the parent first, and then finds the module in
    `sys.modules`. Nothing is imported before a name is looked up.

    Args:
        module: Full name of the module as pickles have it.
        names: Full name of each module that exists now to the names that pickles look up.

    Examples:
        >>> register_former_module("rivers_core.former", {"rivers_core.keys": ["storage_key"]})
        >>> from rivers_core.former import storage_key
        >>> storage_key("orders")
        'orders'
    """
    former = ModuleType(module, "Names that pickles of an earlier release look up here.")
    sys.modules[module] = former
    vars(former)["__getattr__"], vars(former)["__dir__"], _ = lazy_exports(module, names)
