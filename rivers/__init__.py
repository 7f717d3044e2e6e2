"""rivers: data pipelines of plain functions, with IO handlers that are packages.

`import rivers as rs` exports every public name; each is imported on first use. Handler classes such as
`rs.PickleIOHandler` come from the handler packages that are installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers import exceptions
    from rivers.definitions.asset import Asset, ExternalAsset, GraphAsset, MultiAsset, SingleAsset
    from rivers.definitions.asset_def import AssetDef, DepDef
    from rivers.definitions.contexts import AssetExecutionContext, SelfDependency, TaskExecutionContext
    from rivers.definitions.hook import Hook, HookContext
    from rivers.definitions.job import Job
    from rivers.definitions.resource import Resource
    from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput
    from rivers.definitions.retry import Backoff, Compute, FailureReason, RetryOn, RetryPolicy
    from rivers.definitions.task import BashTask, Task
    from rivers.execution.staleness import AssetStatus
    from rivers.executors import Executor
    from rivers.mappings import PartitionMapping
    from rivers.repository import CodeRepository, RunResult
    from rivers.storage import Storage
    from rivers_core import (
        BaseIOHandler,
        InputContext,
        MetadataValue,
        OutputContext,
        PartitionContext,
        PartitionKey,
        PartitionKeyRange,
        PartitionsDefinition,
        Schema,
    )

__version__ = "0.1.0"

# Type checkers read the imports above and this list, which must be a literal.
__all__ = [
    "Asset",
    "AssetDef",
    "AssetExecutionContext",
    "AssetStatus",
    "Backoff",
    "BaseIOHandler",
    "BashTask",
    "CodeRepository",
    "Compute",
    "DepDef",
    "Executor",
    "ExternalAsset",
    "FailureReason",
    "GraphAsset",
    "Hook",
    "HookContext",
    "InputContext",
    "Job",
    "Materialization",
    "MetadataValue",
    "MultiAsset",
    "Observation",
    "Output",
    "OutputContext",
    "PartitionContext",
    "PartitionKey",
    "PartitionKeyRange",
    "PartitionMapping",
    "PartitionedOutput",
    "PartitionsDefinition",
    "Resource",
    "RetryOn",
    "RetryPolicy",
    "RunResult",
    "Schema",
    "SelfDependency",
    "SingleAsset",
    "Storage",
    "Task",
    "TaskExecutionContext",
    "exceptions",
]

# Modules of the names that are not in `rivers_core`.
_NAMES_BY_MODULE = {
    "rivers.definitions.asset": ("Asset", "ExternalAsset", "GraphAsset", "MultiAsset", "SingleAsset"),
    "rivers.definitions.asset_def": ("AssetDef", "DepDef"),
    "rivers.definitions.contexts": ("AssetExecutionContext", "SelfDependency", "TaskExecutionContext"),
    "rivers.definitions.hook": ("Hook", "HookContext"),
    "rivers.definitions.job": ("Job",),
    "rivers.mappings": ("PartitionMapping",),
    "rivers.definitions.resource": ("Resource",),
    "rivers.definitions.results": ("Materialization", "Observation", "Output", "PartitionedOutput"),
    "rivers.definitions.retry": ("Backoff", "Compute", "FailureReason", "RetryOn", "RetryPolicy"),
    "rivers.definitions.task": ("BashTask", "Task"),
    "rivers.execution.staleness": ("AssetStatus",),
    "rivers.executors": ("Executor",),
    "rivers.repository": ("CodeRepository", "RunResult"),
    "rivers.storage": ("Storage",),
}


def __getattr__(name: str) -> Any:
    if name == "exceptions":
        return importlib.import_module("rivers.exceptions")
    if name in __all__:
        module = next((module for module, names in _NAMES_BY_MODULE.items() if name in names), "rivers_core")
        value = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value
    if name.endswith("IOHandler"):
        from rivers_core.plugins import get_registry

        return get_registry().handler_class(name)
    raise AttributeError(f"module 'rivers' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, with the handler classes of installed packages; imports none of them."""
    from rivers_core.plugins import get_registry

    handlers = [registration.spec.target.partition(":")[2] for registration in get_registry().handlers()]
    return sorted({*__all__, *handlers, "__version__"})
