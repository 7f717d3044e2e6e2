"""From a record to the class behind it: the moment in which a handler's module is imported."""

from __future__ import annotations

import importlib
import inspect
import shlex
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import ALWAYS_PROPAGATE, HandlerNotFoundError, PluginLoadError
from rivers_core.plugins.missing import absent_requirements
from rivers_core.plugins.spec import CommandSpec

if TYPE_CHECKING:
    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.states import Registration


def import_target(provided: Registration[Any]) -> Any:
    """Import what a record points to.

    Args:
        provided: The record and who provides it.

    Returns:
        The object behind `target`.

    Raises:
        HandlerNotFoundError: A distribution that it requires is not installed; gives the pip line.
        PluginLoadError: It cannot be imported or is not there.
    """
    spec = provided.spec
    if not isinstance(spec, CommandSpec):
        _refuse_absent(provided)
    try:
        return getattr(importlib.import_module(spec.module), spec.class_name)
    except ALWAYS_PROPAGATE:
        raise
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise _broken(provided, reason) from error


def class_of(provided: Registration[Any]) -> type:
    """Import the class that a record points to.

    Args:
        provided: The record and who provides it.

    Returns:
        The class.

    Raises:
        HandlerNotFoundError: A distribution that it requires is not installed; gives the pip line.
        PluginLoadError: It cannot be imported, is not there, or is no class.
    """
    target = import_target(provided)
    if not isinstance(target, type):
        raise _broken(provided, f"{provided.spec.class_name} is a {type(target).__name__}, not a class")
    return target


def handler_type(provided: Registration[Any]) -> type[BaseIOHandler]:
    """Import the handler class that a record points to.

    Args:
        provided: The record and who provides it.

    Returns:
        A class that can be instantiated.

    Raises:
        HandlerNotFoundError: A distribution that it requires is not installed; gives the pip line.
        PluginLoadError: It cannot be imported, is no BaseIOHandler, or lacks a method.
    """
    from rivers_core.handler import BaseIOHandler

    target = class_of(provided)
    if not issubclass(target, BaseIOHandler):
        raise _broken(provided, f"{target.__qualname__} is not a subclass of rivers_core.BaseIOHandler")
    if inspect.isabstract(target):
        lacking = " and ".join(sorted(target.__abstractmethods__))
        raise _broken(provided, f"{target.__qualname__} does not implement {lacking}")
    return target


def _refuse_absent(provided: Registration[Any]) -> None:
    absent = absent_requirements(provided.spec.requires)
    if absent:
        owner = f"{provided.distribution} {provided.version}"
        raise HandlerNotFoundError(
            f"{provided.spec.name!r} of {owner} needs {', '.join(absent)}, which is not installed. "
            f"Install it: pip install {shlex.join(absent)}"
        )


def _broken(provided: Registration[Any], reason: str) -> PluginLoadError:
    return PluginLoadError(
        f"{provided.spec.name!r} of {provided.distribution} {provided.version} (plugin "
        f"{provided.entry_point!r}, target {provided.spec.target!r}) cannot be loaded: {reason}. "
        f"Upgrade or uninstall {provided.distribution}.",
        name=provided.spec.module,
    )
