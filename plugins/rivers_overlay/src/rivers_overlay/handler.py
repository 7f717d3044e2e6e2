"""The handler of two layers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, InputContext, storage_key
from rivers_core.authoring import resolve_awaitable, run_sync
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_overlay.batches import is_batch, joined, one_by_one, stretches
from rivers_overlay.layers import address_in, has, loaded
from rivers_overlay.places import between, handlers_in, is_same, same_store, stores_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Self

    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

    from rivers_core import OutputContext
    from rivers_core.authoring import Locality

TOP: Final = "top"
BASE: Final = "base"


class OverlayIOHandler(BaseIOHandler):
    """Reads from a top layer and, where nothing was ever stored there, from a base; writes to the top only.

    So a developer reads production and writes at home: the base is never written to and never deleted from.
    Only `NotMaterializedError` (and `FileNotFoundError`, which says the same) falls through. A value of the top
    that is damaged or cannot be reached is an error, and not a reason to show an older one.

    Which layer served a read is said by `context.served_by`: `"top"` or `"base"`, and `"base/top"` for the top
    of a base that is an overlay itself. Observers see it, a run records it as `rivers/served_by` with whatever
    was made of the value, and the log of the context says it with the address, at level debug.

    What a class usually declares depends on the layers here, so ask an instance: it reaches as far as the
    narrower layer, takes several partitions in one call if both do, and is asynchronous where a layer is.

    Args:
        top: The handler that is asked first and alone is written to; in a configuration, its name.
        base: The handler that is asked when the top has nothing; likewise.

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

    model_config = SettingsConfigDict(frozen=True)

    top: BaseIOHandler = Field(description="Is asked first, and alone is written to.")
    base: BaseIOHandler = Field(description="Is asked when the top has nothing; never written to.")

    _folders: frozenset[str] = PrivateAttr(default=frozenset())

    @field_validator("top", "base", mode="before")
    @classmethod
    def _is_a_handler(cls, value: Any) -> Any:
        if not isinstance(value, BaseIOHandler):
            raise ValueError(
                f"a layer is an IO handler, or in a configuration the name of one; got {type(value).__name__}"
            )
        return value

    @model_validator(mode="after")
    def _base_is_never_written(self) -> Self:
        in_base = list(handlers_in(self.base))
        folders: set[str | None] = set()
        for written in stores_of(self.top):
            if any(is_same(written, store) for store in in_base):
                raise ValueError(same_store(written))
            folders.update(between(written, store) for store in in_base)
        self._folders = frozenset(folder.casefold() for folder in folders if folder is not None)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone: a variable holds a text, and no handler."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def locality(self) -> Locality:
        """The narrower locality of the two layers, since a value may be in either."""
        return min(self.top.locality, self.base.locality, key=("process", "host", "shared").index)

    @property
    def partition_batches(self) -> bool:
        """True if both layers take several partitions in one call."""
        return bool(self.top.partition_batches and self.base.partition_batches)

    @property
    def can_delete(self) -> bool:
        """True if the top layer can delete."""
        return bool(self.top.can_delete)

    @property
    def is_async_output(self) -> bool:
        """True if the top layer is written asynchronously."""
        return bool(self.top.is_async_output)

    @property
    def is_async_input(self) -> bool:
        """True if either layer is read asynchronously."""
        return bool(self.top.is_async_input or self.base.is_async_input)

    def handle_output(self, context: OutputContext, obj: Any) -> Awaitable[None] | None:
        """Store a value in the top layer; the base is not even asked.

        Args:
            context: Which asset and partition; gets the metadata and the data version that the top gives.
            obj: The value.

        Returns:
            An awaitable if the top is asynchronous.

        Raises:
            RiversError: The asset is called like the folder by which one of the layers lies inside the other.
        """
        self._refuse_folder_between(context.asset_name)
        return self.top.handle_output(context, obj)

    def load_input(self, context: InputContext) -> Any:
        """Load from the top, and from the base if nothing was ever stored in the top.

        Of several partitions in one value, each comes from the top if it is there, else from the base; tables of
        polars, pyarrow or pandas and lists are put together.

        Args:
            context: Which asset and partition; its `served_by` says afterwards which layer it was.

        Returns:
            The value; an awaitable if one of the layers is asynchronous.

        Raises:
            NotMaterializedError: Neither layer has it.
            RiversError: Several partitions in one value are divided between the layers, and their values cannot
                be put together.
            Exception: Whatever else a layer raises, as it is.
        """
        loading = self._load(context)
        return loading if self.is_async_input else run_sync(loading)

    def exists(self, context: InputContext) -> bool:
        """Whether either layer has the value; of several partitions, whether each is in one of them."""
        return all(has(self.top, one) or has(self.base, one) for one in one_by_one(context))

    def delete(self, context: InputContext) -> None:
        """Remove the value from the top layer; what the base has shows again.

        Args:
            context: Which asset and partition; what is in neither layer is left to the top.

        Raises:
            RiversError: Only the base has it. Nothing was deleted.
        """
        self._refuse_folder_between(context.asset_name)
        for one in one_by_one(context):
            if not has(self.top, one) and has(self.base, one):
                raise self._not_ours(one)
        delete: Callable[[InputContext], Any] = self.top.delete
        resolve_awaitable(delete(context))

    def storing_handler(self) -> BaseIOHandler:
        """The handler that the top layer stores with."""
        return self.top.storing_handler()

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """What the layers have to say about the options in an asset's metadata; what both say is said once.

        Args:
            metadata: The asset's metadata.
        """
        return list(dict.fromkeys([*self.top.check_options(metadata), *self.base.check_options(metadata)]))

    def accepts_type(self, hint: Any) -> bool:
        """Whether the top, which is written to, can store it.

        Args:
            hint: A return annotation.
        """
        return self.top.accepts_type(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Whether both layers can give it, for either may have to.

        Args:
            hint: The annotation of a parameter.
        """
        return self.top.can_load_type(hint) and self.base.can_load_type(hint)

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Where the top keeps an asset: two assets may read one place of the base, but not write one of the top.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.
        """
        return self.top.storage_location(asset_name, asset_metadata)

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Where a value is written to; for a read, also where else it is looked for.

        Args:
            context: Which asset and partition.
        """
        if not isinstance(context, InputContext):
            return self.top.describe_address(context)
        top = address_in(self.top, context) or "the top layer"
        return f"{top}, else {address_in(self.base, context) or 'the base layer'}"

    async def _load(self, context: InputContext) -> Any:
        context.served_by = None
        if not is_batch(context):
            return await self._load_from(((TOP, self.top), (BASE, self.base)), context)
        if self.is_async_input:
            parts = await asyncio.to_thread(stretches, self.top, context)
        else:
            parts = stretches(self.top, context)
        values = []
        for is_at_top, part in parts:
            layer = (TOP, self.top) if is_at_top else (BASE, self.base)
            values.append(await self._load_from((layer,), part))
        if len(parts) == 1:
            return values[0]
        places = {part.served_by or "" for _, part in parts}
        context.served_by = " and ".join(sorted(places, reverse=True))
        return joined(context, parts, values)

    async def _load_from(self, layers: Sequence[tuple[str, BaseIOHandler]], context: InputContext) -> Any:
        absences: list[FileNotFoundError] = []
        for place, layer in layers:
            try:
                value = await loaded(layer, context)
            except FileNotFoundError as error:
                absences.append(error)
            else:
                _note_served(context, place, layer)
                return value
        raise self._absence(context, absences) from absences[-1]

    def _refuse_folder_between(self, asset_name: str) -> None:
        if self._folders and storage_key(asset_name).casefold() in self._folders:
            raise RiversError(
                f"asset {asset_name!r} is called like the folder by which one layer of the overlay lies inside the "
                "other, so that its values and those of the other layer could meet; nothing was changed. Give the "
                "top another place, or the asset another name."
            )

    def _absence(self, context: InputContext, absences: Sequence[FileNotFoundError]) -> NotMaterializedError:
        said = [error for error in reversed(absences) if isinstance(error, NotMaterializedError)]
        asked = None if context.partition is None else ", ".join(map(str, context.partition.keys))
        return NotMaterializedError(
            context.asset_name,
            partition=next((error.partition for error in said if error.partition is not None), asked),
            handler=" over ".join(type(layer).__name__ for layer in _opened(self)),
            address=self.describe_address(context),
            nearest=next((error.nearest for error in said if error.nearest), None),
        )

    def _not_ours(self, context: InputContext) -> RiversError:
        partition = "" if context.partition is None else f"partition {str(context.partition.key)!r} of "
        address = address_in(self.base, context)
        return RiversError(
            f"{partition}asset {context.asset_name!r} is stored in the base layer only"
            f"{f', at {address!r}' if address else ''}, and an overlay never changes its base; nothing was deleted. "
            "Delete it with the base's own handler if you mean it, or materialize it: then the top has a value of "
            "its own that goes before."
        )


def _opened(handler: BaseIOHandler) -> list[BaseIOHandler]:
    """The handlers that are asked, from the top down, with overlays taken apart."""
    if isinstance(handler, OverlayIOHandler):
        return [*_opened(handler.top), *_opened(handler.base)]
    return [handler]


def _note_served(context: InputContext, place: str, layer: BaseIOHandler) -> None:
    within = context.served_by
    context.served_by = place if within is None else f"{place}/{within}"
    log = context.log
    if within is None and log.isEnabledFor(logging.DEBUG):
        partition = "" if context.partition is None else f" [{', '.join(map(str, context.partition.keys))}]"
        address = address_in(layer, context) or type(layer).__name__
        log.debug("%s%s is served by the %s layer: %s", context.asset_name, partition, place, address)
