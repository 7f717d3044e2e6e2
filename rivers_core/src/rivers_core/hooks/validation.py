"""Validation of a plugin's hook implementations against the hook specifications."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from rivers_core._suggestions import did_you_mean

if TYPE_CHECKING:
    from pluggy import HookCaller, HookImpl, PluginManager


def validate_hooks(pm: PluginManager, module: object) -> None:
    """Reject hook implementations that rivers could not call.

    Args:
        pm: Plugin manager in which the plugin is registered.
        module: The plugin.

    Raises:
        AttributeError: It implements a hook that does not exist and is not marked as optional, or defines a function
            with the name of a hook and does not mark it.
        TypeError: It wraps `rivers_wrap_io_handler`, whose implementations receive each other's results.
    """
    hooks = vars(pm.hook)
    known = sorted(name for name, hook in hooks.items() if hook.has_spec())
    for name, hook in hooks.items():
        if not hook.has_spec() and not all(impl.optionalhook for impl in _implementations(hook, module)):
            hint = did_you_mean(name, known) or f" Use one of: {', '.join(known)}."
            raise AttributeError(f"hook {name!r} not found.{hint}")
    for name in known:
        if is_unmarked(pm, module, name):
            raise AttributeError(f"{name} is not marked as a hook. Write @hookimpl above it.")
    for impl in _implementations(pm.hook.rivers_wrap_io_handler, module):
        if impl.wrapper or impl.hookwrapper:
            raise TypeError(
                "rivers_wrap_io_handler cannot be a pluggy wrapper; return the handler to use instead"
            )


def is_unmarked(pm: PluginManager, module: object, name: str) -> bool:
    """Return whether a plugin has a function with the name of a hook that pluggy ignores.

    A hook specification, which a plugin may import for its type, does not count.
    """
    function = getattr(module, name, None)
    return (
        inspect.isroutine(function)
        and pm.parse_hookimpl_opts(module, name) is None
        and pm.parse_hookspec_opts(module, name) is None  # type: ignore[arg-type]
    )


def _implementations(hook: HookCaller, module: object) -> list[HookImpl]:
    return [impl for impl in hook.get_hookimpls() if impl.plugin is module]
