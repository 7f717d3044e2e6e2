"""Calls of the hooks that choose and wrap handlers when a repository is resolved."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import ALWAYS_PROPAGATE, PluginLoadError, RiversError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pluggy import PluginManager

    from rivers_core.handler import BaseIOHandler


def call_default_io_handler(
    pm: PluginManager, asset_name: str, asset_metadata: Mapping[str, Any] | None
) -> str | BaseIOHandler | None:
    """Call `rivers_default_io_handler`.

    Args:
        pm: Plugin manager with all plugins registered.
        asset_name: Name of the asset.
        asset_metadata: Static metadata of the asset.

    Returns:
        The first result that is not None, or None.

    Raises:
        PluginLoadError: A plugin raised, or returned something else than a name or a handler.
    """
    hook = pm.hook.rivers_default_io_handler
    if not hook.get_hookimpls():
        return None
    try:
        result = hook(asset_name=asset_name, asset_metadata=asset_metadata)
    except (RiversError, *ALWAYS_PROPAGATE):
        raise
    except BaseException as error:
        raise _hook_error(pm, hook.name, asset_name, error) from error
    if result is None or isinstance(result, str) or _is_handler(result):
        return result  # type: ignore[no-any-return]
    raise PluginLoadError(
        f"rivers_default_io_handler must return the name of a handler, a BaseIOHandler or None for asset "
        f"{asset_name!r}, got {type(result).__name__}."
    )


def call_wrap_io_handler(pm: PluginManager, handler: BaseIOHandler, asset_name: str) -> BaseIOHandler:
    """Call `rivers_wrap_io_handler`, passing to each plugin the handler that the previous one returned.

    Args:
        pm: Plugin manager with all plugins registered.
        handler: Handler of the asset.
        asset_name: Name of the asset.

    Returns:
        The outermost handler.

    Raises:
        PluginLoadError: A plugin raised, or returned something else than a handler.
    """
    hook = pm.hook.rivers_wrap_io_handler
    for impl in reversed(hook.get_hookimpls()):
        arguments = {"handler": handler, "asset_name": asset_name}
        try:
            result: Any = impl.function(**{name: arguments[name] for name in impl.argnames})
        except (RiversError, *ALWAYS_PROPAGATE):
            raise
        except BaseException as error:
            raise _hook_error(pm, hook.name, asset_name, error) from error
        if result is None:
            continue
        if not _is_handler(result):
            raise PluginLoadError(
                f"Plugin {impl.plugin_name!r}: rivers_wrap_io_handler must return a BaseIOHandler or None for asset "
                f"{asset_name!r}, got {type(result).__name__}."
            )
        handler = result
    return handler


def _is_handler(value: object) -> bool:
    from rivers_core.handler import BaseIOHandler  # brings pydantic, which most hook results do not need

    return isinstance(value, BaseIOHandler)


def _hook_error(pm: PluginManager, hook_name: str, asset_name: str, error: BaseException) -> PluginLoadError:
    plugin = _failing_plugin(pm, hook_name, error)
    owner = f"Plugin {plugin!r}" if plugin else "A plugin"
    return PluginLoadError(
        f"{owner} raised in {hook_name} for asset {asset_name!r}: {type(error).__name__}: {error}"
    )


def _failing_plugin(pm: PluginManager, hook_name: str, error: BaseException) -> str | None:
    """Return the plugin whose implementation appears in the traceback; pluggy does not report it."""
    plugin_names: dict[object, str] = {
        inspect.unwrap(impl.function).__code__: impl.plugin_name
        for impl in getattr(pm.hook, hook_name).get_hookimpls()
    }
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in plugin_names:
            return plugin_names[traceback.tb_frame.f_code]
        traceback = traceback.tb_next
    return None
