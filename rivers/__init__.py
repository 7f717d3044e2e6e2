"""rivers: data pipelines of plain functions, with IO handlers that are packages.

`import rivers as rs` gives every public name; each is imported when it is first used. Handler classes such as
`rs.PickleIOHandler` come from whatever handler packages are installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers import exceptions as exceptions
    from rivers.definitions.asset import Asset as Asset
    from rivers.definitions.asset_def import AssetDef as AssetDef
    from rivers.definitions.asset_def import DepDef as DepDef
    from rivers.definitions.backoff import Backoff as Backoff
    from rivers.definitions.bash_task import BashTask as BashTask
    from rivers.definitions.compute import Compute as Compute
    from rivers.definitions.contexts import AssetExecutionContext as AssetExecutionContext
    from rivers.definitions.contexts import TaskExecutionContext as TaskExecutionContext
    from rivers.definitions.external import ExternalAsset as ExternalAsset
    from rivers.definitions.graph_asset import GraphAsset as GraphAsset
    from rivers.definitions.hook import Hook as Hook
    from rivers.definitions.hook import HookContext as HookContext
    from rivers.definitions.job import Job as Job
    from rivers.definitions.multi import MultiAsset as MultiAsset
    from rivers.definitions.resource import Resource as Resource
    from rivers.definitions.results import Materialization as Materialization
    from rivers.definitions.results import Observation as Observation
    from rivers.definitions.results import Output as Output
    from rivers.definitions.results import PartitionedOutput as PartitionedOutput
    from rivers.definitions.retry import FailureReason as FailureReason
    from rivers.definitions.retry import RetryOn as RetryOn
    from rivers.definitions.retry import RetryPolicy as RetryPolicy
    from rivers.definitions.self_dependency import SelfDependency as SelfDependency
    from rivers.definitions.single import SingleAsset as SingleAsset
    from rivers.definitions.task import Task as Task
    from rivers.execution.staleness import AssetStatus as AssetStatus
    from rivers.executors import Executor as Executor
    from rivers.mappings import PartitionMapping as PartitionMapping
    from rivers.repository import CodeRepository as CodeRepository
    from rivers.repository import RunResult as RunResult
    from rivers.storage import Storage as Storage
    from rivers_core import BaseIOHandler as BaseIOHandler
    from rivers_core import InputContext as InputContext
    from rivers_core import MetadataValue as MetadataValue
    from rivers_core import OutputContext as OutputContext
    from rivers_core import PartitionContext as PartitionContext
    from rivers_core import PartitionKey as PartitionKey
    from rivers_core import PartitionKeyRange as PartitionKeyRange
    from rivers_core import PartitionsDefinition as PartitionsDefinition
    from rivers_core import Schema as Schema

__version__ = "0.1.0"

_MODULES = {
    "Asset": "rivers.definitions.asset",
    "AssetDef": "rivers.definitions.asset_def",
    "AssetExecutionContext": "rivers.definitions.contexts",
    "AssetStatus": "rivers.execution.staleness",
    "Backoff": "rivers.definitions.backoff",
    "BaseIOHandler": "rivers_core",
    "BashTask": "rivers.definitions.bash_task",
    "CodeRepository": "rivers.repository",
    "Compute": "rivers.definitions.compute",
    "DepDef": "rivers.definitions.asset_def",
    "Executor": "rivers.executors",
    "ExternalAsset": "rivers.definitions.external",
    "FailureReason": "rivers.definitions.retry",
    "GraphAsset": "rivers.definitions.graph_asset",
    "Hook": "rivers.definitions.hook",
    "HookContext": "rivers.definitions.hook",
    "InputContext": "rivers_core",
    "Job": "rivers.definitions.job",
    "Materialization": "rivers.definitions.results",
    "MetadataValue": "rivers_core",
    "MultiAsset": "rivers.definitions.multi",
    "Observation": "rivers.definitions.results",
    "Output": "rivers.definitions.results",
    "OutputContext": "rivers_core",
    "PartitionContext": "rivers_core",
    "PartitionKey": "rivers_core",
    "PartitionKeyRange": "rivers_core",
    "PartitionMapping": "rivers.mappings",
    "PartitionedOutput": "rivers.definitions.results",
    "PartitionsDefinition": "rivers_core",
    "Resource": "rivers.definitions.resource",
    "RetryOn": "rivers.definitions.retry",
    "RetryPolicy": "rivers.definitions.retry",
    "RunResult": "rivers.repository",
    "Schema": "rivers_core",
    "SelfDependency": "rivers.definitions.self_dependency",
    "SingleAsset": "rivers.definitions.single",
    "Storage": "rivers.storage",
    "Task": "rivers.definitions.task",
    "TaskExecutionContext": "rivers.definitions.contexts",
}

__all__ = [*_MODULES, "exceptions"]


def __getattr__(name: str) -> Any:
    if name == "exceptions":
        return importlib.import_module("rivers.exceptions")
    if name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value
    if name.endswith("IOHandler"):
        from rivers_core.plugins import get_registry

        return get_registry().handler_class(name)
    raise AttributeError(f"module 'rivers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
