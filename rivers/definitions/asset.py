"""Asset: a function whose result is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from rivers.definitions.asset_base import AssetBase
from rivers.definitions.definition import Decorator
from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from rivers.definitions.asset_def import AssetDef, DepDef
    from rivers.definitions.compute import Compute
    from rivers.definitions.external import ExternalAsset
    from rivers.definitions.graph_asset import GraphAsset
    from rivers.definitions.hook import Hook
    from rivers.definitions.multi import MultiAsset
    from rivers.definitions.options import GraphOptions, MultiOptions, SingleOptions
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.single import SingleAsset
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionsDefinition

__all__ = ["Asset"]

Function = Callable[..., Any]


class Asset(AssetBase):
    """A function whose result is kept by an IO handler; a decorator, bare or with arguments.

    The parameters say what it needs: the context (`AssetExecutionContext`, first), its own stored value
    (`SelfDependency`), other assets and resources by name. An asset that is called directly calls its
    function.

    Args:
        wraps: The function.
        name: The asset's name; the function's by default.
        tags: Tags.
        kinds: What it is made of; one text or a list.
        group: The group it is shown in.
        code_version: The version of the code; a new one makes what is stored stale.
        io_handler: A handler, or the name of one.
        metadata: JSON values; `handler/option` keys are options of that handler.
        partitions_def: Its partitions, or the name of one of the repository's partition_defs.
        deps: More about its upstreams than their names: `AssetDef.input(...)`, `AssetDef.dep(...)`.
        hooks: Called when its step succeeded or failed.
        retry: How it is tried again; a policy, or the name of one of the repository's retries.
        compute: How much of a machine it needs, for executors that ask.

    Raises:
        AssetDefinitionError: If an argument is not what it has to be, or the context is not the first
            parameter.

    Examples:
        >>> @Asset
        ... def numbers() -> list[int]:
        ...     return [1, 2, 3]
        >>> @Asset(tags=["daily"])
        ... def total(numbers: list[int]) -> int:
        ...     return sum(numbers)
        >>> total([1, 2])
        3
    """

    @overload
    def __new__(cls, wraps: Function, **options: Unpack[SingleOptions]) -> SingleAsset: ...
    @overload
    def __new__(  # type: ignore[misc]
        cls, wraps: None = None, **options: Unpack[SingleOptions]
    ) -> Callable[[Function], SingleAsset]: ...
    def __new__(
        cls,
        wraps: Function | None = None,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        group: str | None = None,
        code_version: str | None = None,
        io_handler: BaseIOHandler | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
        deps: Sequence[DepDef] | None = None,
        hooks: Sequence[Hook] | None = None,
        retry: RetryPolicy | str | None = None,
        compute: Compute | None = None,
    ) -> Any:
        """Makes the asset, or a decorator if there is no function yet."""
        from rivers.definitions.single import SingleAsset

        if cls not in (Asset, SingleAsset):
            raise AssetDefinitionError(
                f"{cls.__name__} is not called itself; write Asset.from_multi, Asset.from_graph or "
                "Asset.external."
            )

        def make(function: Function) -> SingleAsset:
            return SingleAsset.define(
                function,
                name=name,
                tags=tags,
                kinds=kinds,
                group=group,
                code_version=code_version,
                io_handler=io_handler,
                metadata=metadata,
                partitions_def=partitions_def,
                deps=deps,
                hooks=hooks,
                retry=retry,
                compute=compute,
            )

        return Decorator("Asset", make) if wraps is None else make(wraps)

    @overload
    @staticmethod
    def from_multi(
        wraps: Function, output_defs: Sequence[AssetDef] = (), **options: Unpack[MultiOptions]
    ) -> MultiAsset: ...
    @overload
    @staticmethod
    def from_multi(
        wraps: None = None, output_defs: Sequence[AssetDef] = (), **options: Unpack[MultiOptions]
    ) -> Callable[[Function], MultiAsset]: ...
    @staticmethod
    def from_multi(
        wraps: Function | None = None,
        output_defs: Sequence[AssetDef] = (),
        name: str | None = None,
        tags: Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        group: str | None = None,
        code_version: str | None = None,
        io_handler: BaseIOHandler | str | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
        deps: Sequence[DepDef] | None = None,
        hooks: Sequence[Hook] | None = None,
        retry: RetryPolicy | str | None = None,
        compute: Compute | None = None,
    ) -> MultiAsset | Callable[[Function], MultiAsset]:
        """Makes an asset with several outputs; a decorator, or a direct call with `wraps=`.

        The function returns `{output name: value}` or yields `Output(value, output_name=...)`.

        Args:
            wraps: The function.
            output_defs: One `AssetDef` for each output; at least one.
            name: The name of the step; the function's by default.
            tags: Tags of all outputs.
            kinds: Kinds of all outputs.
            group: The group of outputs that say none.
            code_version: The code version of outputs that say none.
            io_handler: The handler of outputs that say none.
            partitions_def: The partitions of outputs that say none.
            deps: More about its upstreams than their names.
            hooks: Called when its step succeeded or failed.
            retry: How it is tried again.
            compute: How much of a machine it needs.

        Raises:
            AssetDefinitionError: If an argument is not what it has to be, or two outputs have one name.
        """
        from rivers.definitions.multi import MultiAsset

        def make(function: Function) -> MultiAsset:
            return MultiAsset.define(
                function,
                output_defs=output_defs,
                name=name,
                tags=tags,
                kinds=kinds,
                group=group,
                code_version=code_version,
                io_handler=io_handler,
                partitions_def=partitions_def,
                deps=deps,
                hooks=hooks,
                retry=retry,
                compute=compute,
            )

        return Decorator("Asset.from_multi", make) if wraps is None else make(wraps)

    @overload
    @staticmethod
    def from_graph(wraps: Function, **options: Unpack[GraphOptions]) -> GraphAsset: ...
    @overload
    @staticmethod
    def from_graph(
        wraps: None = None, **options: Unpack[GraphOptions]
    ) -> Callable[[Function], GraphAsset]: ...
    @staticmethod
    def from_graph(
        wraps: Function | None = None,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        group: str | None = None,
        code_version: str | None = None,
        io_handler: BaseIOHandler | str | None = None,
        node_io_handler: BaseIOHandler | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
        deps: Sequence[DepDef] | None = None,
        hooks: Sequence[Hook] | None = None,
        retry: RetryPolicy | str | None = None,
    ) -> GraphAsset | Callable[[Function], GraphAsset]:
        """Makes an asset of tasks that are wired together; a decorator, bare or with arguments, or a direct call.

        The body is called once, when the repository is resolved, and only wires tasks together. Its
        parameters are assets by name; the nodes are called `graph/task`.

        Args:
            wraps: The body.
            name: The asset's name; the function's by default.
            tags: Tags.
            kinds: What it is made of.
            group: The group it is shown in.
            code_version: The version of the code.
            io_handler: The handler of the result.
            node_io_handler: The handler of inner nodes that have none of their own.
            metadata: JSON values for the result.
            partitions_def: Partitions of the asset and of its nodes.
            deps: More about its upstreams than their names.
            hooks: Called when the asset is stored or failed.
            retry: How its nodes are tried again.

        Raises:
            AssetDefinitionError: If an argument is not what it has to be.
        """
        from rivers.definitions.graph_asset import GraphAsset

        def make(function: Function) -> GraphAsset:
            return GraphAsset.define(
                function,
                node_io_handler=node_io_handler,
                name=name,
                tags=tags,
                kinds=kinds,
                group=group,
                code_version=code_version,
                io_handler=io_handler,
                metadata=metadata,
                partitions_def=partitions_def,
                deps=deps,
                hooks=hooks,
                retry=retry,
            )

        return Decorator("Asset.from_graph", make) if wraps is None else make(wraps)

    @staticmethod
    def external(
        wraps: Function | None = None,
        *,
        name: str | None = None,
        io_handler: BaseIOHandler | str | None = None,
        tags: Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        group: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
    ) -> ExternalAsset:
        """Makes an asset that somebody else stores: never run, loaded through its handler.

        Args:
            wraps: A function that observes it (`repo.observe()`), if there is one; also
                `@Asset.external(...)`.
            name: The asset's name; the observing function's by default.
            io_handler: The handler it is loaded with, or the name of one. Required.
            tags: Tags.
            kinds: What it is made of.
            group: The group it is shown in.
            metadata: JSON values; `handler/option` keys are options of that handler.
            partitions_def: Its partitions.

        Raises:
            AssetDefinitionError: If an argument is not what it has to be, or there is no handler.

        Examples:
            >>> Asset.external(name="raw", io_handler="pickle")
            ExternalAsset('raw')
        """
        from rivers.definitions.external import ExternalAsset

        declared: ExternalAsset = ExternalAsset.declare(
            wraps,
            name=name,
            io_handler=io_handler,
            tags=tags,
            kinds=kinds,
            group=group,
            metadata=metadata,
            partitions_def=partitions_def,
        )
        return declared
