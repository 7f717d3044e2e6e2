"""IO handler with two layers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, InputContext, storage_key
from rivers_core.authoring import resolve_awaitable, run_sync
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_overlay.batches import concatenated, is_batch, one_by_one, split_by_layer
from rivers_overlay.layers import address_in, has, loaded
from rivers_overlay.storage_identity import folder_between, handlers_in, is_same_store, stores_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta
    from typing import Self

    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

    from rivers_core import OutputContext, StoredVersion
    from rivers_core.authoring import Locality

TOP: Final = "top"
BASE: Final = "base"


class OverlayIOHandler(BaseIOHandler):
    """Read from a top layer, and from a base layer where the top has no value; write to the top only.

    A developer reads production and writes locally: the base is never written to and never deleted from.
    Only `NotMaterializedError` (and `FileNotFoundError`) falls through. A value of the top that is damaged or
    cannot be reached is an error; an older value of the base does not take its place.

    `context.served_by` names the layer that served a read: `"top"` or `"base"`, and `"base/top"` for the top
    of a base that is an overlay itself. Observers receive it, a run records it as `rivers/served_by` of the
    assets computed from the value, and the log of the context shows it with the address, at level debug.

    Capabilities follow from the layers: the locality is the narrower one, several partitions are loaded in one
    call if both layers can, and a direction is asynchronous where a layer is.

    Args:
        top: The handler that is read first, and the only one that is written to; in a configuration, its name.
        base: The handler that is read if the top has no value; likewise.

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

    top: BaseIOHandler = Field(description="Read first; the only layer that is written to.")
    base: BaseIOHandler = Field(description="Read if the top has no value; never written to.")

    _folders: frozenset[str] = PrivateAttr(default=frozenset())

    @field_validator("top", "base", mode="before")
    @classmethod
    def _is_a_handler(cls, value: Any) -> Any:
        if not isinstance(value, BaseIOHandler):
            raise ValueError(
                f"a layer must be an IO handler, or its name in a configuration; got {type(value).__name__}"
            )
        return value

    @model_validator(mode="after")
    def _base_is_never_written(self) -> Self:
        in_base = list(handlers_in(self.base))
        folders: set[str | None] = set()
        for written in stores_of(self.top):
            if any(is_same_store(written, store) for store in in_base):
                raise ValueError(_same_store(written))
            folders.update(folder_between(written, store) for store in in_base)
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
        """Read arguments only: an environment variable cannot hold a handler."""
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
    def conditional_writes(self) -> bool:
        """True if the top layer writes conditionally; the base also has to report the versions that it serves."""
        return bool(self.top.conditional_writes and self.base.conditional_writes)

    @property
    def always_conditional(self) -> bool:
        """True if every write to the top layer is conditional."""
        return bool(self.conditional_writes and self.top.always_conditional)

    @property
    def has_versions(self) -> bool:
        """True if both layers keep earlier versions: a value is in either."""
        return bool(self.top.has_versions and self.base.has_versions)

    @property
    def is_signed(self) -> bool:
        """True if values of both layers are authenticated."""
        return bool(self.top.is_signed and self.base.is_signed)

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
        """Store a value in the top layer; the base is not called.

        Args:
            context: Context of the asset; receives metadata and data version from the top.
            obj: The value.

        Returns:
            An awaitable if the top is asynchronous.

        Raises:
            RiversError: The asset is named like the folder by which one layer lies inside the other.
        """
        self._refuse_folder_between(context.asset_name)
        if context.expected_version and self._is_in_base_only(context):
            context.expected_version = (
                ""  # it was loaded from the base, and has to be missing in the top still
            )
        return self.top.handle_output(context, obj)

    def load_input(self, context: InputContext) -> Any:
        """Load from the top, and from the base if the top has no value.

        Of several partitions in one value, each comes from the top if it is stored there, else from the base; lists
        and tables of polars, pyarrow and pandas are concatenated.

        Args:
            context: Context of the asset; its `served_by` is set to the layer.

        Returns:
            The value; an awaitable if one of the layers is asynchronous.

        Raises:
            NotMaterializedError: Neither layer has the value.
            RiversError: The layers hold different partitions of one value, and their parts cannot be concatenated.
            Exception: Any other error of a layer, unchanged.
        """
        loading = self._load(context)
        return loading if self.is_async_input else run_sync(loading)

    def exists(self, context: InputContext) -> bool:
        """Return whether either layer has the value; of several partitions, each in one of them."""
        return all(has(self.top, part) or has(self.base, part) for part in one_by_one(context))

    def versions(self, context: InputContext) -> list[StoredVersion]:
        """Return the versions in the layer that serves the value.

        Args:
            context: Context of the asset.
        """
        return self._layer_with_versions(context)[1].versions(context)

    def restore(self, context: OutputContext, version: str) -> str | None:
        """Make an earlier version the current value of the top layer; one of the base is copied to the top.

        Args:
            context: Context of the asset; receives metadata and data version from the top.
            version: A version that `versions` lists.

        Raises:
            VersionNotFoundError: The layer that serves the value does not have the version.
        """
        self._refuse_folder_between(context.asset_name)
        place, layer = self._layer_with_versions(_input_context(context))
        return layer.restore(context, version) if place == TOP else super().restore(context, version)

    def prune(
        self,
        context: InputContext,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> list[StoredVersion]:
        """Remove earlier versions from the top layer; the base is not called.

        Args:
            context: Context of the asset.
            keep: Number of earlier versions that stay.
            older_than: Age that a version must exceed.
            dry_run: Whether to change nothing.
        """
        self._refuse_folder_between(context.asset_name)
        return self.top.prune(context, keep=keep, older_than=older_than, dry_run=dry_run)

    def verify(self, context: InputContext) -> dict[str, int]:
        """Verify the value in each layer that has it, and return the sums of what the layers count."""
        if not self.exists(context):
            raise self._absence(context, ())
        counts: Counter[str] = Counter()
        for part in one_by_one(context):
            for layer in (self.top, self.base):
                counts.update(layer.verify(part) if has(layer, part) else ())
        return dict(counts)

    def delete(self, context: InputContext) -> None:
        """Remove the value from the top layer, so that the value of the base is visible again.

        Args:
            context: Context of the asset.

        Raises:
            RiversError: Only the base has the value; nothing was deleted.
        """
        self._refuse_folder_between(context.asset_name)
        for part in one_by_one(context):
            if not has(self.top, part) and has(self.base, part):
                raise self._base_only(part)
        delete: Callable[[InputContext], Any] = self.top.delete
        resolve_awaitable(delete(context))

    def storing_handler(self) -> BaseIOHandler:
        """Return the handler that the top layer stores with."""
        return self.top.storing_handler()

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Return the findings of both layers, without duplicates.

        Args:
            metadata: The asset's metadata.
        """
        return list(dict.fromkeys([*self.top.check_options(metadata), *self.base.check_options(metadata)]))

    def accepts_type(self, hint: Any) -> bool:
        """Return whether the top can store values of an annotation.

        Args:
            hint: A return annotation.
        """
        return self.top.accepts_type(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Return whether both layers can load it, since either may have to.

        Args:
            hint: The annotation of a parameter.
        """
        return self.top.can_load_type(hint) and self.base.can_load_type(hint)

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Return the location in the top: two assets may read one place of the base, but not write one place.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.
        """
        return self.top.storage_location(asset_name, asset_metadata)

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Return the address in the top; for a read, that in the base too.

        Args:
            context: Context of the asset.
        """
        if not isinstance(context, InputContext):
            return self.top.describe_address(context)
        top = address_in(self.top, context) or "the top layer"
        return f"{top}, else {address_in(self.base, context) or 'the base layer'}"

    async def _load(self, context: InputContext) -> Any:
        context.served_by = None
        if context.version is not None:
            return await self._load_from((self._layer_with_versions(context),), context)
        if not is_batch(context):
            return await self._load_from(((TOP, self.top), (BASE, self.base)), context)
        if self.is_async_input:
            parts = await asyncio.to_thread(split_by_layer, self.top, context)
        else:
            parts = split_by_layer(self.top, context)
        values = []
        for is_at_top, part in parts:
            layer = (TOP, self.top) if is_at_top else (BASE, self.base)
            values.append(await self._load_from((layer,), part))
        if len(parts) == 1:
            return values[0]
        places = {part.served_by or "" for _, part in parts}
        context.served_by = " and ".join(sorted(places, reverse=True))
        return concatenated(context, parts, values)

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

    def _layer_with_versions(self, context: InputContext) -> tuple[str, BaseIOHandler]:
        """Return the layer whose versions of a value count: the top if it has any, as its value takes precedence."""
        return (TOP, self.top) if self.top.versions(context) else (BASE, self.base)

    def _is_in_base_only(self, context: OutputContext) -> bool:
        stored = _input_context(context)
        return not resolve_awaitable(self.top.exists(stored)) and resolve_awaitable(self.base.exists(stored))

    def _refuse_folder_between(self, asset_name: str) -> None:
        if self._folders and storage_key(asset_name).casefold() in self._folders:
            raise RiversError(
                f"Cannot change asset {asset_name!r}: it has the name of the folder by which one layer of the "
                "overlay lies inside the other, so its values could mix with those of the other layer. "
                "Nothing was changed. Move the top, or rename the asset."
            )

    def _absence(self, context: InputContext, absences: Sequence[FileNotFoundError]) -> NotMaterializedError:
        errors = [error for error in reversed(absences) if isinstance(error, NotMaterializedError)]
        keys = None if context.partition is None else ", ".join(map(str, context.partition.keys))
        return NotMaterializedError(
            context.asset_name,
            partition=next((error.partition for error in errors if error.partition is not None), keys),
            handler=" over ".join(type(layer).__name__ for layer in _layers_of(self)),
            address=self.describe_address(context),
            nearest=next((error.nearest for error in errors if error.nearest), None),
        )

    def _base_only(self, context: InputContext) -> RiversError:
        partition = "" if context.partition is None else f"partition {str(context.partition.key)!r} of "
        address = address_in(self.base, context)
        return RiversError(
            f"Cannot delete {partition}asset {context.asset_name!r}: it is stored in the base layer only"
            f"{f', at {address!r}' if address else ''}, and an overlay never changes its base. Nothing was deleted. "
            "Use the handler of the base to delete it, or materialize it: then the value of the top takes precedence."
        )


def _input_context(context: OutputContext) -> InputContext:
    return InputContext(context.asset_name, "overlay", context.asset_metadata, context.partition)


def _same_store(written: BaseIOHandler) -> str:
    root = written.store_root()
    address, hint = "", ""
    if root is not None:
        address = f" at {root.address!r}"
        if root.store != "file":
            hint = " If they are in different accounts or at different endpoints, name these for both."
    return (
        f"the top layer writes to a {type(written).__name__}{address} that is also in the base, which must never be "
        f"written to. Use another place for the top, for instance a separate prefix.{hint}"
    )


def _layers_of(handler: BaseIOHandler) -> list[BaseIOHandler]:
    """Return all layers from the top down; an overlay counts as its layers."""
    if isinstance(handler, OverlayIOHandler):
        return [*_layers_of(handler.top), *_layers_of(handler.base)]
    return [handler]


def _note_served(context: InputContext, place: str, layer: BaseIOHandler) -> None:
    within = context.served_by
    context.served_by = place if within is None else f"{place}/{within}"
    log = context.log
    if within is None and log.isEnabledFor(logging.DEBUG):
        partition = "" if context.partition is None else f" [{', '.join(map(str, context.partition.keys))}]"
        address = address_in(layer, context) or type(layer).__name__
        log.debug("%s%s is served by the %s layer: %s", context.asset_name, partition, place, address)
