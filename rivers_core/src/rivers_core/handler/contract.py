"""Validation of handler classes against the contract: methods, which the engine calls by position, and locality."""

from __future__ import annotations

import inspect
from functools import cache, lru_cache
from types import FunctionType
from typing import get_args

from rivers_core._messages import did_you_mean
from rivers_core.handler.base import BaseIOHandler, Locality


def contract_problems(handler_class: type[BaseIOHandler]) -> list[str]:
    """Return the mistakes in what a handler class overrides.

    Args:
        handler_class: The class.

    Returns:
        A sentence for each method that does not take the arguments of the contract, or takes them in another order,
        and one for an unknown `locality`. A locality that depends on settings is not read.

    Examples:
        >>> class Swapped(BaseIOHandler):
        ...     def handle_output(self, obj, context): ...
        ...     def load_input(self, context): ...
        >>> contract_problems(Swapped)
        ['Swapped.handle_output(self, obj, context) must take (self, context, obj).']
    """
    problems = [
        f"{handler_class.__name__}.{name}{_shown(method)} must take ({', '.join(['self', *arguments])})."
        for name, arguments in _contract().items()
        if isinstance(method := inspect.getattr_static(handler_class, name), FunctionType)
        and method is not vars(BaseIOHandler)[name]
        and not _accepts(method, arguments)
    ]
    locality = inspect.getattr_static(handler_class, "locality")
    if isinstance(locality, str) and locality not in get_args(Locality):
        problems.append(
            f"{handler_class.__name__}.locality must be 'process', 'host' or 'shared', got {locality!r}."
            f"{did_you_mean(locality, get_args(Locality))}"
        )
    return problems


@cache
def _contract() -> dict[str, tuple[str, ...]]:
    """Return the positional arguments of each method that a handler may override."""
    return {
        name: tuple(_positional(method))
        for name, method in vars(BaseIOHandler).items()
        if isinstance(method, FunctionType) and not name.startswith("_")
    }


# a class is validated for each of its names, in each repository; bounded, since reloaded modules define new functions
@lru_cache(maxsize=1024)
def _accepts(method: FunctionType, arguments: tuple[str, ...]) -> bool:
    signature = inspect.signature(method)
    try:
        signature.bind("self", *arguments)
    except TypeError:
        return False
    names = _positional(method)
    return all(name not in names or names.index(name) == position for position, name in enumerate(arguments))


def _positional(method: FunctionType) -> list[str]:
    """Return the names of the positional arguments, without `self`."""
    parameters = inspect.signature(method).parameters.values()
    return [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD][1:]


def _shown(method: FunctionType) -> str:
    return f"({', '.join(inspect.signature(method).parameters)})"
