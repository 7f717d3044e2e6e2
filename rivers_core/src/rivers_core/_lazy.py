"""Lazy exports (PEP 562): importing a package loads none of the modules behind its public names."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_exports(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose public names are imported on first use.

    Type checkers do not see these names: repeat them as imports under `if TYPE_CHECKING`, and in a literal `__all__`.

    Args:
        package: The package's `__name__`.
        homes: Public name to the module that defines it; for a public module, to its full name.

    Examples:
        >>> __getattr__, __dir__ = lazy_exports("rivers_core", {"storage_key": "rivers_core.keys"})
        >>> __getattr__("storage_key")("orders")
        'orders'
    """

    def attribute(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}. Public names: {', '.join(homes)}."
            )
        module = import_module(home)
        value = module if home == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return attribute, listing


def register_former_module(module: str, homes: Mapping[str, str]) -> None:
    """Keep a module that was moved or renamed importable, for pickles that name it.

    Call it where the parent package is imported: `pickle` imports the parent first, and then finds the module in
    `sys.modules`. Nothing is imported before a name is looked up.

    Args:
        module: Full name of the module as pickles have it.
        homes: Pickled name to the module that defines it now.

    Examples:
        >>> register_former_module("rivers_core.former", {"storage_key": "rivers_core.keys"})
        >>> from rivers_core.former import storage_key
        >>> storage_key("orders")
        'orders'
    """
    former = ModuleType(module, "Names that pickles of an earlier release look up here.")
    sys.modules[module] = former
    attribute, listing = lazy_exports(module, homes)
    vars(former).update(__getattr__=attribute, __dir__=listing)
