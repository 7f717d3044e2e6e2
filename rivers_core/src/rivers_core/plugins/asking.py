"""The hooks that are asked when a repository is resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import ALWAYS_PROPAGATE, PluginLoadError, RiversError
from rivers_core.hooks.matching import origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pluggy import PluginManager

    from rivers_core.handler import BaseIOHandler


def default_io_handler(
    pm: PluginManager, asset_name: str, asset_metadata: Mapping[str, Any] | None
) -> str | BaseIOHandler | None:
    """Ask `rivers_default_io_handler`.

    Args:
        pm: The plugin manager.
        asset_name: The asset.
        asset_metadata: Its static metadata.

    Returns:
        The first answer, or None.

    Raises:
        PluginLoadError: A plugin raised, or answered with something else.
    """
    hook = pm.hook.rivers_default_io_handler
    if not hook.get_hookimpls():
        return None
    try:
        answer = hook(asset_name=asset_name, asset_metadata=asset_metadata)
    except (RiversError, *ALWAYS_PROPAGATE):
        raise
    except BaseException as error:
        raise _failed(pm, hook.name, asset_name, error) from error
    if answer is None or isinstance(answer, str) or _is_handler(answer):
        return answer  # type: ignore[no-any-return]
    raise PluginLoadError(
        f"rivers_default_io_handler answered {type(answer).__name__} for asset {asset_name!r}; "
        "it has to be the name of a handler, a BaseIOHandler, or None."
    )


def wrapped(pm: PluginManager, handler: BaseIOHandler, asset_name: str) -> BaseIOHandler:
    """Ask `rivers_wrap_io_handler`, each plugin with what the one before made of the handler.

    Args:
        pm: The plugin manager.
        handler: The handler of the asset.
        asset_name: The asset.

    Returns:
        The outermost handler.

    Raises:
        PluginLoadError: A plugin raised, or answered with something that is no handler.
    """
    hook = pm.hook.rivers_wrap_io_handler
    for impl in reversed(hook.get_hookimpls()):
        given = {"handler": handler, "asset_name": asset_name}
        try:
            answer: Any = impl.function(**{name: given[name] for name in impl.argnames})
        except (RiversError, *ALWAYS_PROPAGATE):
            raise
        except BaseException as error:
            raise _failed(pm, hook.name, asset_name, error) from error
        if answer is None:
            continue
        if not _is_handler(answer):
            raise PluginLoadError(
                f"Plugin {impl.plugin_name!r} put a {type(answer).__name__} around the handler of asset "
                f"{asset_name!r}; rivers_wrap_io_handler has to return a BaseIOHandler or None."
            )
        handler = answer
    return handler


def _is_handler(value: object) -> bool:
    from rivers_core.handler import BaseIOHandler

    return isinstance(value, BaseIOHandler)


def _failed(pm: PluginManager, hook_name: str, asset_name: str, error: BaseException) -> PluginLoadError:
    plugin = origin(pm, hook_name, error)
    owner = f"Plugin {plugin!r}" if plugin else "A plugin"
    return PluginLoadError(
        f"{owner} raised in {hook_name} for asset {asset_name!r}: {type(error).__name__}: {error}"
    )
