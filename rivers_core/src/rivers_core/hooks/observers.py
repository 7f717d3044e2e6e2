"""Observers as plain tuples of functions, taken from the plugin manager when a run starts."""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import ALWAYS_PROPAGATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pluggy import HookCaller, HookImpl, PluginManager

    Arguments = Callable[[tuple[Any, ...]], tuple[Any, ...]]

_LOG: Final = logging.getLogger("rivers.plugins")

_all: Final[Arguments] = itemgetter(slice(None))


class Observers:
    """Who watches a run: per hook a tuple of functions that take the hook's arguments by position.

    A function never raises: what goes wrong in a plugin is logged to `rivers.plugins` and the run goes on.

    Args:
        run_start: Called with `(run_id, step_names, tags)`.
        run_end: Called with `(run_id, success, error)`.
        output_stored: Called with `(context, handler, event)`.
        input_loaded: Called with `(context, handler)`.
        io_failed: Called with `(context, handler, error)`.
    """

    __slots__ = ("input_loaded", "io_failed", "output_stored", "run_end", "run_start")

    def __init__(
        self,
        run_start: tuple[Callable[..., None], ...] = (),
        run_end: tuple[Callable[..., None], ...] = (),
        output_stored: tuple[Callable[..., None], ...] = (),
        input_loaded: tuple[Callable[..., None], ...] = (),
        io_failed: tuple[Callable[..., None], ...] = (),
    ) -> None:
        self.run_start = run_start
        self.run_end = run_end
        self.output_stored = output_stored
        self.input_loaded = input_loaded
        self.io_failed = io_failed

    @classmethod
    def none(cls) -> Observers:
        """Nobody watches."""
        return cls()

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={len(getattr(self, name))}" for name in sorted(self.__slots__))
        return f"Observers({counts})"


def freeze_observers(pm: PluginManager) -> Observers:
    """Take the observers of all registered plugins.

    Args:
        pm: The plugin manager with the hooks of rivers.

    Returns:
        Functions in the order in which pluggy would call them. Plugins registered later are not in it.
    """
    return Observers(**{name: _frozen(getattr(pm.hook, f"rivers_{name}")) for name in Observers.__slots__})


def _frozen(hook: HookCaller) -> tuple[Callable[..., None], ...]:
    assert hook.spec is not None
    names = tuple(hook.spec.argnames)
    impls = hook.get_hookimpls()
    if any(impl.wrapper or impl.hookwrapper for impl in impls):
        wrapping = next(impl for impl in impls if impl.wrapper or impl.hookwrapper)
        return (_guarded(_through_pluggy(hook, names), _all, hook.name, wrapping.plugin_name),)
    return tuple(
        _guarded(impl.function, _picking(impl, names), hook.name, impl.plugin_name)
        for impl in reversed(impls)
    )


def _picking(impl: HookImpl, names: tuple[str, ...]) -> Arguments:
    """Takes from the arguments of a hook those that an implementation names."""
    wanted = [names.index(name) for name in impl.argnames]
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return itemgetter(slice(wanted[0], wanted[0] + 1) if wanted else slice(0))


def _through_pluggy(hook: HookCaller, names: tuple[str, ...]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        return hook(**dict(zip(names, arguments, strict=True)))

    return wrapped


def _guarded(
    function: Callable[..., Any], pick: Arguments, hook_name: str, plugin_name: str
) -> Callable[..., None]:
    def observer(*arguments: Any) -> None:
        try:
            function(*pick(arguments))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException:
            _LOG.exception("Plugin %s raised in %s; the run goes on without it.", plugin_name, hook_name)

    return observer
