"""Checks of a registered plugin against the hooks there are."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from rivers_core._suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pluggy import HookCaller, HookImpl, PluginManager


def misspelt(pm: PluginManager, module: object) -> None:
    """Refuse implementations of hooks that do not exist, unless they are marked optional.

    Args:
        pm: The plugin manager, with the plugin registered.
        module: The plugin.

    Raises:
        AttributeError: It implements an unknown hook; says which hook comes nearest.
    """
    known = sorted(name for name, hook in _hooks(pm) if hook.has_spec())
    for name, hook in _hooks(pm):
        if hook.has_spec() or all(impl.optionalhook for impl in _impls(hook, module)):
            continue
        hint = did_you_mean(name, known) or f" Use one of: {', '.join(known)}."
        raise AttributeError(f"there is no hook {name}.{hint}")


def refuse_wrappers(pm: PluginManager, module: object) -> None:
    """Refuse a pluggy wrapper around `rivers_wrap_io_handler`, whose results feed each other.

    Args:
        pm: The plugin manager, with the plugin registered.
        module: The plugin.

    Raises:
        TypeError: It has one.
    """
    for impl in _impls(pm.hook.rivers_wrap_io_handler, module):
        if impl.wrapper or impl.hookwrapper:
            raise TypeError(
                "rivers_wrap_io_handler cannot be a pluggy wrapper; return the handler to use instead"
            )


def origin(pm: PluginManager, hook_name: str, error: BaseException) -> str | None:
    """Find the plugin in whose implementation of a hook an error was raised.

    Args:
        pm: The plugin manager.
        hook_name: The hook that was called.
        error: What it raised.

    Returns:
        The name of the plugin, or None if the traceback does not tell.
    """
    codes: dict[object, str] = {
        inspect.unwrap(impl.function).__code__: impl.plugin_name
        for impl in getattr(pm.hook, hook_name).get_hookimpls()
    }
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return codes[traceback.tb_frame.f_code]
        traceback = traceback.tb_next
    return None


def _hooks(pm: PluginManager) -> Iterator[tuple[str, HookCaller]]:
    yield from vars(pm.hook).items()


def _impls(hook: HookCaller, module: object) -> list[HookImpl]:
    return [impl for impl in hook.get_hookimpls() if impl.plugin is module]
