"""All errors of rivers: those of `rivers_core.exceptions`, and those that only the engine raises."""

from __future__ import annotations

from typing import Final

from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConfigurationError,
    ConfigurationTypeError,
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


class AssetTypeError(AssetDefinitionError, TypeError):
    """An argument of an asset has the wrong type."""


class TaskTypeError(TaskDefinitionError, TypeError):
    """An argument of a task has the wrong type."""


class ResultDefinitionError(RiversError, ValueError):
    """An `Output`, `Materialization`, `Observation` or `PartitionedOutput` is invalid."""


class ResultTypeError(ResultDefinitionError, TypeError):
    """An argument of a result has the wrong type."""


class GraphValidationError(FindingsError):
    """Assets, tasks and jobs do not form a valid graph."""


class GraphTypeError(GraphValidationError, TypeError):
    """An argument of a job or a repository has the wrong type."""


class NodeNotFoundError(RiversError, LookupError):
    """No asset, job, output or inner node has that name."""


class AssetNotFoundError(NodeNotFoundError):
    """No asset has that name."""


class ExecutionError(RiversError, RuntimeError):
    """A run failed; the error of the step is chained as the cause."""


class StorageError(RiversError, RuntimeError):
    """The event storage cannot be opened, read or written."""


class CommandError(ExecutionError, OSError):
    """The command of a `BashTask` cannot be started, fails, or does not write text."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DynamicPartitionError(StorageError, PartitionDefinitionError):
    """A dynamic partition key cannot be stored."""


class UnknownPartitionError(PartitionValidationError, ExecutionError):
    """A run has no partition key where one is required, or one that does not exist."""


TYPE_ERRORS: Final[dict[type[RiversError], type[RiversError]]] = {
    AssetDefinitionError: AssetTypeError,
    ConfigurationError: ConfigurationTypeError,
    GraphValidationError: GraphTypeError,
    ResultDefinitionError: ResultTypeError,
    TaskDefinitionError: TaskTypeError,
}
"""For an error of definitions, the class for arguments of a wrong type."""
