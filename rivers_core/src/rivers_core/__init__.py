"""The minimal core of rivers: the contract of IO handlers, plugin discovery, and configuration.

Public names are imported on first use, so that `import rivers_core` loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core._lazy import lazy_exports, register_former_module

if TYPE_CHECKING:
    from rivers_core import exceptions
    from rivers_core.config import Config, find_config, load_config
    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.hooks import CommandSpec, ExecutorSpec, HandlerSpec, hookimpl
    from rivers_core.keys import storage_key
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext, PartitionKey, PartitionKeyRange, PartitionsDefinition
    from rivers_core.plugins import PluginRegistry, get_registry
    from rivers_core.schema import Schema

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "BaseIOHandler": "rivers_core.handler",
        "CommandSpec": "rivers_core.hooks",
        "Config": "rivers_core.config",
        "ExecutorSpec": "rivers_core.hooks",
        "HandlerSpec": "rivers_core.hooks",
        "InputContext": "rivers_core.contexts",
        "MetadataValue": "rivers_core.metadata",
        "OutputContext": "rivers_core.contexts",
        "PartitionContext": "rivers_core.partitions",
        "PartitionKey": "rivers_core.partitions",
        "PartitionKeyRange": "rivers_core.partitions",
        "PartitionsDefinition": "rivers_core.partitions",
        "PluginRegistry": "rivers_core.plugins",
        "Schema": "rivers_core.schema",
        "exceptions": "rivers_core.exceptions",
        "find_config": "rivers_core.config",
        "get_registry": "rivers_core.plugins",
        "hookimpl": "rivers_core.hooks",
        "load_config": "rivers_core.config",
        "storage_key": "rivers_core.keys",
    },
)

# Modules that pickles of release 0.1 name.
register_former_module("rivers_core.metadata.values", {"MetadataValue": "rivers_core.metadata"})
register_former_module(
    "rivers_core.metadata.schema", {"ArrowField": "rivers_core.schema", "_rebuilt": "rivers_core.schema"}
)
