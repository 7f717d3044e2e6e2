"""Calls of hooks: which implementations are valid, how observers are frozen, and what hooks at resolve return.

Implementations are called directly instead of through pluggy: an error then names its plugin, and a step of a run pays
for nothing but the function.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from rivers_core._messages import did_you_mean
from rivers_core.exceptions import ALWAYS_PROPAGATE, PluginLoadError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pluggy import HookCaller, HookImpl, PluginManager

    from rivers_core.handler import BaseIOHandler

_LOG: Final = logging.getLogger("rivers.plugins")


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
    return Observers(
        **{
            name: tuple(_observer(hook, impl) for impl in reversed(hook.get_hookimpls()))
            for name, hook in ((name, getattr(pm.hook, f"rivers_{name}")) for name in Observers.__slots__)
        }
    )


def _observer(hook: HookCaller, impl: HookImpl) -> Callable[..., None]:
    assert hook.spec is not None
    positions = [hook.spec.argnames.index(name) for name in impl.argnames]
    # itemgetter of one position returns the argument itself, of a slice a tuple
    single = slice(positions[0], positions[0] + 1) if positions else slice(0)
    select: Callable[[tuple[Any, ...]], tuple[Any, ...]] = (
        itemgetter(*positions) if len(positions) > 1 else itemgetter(single)
    )
    function, plugin_name = impl.function, impl.plugin_name

    def observe(*arguments: Any) -> None:
        try:
            function(*select(arguments))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException:
            _LOG.exception("Plugin %s raised in %s; the run continues without it.", plugin_name, hook.name)

    return observe


class ResolveHooks:
    """Hooks that are called for each asset when a repository is resolved, without those of plugins registered later.

    Args:
        pm: Plugin manager with the plugins to call.
    """

    def __init__(self, pm: PluginManager) -> None:
        self._default = tuple(reversed(pm.hook.rivers_default_io_handler.get_hookimpls()))
        self._wrap = tuple(reversed(pm.hook.rivers_wrap_io_handler.get_hookimpls()))

    def default_io_handler(
        self, asset_name: str, asset_metadata: Mapping[str, Any] | None = None
    ) -> str | BaseIOHandler | None:
        """Ask plugins for the handler of an asset that names none.

        Args:
            asset_name: Name of the asset.
            asset_metadata: Static metadata of the asset.

        Returns:
            The first answer, or None if no plugin has one.

        Raises:
            PluginLoadError: A plugin raised, or returned something else than a name or a handler.
        """
        hook, accepted = "rivers_default_io_handler", "the name of a handler, a BaseIOHandler or None"
        for impl in self._default:
            result = _call(impl, hook, asset_name=asset_name, asset_metadata=asset_metadata)
            if isinstance(result, str):
                return result
            if result is not None:
                return _handler(result, impl, hook, accepted, asset_name)
        return None

    def wrap(self, handler: BaseIOHandler, asset_name: str) -> BaseIOHandler:
        """Let each plugin wrap the handler of an asset that the previous one returned.

        Args:
            handler: Handler of the asset.
            asset_name: Name of the asset.

        Returns:
            The outermost handler; `handler` itself if no plugin wraps it.

        Raises:
            PluginLoadError: A plugin raised, or returned something else than a handler.
        """
        hook = "rivers_wrap_io_handler"
        for impl in self._wrap:
            result = _call(impl, hook, handler=handler, asset_name=asset_name)
            if result is not None:
                handler = _handler(result, impl, hook, "a BaseIOHandler or None", asset_name)
        return handler


def _call(impl: HookImpl, hook_name: str, **arguments: Any) -> Any:
    try:
        return impl.function(*(arguments[name] for name in impl.argnames))
    except (RiversError, *ALWAYS_PROPAGATE):
        raise
    except BaseException as error:
        raise PluginLoadError(
            f"Plugin {impl.plugin_name!r} raised in {hook_name} for asset {arguments['asset_name']!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _handler(result: Any, impl: HookImpl, hook_name: str, accepted: str, asset_name: str) -> BaseIOHandler:
    from rivers_core.handler import BaseIOHandler  # brings pydantic, which most hook results do not need

    if isinstance(result, BaseIOHandler):
        return result
    raise PluginLoadError(
        f"Plugin {impl.plugin_name!r}: {hook_name} must return {accepted} for asset {asset_name!r}, got "
        f"{type(result).__name__}."
    )


def validate_hooks(pm: PluginManager, module: object) -> None:
    """Reject hook implementations that rivers could not call.

    Args:
        pm: Plugin manager in which the plugin is registered.
        module: The plugin.

    Raises:
        AttributeError: It implements a hook that does not exist and is not marked as optional, or defines a function
            with the name of a hook and does not mark it.
        TypeError: An implementation is a pluggy wrapper, whose generator rivers does not run.
    """
    hooks = vars(pm.hook)
    known = sorted(name for name, hook in hooks.items() if hook.has_spec())
    for name, hook in hooks.items():
        for impl in hook.get_hookimpls():
            if impl.plugin is not module:
                continue
            if name not in known and not impl.optionalhook:
                hint = did_you_mean(name, known) or f" Use one of: {', '.join(known)}."
                raise AttributeError(f"hook {name!r} not found.{hint}")
            if impl.wrapper or impl.hookwrapper:
                raise TypeError(
                    f"{name} cannot be a pluggy wrapper; return a result instead of yielding once"
                )
    for name in known:
        if _is_unmarked(pm, module, name):
            raise AttributeError(f"{name} is not marked as a hook. Write @hookimpl above it.")


def _is_unmarked(pm: PluginManager, module: object, name: str) -> bool:
    """Return whether a plugin has a function with the name of a hook that pluggy ignores.

    A hook specification, which a plugin may import for its type, does not count.
    """
    function = getattr(module, name, None)
    return (
        inspect.isroutine(function)
        and pm.parse_hookimpl_opts(module, name) is None
        and pm.parse_hookspec_opts(module, name) is None  # type: ignore[arg-type]
    )
