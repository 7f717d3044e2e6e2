"""How plugins are found, loaded and asked: records, loader, registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.lazy import lazy_exports
from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec

if TYPE_CHECKING:
    from rivers_core.plugins.registry import PluginRegistry, get_registry
    from rivers_core.plugins.states import PluginStatus, Registration

__all__ = [
    "CommandSpec",
    "ExecutorSpec",
    "HandlerSpec",
    "PluginRegistry",
    "PluginStatus",
    "Registration",
    "get_registry",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "PluginRegistry": "rivers_core.plugins.registry",
        "PluginStatus": "rivers_core.plugins.states",
        "Registration": "rivers_core.plugins.states",
        "get_registry": "rivers_core.plugins.registry",
    },
)
