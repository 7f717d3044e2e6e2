"""Definitions: the values and decorators a pipeline author writes (floor 4).

`import rivers as rs` gives the public ones. Each name is imported on first use, so that one of them costs
only what it needs (`Resource` alone needs pydantic).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers.definitions.asset import Asset
    from rivers.definitions.asset_def import AssetDef, DepDef
    from rivers.definitions.backoff import Backoff
    from rivers.definitions.bash_task import BashTask
    from rivers.definitions.composition import AssetRef, GraphRecording, Literal, NodeCall, NodeRef, Reference
    from rivers.definitions.compute import Compute
    from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
    from rivers.definitions.external import ExternalAsset
    from rivers.definitions.graph_asset import GraphAsset
    from rivers.definitions.hook import Hook, HookContext
    from rivers.definitions.job import Job
    from rivers.definitions.multi import MultiAsset
    from rivers.definitions.resource import Resource
    from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput
    from rivers.definitions.retry import FailureReason, RetryOn, RetryPolicy
    from rivers.definitions.self_dependency import SelfDependency
    from rivers.definitions.signature import FunctionSignature, ParameterSpec, describe_signature
    from rivers.definitions.single import SingleAsset
    from rivers.definitions.task import Task

_NAMES_BY_MODULE = {
    "asset": ("Asset",),
    "asset_def": ("AssetDef", "DepDef"),
    "backoff": ("Backoff",),
    "bash_task": ("BashTask",),
    "composition": ("AssetRef", "GraphRecording", "Literal", "NodeCall", "NodeRef", "Reference"),
    "compute": ("Compute",),
    "contexts": ("AssetExecutionContext", "TaskExecutionContext"),
    "external": ("ExternalAsset",),
    "graph_asset": ("GraphAsset",),
    "hook": ("Hook", "HookContext"),
    "job": ("Job",),
    "multi": ("MultiAsset",),
    "resource": ("Resource",),
    "results": ("Materialization", "Observation", "Output", "PartitionedOutput"),
    "retry": ("FailureReason", "RetryOn", "RetryPolicy"),
    "self_dependency": ("SelfDependency",),
    "signature": ("FunctionSignature", "ParameterSpec", "describe_signature"),
    "single": ("SingleAsset",),
    "task": ("Task",),
}
_MODULES = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = [
    "Asset",
    "AssetDef",
    "AssetExecutionContext",
    "AssetRef",
    "Backoff",
    "BashTask",
    "Compute",
    "DepDef",
    "ExternalAsset",
    "FailureReason",
    "FunctionSignature",
    "GraphAsset",
    "GraphRecording",
    "Hook",
    "HookContext",
    "Job",
    "Literal",
    "Materialization",
    "MultiAsset",
    "NodeCall",
    "NodeRef",
    "Observation",
    "Output",
    "ParameterSpec",
    "PartitionedOutput",
    "Reference",
    "Resource",
    "RetryOn",
    "RetryPolicy",
    "SelfDependency",
    "SingleAsset",
    "Task",
    "TaskExecutionContext",
    "describe_signature",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
