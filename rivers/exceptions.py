"""All errors of rivers: those of `rivers_core.exceptions`, and those that only the engine raises."""

from __future__ import annotations

from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConfigurationError,
    ConflictError,
    FindingsError,
    HandlerNotFoundError,
    IntegrityError,
    InvalidMetadataError,
    MetadataTypeError,
    NotMaterializedError,
    OneShotValueError,
    PartitionDefinitionError,
    PartitionValidationError,
    PluginLoadError,
    RiversError,
)

__all__ = [
    "AssetDefinitionError",
    "AssetNotFoundError",
    "AssetOutputValidationError",
    "ConfigurationError",
    "ConflictError",
    "ExecutionError",
    "FindingsError",
    "GraphValidationError",
    "HandlerNotFoundError",
    "IntegrityError",
    "InvalidMetadataError",
    "MetadataTypeError",
    "NodeNotFoundError",
    "NotMaterializedError",
    "OneShotValueError",
    "PartitionDefinitionError",
    "PartitionValidationError",
    "PluginLoadError",
    "ResultDefinitionError",
    "RiversError",
    "StorageError",
    "TaskDefinitionError",
]


class AssetDefinitionError(RiversError, ValueError):
    """An asset definition is invalid."""


class TaskDefinitionError(RiversError, ValueError):
    """A task definition is invalid."""


class ResultDefinitionError(RiversError, ValueError):
    """An `Output`, `Materialization`, `Observation` or `PartitionedOutput` is invalid."""


class GraphValidationError(FindingsError):
    """Assets, tasks and jobs do not form a valid graph."""


class AssetNotFoundError(RiversError, LookupError):
    """No asset has that name."""


class NodeNotFoundError(RiversError, LookupError):
    """No asset, output or inner node has that name."""


class ExecutionError(RiversError, RuntimeError):
    """A run failed; the error of the step is chained as the cause."""


class StorageError(RiversError, RuntimeError):
    """The event storage cannot be opened, read or written."""
