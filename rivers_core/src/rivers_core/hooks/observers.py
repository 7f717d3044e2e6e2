"""Observers of runs, frozen as plain tuples of functions so that a step never goes through pluggy."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import ALWAYS_PROPAGATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pluggy import HookCaller, HookImpl, PluginManager

    SelectArguments = Callable[[tuple[Any, ...]], tuple[Any, ...]]

_LOG: Final = logging.getLogger("rivers.plugins")

_all_arguments: Final[SelectArguments] = itemgetter(slice(None))


@dataclass(frozen=True, slots=True, repr=False)
class Observers:
    """Observers of a run: for each hook a tuple of functions that take the hook's arguments by position.

    These functions never raise: an error in a plugin is logged to `rivers.plugins` and the run continues.

    Args:
        run_start: Called with `(run_id, step_names, tags)`.
        run_end: Called with `(run_id, success, error)`.
        output_stored: Called with `(context, handler, event)`.
        input_loaded: Called with `(context, handler)`.
        io_failed: Called with `(context, handler, error)`.
    """

    run_start: tuple[Callable[..., None], ...] = ()
    run_end: tuple[Callable[..., None], ...] = ()
    output_stored: tuple[Callable[..., None], ...] = ()
    input_loaded: tuple[Callable[..., None], ...] = ()
    io_failed: tuple[Callable[..., None], ...] = ()

    @classmethod
    def none(cls) -> Observers:
        """Return an instance without observers."""
        return cls()

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={len(getattr(self, name))}" for name in sorted(self.__slots__))
        return f"Observers({counts})"


def freeze_observers(pm: PluginManager) -> Observers:
    """Collect the observers of all registered plugins.

    Args:
        pm: Plugin manager with the hook specifications of rivers.

    Returns:
        Functions in the order in which pluggy would call them, without those of plugins registered later.
    """
    return Observers(**{name: _frozen(getattr(pm.hook, f"rivers_{name}")) for name in Observers.__slots__})


def _frozen(hook: HookCaller) -> tuple[Callable[..., None], ...]:
    assert hook.spec is not None
    names = tuple(hook.spec.argnames)
    impls = hook.get_hookimpls()
    wrapper = next((impl for impl in impls if impl.wrapper or impl.hookwrapper), None)
    if wrapper is not None:  # pluggy has to nest the calls
        return (_guarded(_call_by_keyword(hook, names), _all_arguments, hook.name, wrapper.plugin_name),)
    return tuple(
        _guarded(impl.function, _argument_selector(impl, names), hook.name, impl.plugin_name)
        for impl in reversed(impls)
    )


def _argument_selector(impl: HookImpl, names: tuple[str, ...]) -> SelectArguments:
    """Return a function that selects the arguments that an implementation takes."""
    positions = [names.index(name) for name in impl.argnames]
    if len(positions) > 1:
        return itemgetter(*positions)
    return itemgetter(slice(positions[0], positions[0] + 1) if positions else slice(0))


def _call_by_keyword(hook: HookCaller, names: tuple[str, ...]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return hook(**dict(zip(names, arguments, strict=True)))

    return call


def _guarded(
    function: Callable[..., Any], select: SelectArguments, hook_name: str, plugin_name: str
) -> Callable[..., None]:
    def observer(*arguments: Any) -> None:
        try:
            function(*select(arguments))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException:
            _LOG.exception("Plugin %s raised in %s; the run continues without it.", plugin_name, hook_name)

    return observer
