"""The handler of two layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rivers_core.contexts import InputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.handler import BaseIOHandler, Locality
from rivers_core.handler.waiting import finished
from rivers_core.partitions import PartitionContext
from rivers_overlay.layers import OfLayers, narrower

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from rivers_core.contexts import OutputContext

TOP: Final = "top"
BASE: Final = "base"


class OverlayIOHandler(BaseIOHandler):
    """Reads from a top layer and, where nothing was ever stored there, from a base; writes to the top only.

    So a developer reads production and writes at home: the base is never written to and never deleted from.
    Only `NotMaterializedError` falls through. A value of the top that is damaged or cannot be reached is an
    error, and not a reason to show an older one.

    Which layer served a read is said by `context.served_by` (`"top"` or `"base"`), which observers see, and
    which a run records as `rivers/served_by` with whatever was made of the value.

    Args:
        top: The handler that is asked first and alone is written to; in a configuration, its name.
        base: The handler that is asked when the top has nothing.

    Examples:
        >>> from rivers_core import InputContext, OutputContext, get_registry
        >>> memory = get_registry().handler("memory")
        >>> production, mine = memory(), memory()
        >>> production.handle_output(OutputContext("orders"), [1, 2, 3])
        >>> handler = OverlayIOHandler(top=mine, base=production)
        >>> context = InputContext("orders", "report")
        >>> handler.load_input(context), context.served_by
        ([1, 2, 3], 'base')
        >>> handler.handle_output(OutputContext("orders"), [4])
        >>> handler.load_input(context), context.served_by
        ([4], 'top')
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_OVERLAY_")

    locality: ClassVar[Locality] = cast("Any", OfLayers[Locality]("shared", narrower))
    partition_batches: ClassVar[bool] = cast(
        "Any", OfLayers(False, lambda self: self.top.partition_batches and self.base.partition_batches)
    )
    is_async_output: ClassVar[bool] = cast("Any", OfLayers(False, lambda self: self.top.is_async_output))
    is_async_input: ClassVar[bool] = cast(
        "Any", OfLayers(False, lambda self: self.top.is_async_input or self.base.is_async_input)
    )

    top: BaseIOHandler = Field(description="Is asked first, and alone is written to.")
    base: BaseIOHandler = Field(description="Is asked when the top has nothing; never written to.")

    def handle_output(self, context: OutputContext, obj: Any) -> Awaitable[None] | None:
        """Store a value in the top layer.

        Args:
            context: Which asset and partition.
            obj: The value.
        """
        return self.top.handle_output(context, obj)

    def load_input(self, context: InputContext) -> Any:
        """Load from the top, and from the base if nothing was ever stored in the top.

        Args:
            context: Which asset and partition; its `served_by` says afterwards which layer it was.

        Returns:
            The value; an awaitable if one of the layers is asynchronous.

        Raises:
            NotMaterializedError: Neither layer has it.
            RiversError: Several partitions were asked for in one value, and the layers share them.
        """
        if self.is_async_input:
            return self._load_waiting(context)
        absent: list[NotMaterializedError] = []
        for name, layer in self._layers(context):
            try:
                value = layer.load_input(context)
            except NotMaterializedError as error:
                absent.append(error)
            else:
                context.served_by = name
                return value
        raise self._absence(context, absent)

    async def _load_waiting(self, context: InputContext) -> Any:
        absent: list[NotMaterializedError] = []
        for name, layer in self._layers(context):
            try:
                value = layer.load_input(context)
                value = await value if layer.is_async_input else value
            except NotMaterializedError as error:
                absent.append(error)
            else:
                context.served_by = name
                return value
        raise self._absence(context, absent)

    def exists(self, context: InputContext) -> bool:
        """Whether either layer has the value."""
        return bool(finished(self.top.exists(context)) or finished(self.base.exists(context)))

    def delete(self, context: InputContext) -> None:
        """Remove the value from the top layer; what the base has shows again."""
        self.top.delete(context)

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:  # type: ignore[override]
        """What both layers have to say about the options in an asset's metadata."""
        return list(dict.fromkeys([*self.top.check_options(metadata), *self.base.check_options(metadata)]))

    def accepts_type(self, hint: Any) -> bool:  # type: ignore[override]
        """Whether the top, which is written to, can store it."""
        return self.top.accepts_type(hint)

    def can_load_type(self, hint: Any) -> bool:  # type: ignore[override]
        """Whether both layers can give it, for either may have to."""
        return self.top.can_load_type(hint) and self.base.can_load_type(hint)

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Where a value is written to; for a read, where else it is looked for."""
        top = self.top.describe_address(context)
        if not isinstance(context, InputContext):
            return top
        base = self.base.describe_address(context)
        return f"{top or 'the top layer'}, else {base or 'the base layer'}"

    def _layers(self, context: InputContext) -> list[tuple[str, BaseIOHandler]]:
        """Where to look, in this order; several partitions in one value come from one layer."""
        top, base = (TOP, self.top), (BASE, self.base)
        partition = context.partition
        if partition is None or len(partition.keys) == 1:
            return [top, base]
        of_top = [key for key in partition.keys if self._is_in_top(context, key)]
        if of_top and len(of_top) < len(partition.keys):
            raise RiversError(
                f"Of the {len(partition.keys)} partitions of asset {context.asset_name!r} that are to be loaded as "
                f"one value, {len(of_top)} are in the top layer ({', '.join(map(str, of_top[:3]))}, ...) and the "
                "others are not. Take them one by one, with a parameter annotated `dict[str, ...]`, or materialize "
                "the others too."
            )
        return [top] if of_top else [base]

    def _is_in_top(self, context: InputContext, key: Any) -> bool:
        partition = context.partition
        assert partition is not None
        alone = InputContext(
            context.asset_name,
            context.downstream_asset,
            context.asset_metadata,
            PartitionContext([key], partition.definition),
            context.type_hint,
            run_id=context.run_id,
        )
        return bool(finished(self.top.exists(alone)))

    def _absence(self, context: InputContext, absent: list[NotMaterializedError]) -> NotMaterializedError:
        error = NotMaterializedError(
            context.asset_name,
            partition=absent[-1].partition,
            handler=f"{type(self.top).__name__} over {type(self.base).__name__}",
            address=self.describe_address(context),
            nearest=next((one.nearest for one in reversed(absent) if one.nearest), None),
        )
        error.__cause__ = absent[-1]
        return error
