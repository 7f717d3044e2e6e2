"""Hooks of plugins that choose and wrap handlers when a repository is resolved.

They are called directly instead of through pluggy, so that an error names its plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import ALWAYS_PROPAGATE, PluginLoadError, RiversError
from rivers_core.handler import BaseIOHandler
from rivers_core.plugins import RESOLVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pluggy import HookImpl

    from rivers_core.plugins import PluginRegistry


class ResolveHooks:
    """Hooks that are called for each asset when a repository is resolved, without those of plugins registered later.

    Args:
        registry: Registry whose plugins are called.

    Raises:
        PluginLoadError: A plugin that announces `rivers.resolve` is broken.
    """

    def __init__(self, registry: PluginRegistry) -> None:
        hook = registry.hooks(RESOLVE).hook
        self._default = tuple(reversed(hook.rivers_default_io_handler.get_hookimpls()))
        self._wrap = tuple(reversed(hook.rivers_wrap_io_handler.get_hookimpls()))

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
    if isinstance(result, BaseIOHandler):
        return result
    raise PluginLoadError(
        f"Plugin {impl.plugin_name!r}: {hook_name} must return {accepted} for asset {asset_name!r}, got "
        f"{type(result).__name__}."
    )
