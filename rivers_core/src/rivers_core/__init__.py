"""The minimal core that IO handlers for rivers are built on.

Every public name is imported when it is first used, so `import rivers_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers_core import exceptions
    from rivers_core.config import Config, find_config, load_config
    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.hooks import CommandSpec, ExecutorSpec, HandlerSpec, hookimpl
    from rivers_core.keys import storage_key
    from rivers_core.metadata import MetadataValue, Schema
    from rivers_core.partitions import PartitionContext, PartitionKey, PartitionKeyRange, PartitionsDefinition
    from rivers_core.plugins import PluginRegistry, get_registry

__version__ = "0.1.0"

__all__ = [
    "BaseIOHandler",
    "CommandSpec",
    "Config",
    "ExecutorSpec",
    "HandlerSpec",
    "InputContext",
    "MetadataValue",
    "OutputContext",
    "PartitionContext",
    "PartitionKey",
    "PartitionKeyRange",
    "PartitionsDefinition",
    "PluginRegistry",
    "Schema",
    "exceptions",
    "find_config",
    "get_registry",
    "hookimpl",
    "load_config",
    "storage_key",
]

_HOMES = {
    "BaseIOHandler": "handler",
    "CommandSpec": "hooks",
    "Config": "config",
    "ExecutorSpec": "hooks",
    "HandlerSpec": "hooks",
    "InputContext": "contexts",
    "MetadataValue": "metadata",
    "OutputContext": "contexts",
    "PartitionContext": "partitions",
    "PartitionKey": "partitions",
    "PartitionKeyRange": "partitions",
    "PartitionsDefinition": "partitions",
    "PluginRegistry": "plugins",
    "Schema": "metadata",
    "find_config": "config",
    "get_registry": "plugins",
    "hookimpl": "hooks",
    "load_config": "config",
    "storage_key": "keys",
}


def __getattr__(name: str) -> Any:
    if name == "exceptions":
        return import_module("rivers_core.exceptions")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
