"""The keyword arguments of the decorators, for type checkers: overloads would repeat each list three times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.asset_def import DepDef
    from rivers.definitions.compute import Compute
    from rivers.definitions.hook import Hook
    from rivers.definitions.retry import RetryPolicy
    from rivers.mappings import PartitionMapping
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionsDefinition

    Handler = BaseIOHandler | str | None
    Partitions = PartitionsDefinition | str | None
    Retry = RetryPolicy | str | None


class _CommonOptions(TypedDict, total=False):
    name: str | None
    tags: Sequence[str] | None
    partitions_def: Partitions
    io_handler: Handler
    retry: Retry


class _AssetOptions(_CommonOptions, total=False):
    kinds: str | Sequence[str] | None
    group: str | None
    code_version: str | None
    deps: Sequence[DepDef] | None
    hooks: Sequence[Hook] | None


class SingleOptions(_AssetOptions, total=False):
    """Keyword arguments of `Asset`."""

    metadata: Mapping[str, Any] | None
    compute: Compute | None


class MultiOptions(_AssetOptions, total=False):
    """Keyword arguments of `Asset.from_multi`."""

    compute: Compute | None


class GraphOptions(_AssetOptions, total=False):
    """Keyword arguments of `Asset.from_graph`."""

    metadata: Mapping[str, Any] | None
    node_io_handler: Handler


class TaskOptions(_CommonOptions, total=False):
    """Keyword arguments of `Task`."""

    partition_mapping: PartitionMapping | None
