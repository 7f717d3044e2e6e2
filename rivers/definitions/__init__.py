"""Definitions: the values and decorators a pipeline author writes (floor 4).

`import rivers as rs` gives the public ones. `Resource` is imported on first use: only it needs pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.definitions.asset import Asset
from rivers.definitions.asset_def import AssetDef, DepDef
from rivers.definitions.bash_task import BashTask
from rivers.definitions.composition import AssetRef, GraphRecording, Literal, NodeCall, NodeRef, Reference
from rivers.definitions.compute import Compute
from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
from rivers.definitions.external import ExternalAsset
from rivers.definitions.graph_asset import GraphAsset
from rivers.definitions.hook import Hook, HookContext
from rivers.definitions.job import Job
from rivers.definitions.mapping import PartitionMapping
from rivers.definitions.multi import MultiAsset
from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput
from rivers.definitions.retry import Backoff, FailureReason, RetryOn, RetryPolicy
from rivers.definitions.self_dependency import SelfDependency
from rivers.definitions.signature import FunctionSignature, ParameterSpec, describe_signature
from rivers.definitions.single import SingleAsset
from rivers.definitions.task import Task

if TYPE_CHECKING:
    from rivers.definitions.resource import Resource

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
    "PartitionMapping",
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
    if name == "Resource":
        from rivers.definitions.resource import Resource

        return Resource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
