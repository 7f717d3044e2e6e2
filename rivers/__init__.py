"""rivers: data pipelines of plain functions, with IO handlers that are packages.

`import rivers as rs` exports every public name; each is imported on first use. Handler classes such as
`rs.PickleIOHandler` come from the handler packages that are installed.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports, register_former_module

__version__ = "0.1.0"

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
    "ComputeEscalation",
    "DepDef",
    "DynamicOutput",
    "Executor",
    "ExternalAsset",
    "FailureReason",
    "GraphAsset",
    "Hook",
    "HookContext",
    "InputContext",
    "InvokedNodeOutput",
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
    "RunPlan",
    "RunResult",
    "Schema",
    "SelfDependency",
    "SingleAsset",
    "StatusList",
    "StatusRange",
    "Storage",
    "Task",
    "TaskExecutionContext",
    "exceptions",
    "testing",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers import exceptions as exceptions
    from rivers import testing as testing
    from rivers.definitions.asset import Asset as Asset
    from rivers.definitions.asset import ExternalAsset as ExternalAsset
    from rivers.definitions.asset import GraphAsset as GraphAsset
    from rivers.definitions.asset import MultiAsset as MultiAsset
    from rivers.definitions.asset import SingleAsset as SingleAsset
    from rivers.definitions.asset_def import AssetDef as AssetDef
    from rivers.definitions.asset_def import DepDef as DepDef
    from rivers.definitions.composition import InvokedNodeOutput as InvokedNodeOutput
    from rivers.definitions.contexts import AssetExecutionContext as AssetExecutionContext
    from rivers.definitions.contexts import SelfDependency as SelfDependency
    from rivers.definitions.contexts import TaskExecutionContext as TaskExecutionContext
    from rivers.definitions.fan_out import DynamicOutput as DynamicOutput
    from rivers.definitions.hook import Hook as Hook
    from rivers.definitions.hook import HookContext as HookContext
    from rivers.definitions.job import Job as Job
    from rivers.definitions.resource import Resource as Resource
    from rivers.definitions.results import Materialization as Materialization
    from rivers.definitions.results import Observation as Observation
    from rivers.definitions.results import Output as Output
    from rivers.definitions.results import PartitionedOutput as PartitionedOutput
    from rivers.definitions.retry import Backoff as Backoff
    from rivers.definitions.retry import Compute as Compute
    from rivers.definitions.retry import ComputeEscalation as ComputeEscalation
    from rivers.definitions.retry import FailureReason as FailureReason
    from rivers.definitions.retry import RetryOn as RetryOn
    from rivers.definitions.retry import RetryPolicy as RetryPolicy
    from rivers.definitions.task import BashTask as BashTask
    from rivers.definitions.task import Task as Task
    from rivers.execution.staleness import AssetStatus as AssetStatus
    from rivers.execution.staleness import StatusList as StatusList
    from rivers.execution.staleness import StatusRange as StatusRange
    from rivers.executors import Executor as Executor
    from rivers.mappings import PartitionMapping as PartitionMapping
    from rivers.partitions import PartitionKeyRange as PartitionKeyRange
    from rivers.partitions import PartitionsDefinition as PartitionsDefinition
    from rivers.repository import CodeRepository as CodeRepository
    from rivers.repository import RunPlan as RunPlan
    from rivers.repository import RunResult as RunResult
    from rivers.storage import Storage as Storage
    from rivers_core import BaseIOHandler as BaseIOHandler
    from rivers_core import InputContext as InputContext
    from rivers_core import MetadataValue as MetadataValue
    from rivers_core import OutputContext as OutputContext
    from rivers_core import PartitionContext as PartitionContext
    from rivers_core import PartitionKey as PartitionKey
    from rivers_core import Schema as Schema
    from rivers_delta import DeltaIOHandler as DeltaIOHandler
    from rivers_json import JsonIOHandler as JsonIOHandler
    from rivers_memory import InMemoryIOHandler as InMemoryIOHandler
    from rivers_overlay import OverlayIOHandler as OverlayIOHandler
    from rivers_parquet import ParquetIOHandler as ParquetIOHandler
    from rivers_pickle import PickleIOHandler as PickleIOHandler

else:
    _export, _, _ = lazy_exports(
        __name__,
        {
            "rivers.exceptions": [""],
            "rivers.testing": [""],
            "rivers.definitions.asset": ["Asset", "ExternalAsset", "GraphAsset", "MultiAsset", "SingleAsset"],
            "rivers.definitions.asset_def": ["AssetDef", "DepDef"],
            "rivers.definitions.contexts": [
                "AssetExecutionContext",
                "SelfDependency",
                "TaskExecutionContext",
            ],
            "rivers.definitions.composition": ["InvokedNodeOutput"],
            "rivers.definitions.fan_out": ["DynamicOutput"],
            "rivers.definitions.hook": ["Hook", "HookContext"],
            "rivers.definitions.job": ["Job"],
            "rivers.definitions.resource": ["Resource"],
            "rivers.definitions.results": ["Materialization", "Observation", "Output", "PartitionedOutput"],
            "rivers.definitions.retry": [
                "Backoff",
                "Compute",
                "ComputeEscalation",
                "FailureReason",
                "RetryOn",
                "RetryPolicy",
            ],
            "rivers.definitions.task": ["BashTask", "Task"],
            "rivers.execution.staleness": ["AssetStatus", "StatusList", "StatusRange"],
            "rivers.executors": ["Executor"],
            "rivers.mappings": ["PartitionMapping"],
            "rivers.partitions": ["PartitionKeyRange", "PartitionsDefinition"],
            "rivers.repository": ["CodeRepository", "RunPlan", "RunResult"],
            "rivers.storage": ["Storage"],
            "rivers_core": [
                "BaseIOHandler",
                "InputContext",
                "MetadataValue",
                "OutputContext",
                "PartitionContext",
                "PartitionKey",
                "Schema",
            ],
        },
    )

    # Modules that pickles of release 0.1 name.
    register_former_module(
        "rivers_core.partitions.definitions",
        {
            "rivers.partitions.definitions": [
                "DynamicPartitions",
                "MultiPartitions",
                "PartitionsDefinition",
                "StaticPartitions",
                "TimeWindowPartitions",
            ]
        },
    )
    register_former_module(
        "rivers_core.partitions.key_range",
        {"rivers.partitions.key_range": ["MultiKeyRange", "PartitionKeyRange", "SingleKeyRange"]},
    )

    def __getattr__(name: str) -> object:
        if name.endswith("IOHandler") and name not in __all__:
            from rivers_core.plugins import get_registry

            return get_registry().handler_class(name)
        return _export(name)

    def __dir__() -> list[str]:
        """List the public names, with the handler classes of installed packages; imports none of them."""
        from rivers_core.plugins import get_registry

        handlers = [registration.spec.class_name for registration in get_registry().handlers()]
        return sorted({*__all__, *handlers, "__version__"})
