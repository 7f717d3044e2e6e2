"""How plugins are found, loaded and asked: records, loader, registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec

if TYPE_CHECKING:
    from rivers_core.plugins.registry import PluginRegistry, get_registry
    from rivers_core.plugins.states import PluginState, Provided

__all__ = [
    "CommandSpec",
    "ExecutorSpec",
    "HandlerSpec",
    "PluginRegistry",
    "PluginState",
    "Provided",
    "get_registry",
]

_LAZY = {
    "PluginRegistry": "rivers_core.plugins.registry",
    "get_registry": "rivers_core.plugins.registry",
    "PluginState": "rivers_core.plugins.states",
    "Provided": "rivers_core.plugins.states",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
