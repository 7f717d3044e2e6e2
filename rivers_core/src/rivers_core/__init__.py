"""The minimal core of rivers: the contract of IO handlers, plugin discovery, and configuration.

Public names are imported on first use, so that `import rivers_core` loads nothing else.
"""

from __future__ import annotations

from rivers_core._lazy import lazy_exports, register_former_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_core import exceptions as exceptions
    from rivers_core.config import Config as Config
    from rivers_core.config import find_config as find_config
    from rivers_core.config import load_config as load_config
    from rivers_core.contexts import InputContext as InputContext
    from rivers_core.contexts import OutputContext as OutputContext
    from rivers_core.handler import BaseIOHandler as BaseIOHandler
    from rivers_core.handler import StoredVersion as StoredVersion
    from rivers_core.hooks import CommandSpec as CommandSpec
    from rivers_core.hooks import ExecutorSpec as ExecutorSpec
    from rivers_core.hooks import HandlerSpec as HandlerSpec
    from rivers_core.hooks import StorageSpec as StorageSpec
    from rivers_core.hooks import hookimpl as hookimpl
    from rivers_core.keys import storage_key as storage_key
    from rivers_core.metadata import MetadataValue as MetadataValue
    from rivers_core.partitions import PartitionContext as PartitionContext
    from rivers_core.partitions import Partitioning as Partitioning
    from rivers_core.partitions import PartitionKey as PartitionKey
    from rivers_core.plugins import PluginRegistry as PluginRegistry
    from rivers_core.plugins import get_registry as get_registry
    from rivers_core.schema import Schema as Schema
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_core.config": ["Config", "find_config", "load_config"],
            "rivers_core.contexts": ["InputContext", "OutputContext"],
            "rivers_core.exceptions": [""],
            "rivers_core.handler": ["BaseIOHandler", "StoredVersion"],
            "rivers_core.hooks": ["CommandSpec", "ExecutorSpec", "HandlerSpec", "StorageSpec", "hookimpl"],
            "rivers_core.keys": ["storage_key"],
            "rivers_core.metadata": ["MetadataValue"],
            "rivers_core.partitions": [
                "PartitionContext",
                "PartitionKey",
                "Partitioning",
            ],
            "rivers_core.plugins": ["PluginRegistry", "get_registry"],
            "rivers_core.schema": ["Schema"],
        },
    )

__version__ = "0.1.0"

# Modules that pickles of release 0.1 name.
register_former_module("rivers_core.metadata.values", {"rivers_core.metadata": ["MetadataValue"]})
register_former_module("rivers_core.metadata.schema", {"rivers_core.schema": ["ArrowField", "_rebuilt"]})
