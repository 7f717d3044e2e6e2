"""IO handler around another one: it compresses what that one stores."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler
from rivers_core.authoring import run_sync
from rivers_core.exceptions import IntegrityError, PartitionValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from datetime import timedelta

    from rivers_core import InputContext, OutputContext, StoredVersion
    from rivers_core.authoring import Locality, StoreRoot


class ZstdIOHandler(BaseIOHandler):
    """Pickle and compress values, and store the bytes with another handler.

    The capabilities depend on the inner handler, so each is a property that delegates to it. `load_input`
    unpickles: load only from stores that you trust.

    Args:
        inner: The handler that stores the bytes; in a configuration, its name.
        level: Compression level, from 1 (fast) to 22.

    Examples:
        >>> from rivers_core import InputContext, OutputContext, get_registry
        >>> handler = ZstdIOHandler(inner=get_registry().handler("memory")())
        >>> context = OutputContext("zeros")
        >>> handler.handle_output(context, [0] * 100_000)
        >>> len(handler.load_input(InputContext("zeros", "report")))
        100000
        >>> sizes = context.output_metadata
        >>> sizes["zstd/stored_bytes"].raw_value() < sizes["zstd/pickled_bytes"].raw_value() / 100
        True
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_ZSTD_", frozen=True)

    inner: BaseIOHandler
    level: int = Field(default=3, ge=1, le=22)

    @field_validator("inner", mode="before")
    @classmethod
    def _is_a_handler_for_bytes(cls, value: Any) -> Any:
        if not isinstance(value, BaseIOHandler):
            raise ValueError(
                f"must be an IO handler, or its name in a configuration; got {type(value).__name__}"
            )
        if not (value.accepts_type(bytes) and value.can_load_type(bytes)):
            raise ValueError(f"must store bytes, which {type(value).__name__} does not")
        return value

    @property
    def locality(self) -> Locality:
        """Locality of the handler inside."""
        locality: Locality = self.inner.locality
        return locality

    @property
    def conditional_writes(self) -> bool:
        """Return whether the inner handler writes conditionally."""
        return bool(self.inner.conditional_writes)

    @property
    def always_conditional(self) -> bool:
        """Return whether every write of the inner handler is conditional."""
        return bool(self.inner.always_conditional)

    @property
    def has_versions(self) -> bool:
        """Return whether the inner handler keeps earlier versions."""
        return bool(self.inner.has_versions)

    @property
    def is_signed(self) -> bool:
        """Return whether the inner handler authenticates values."""
        return bool(self.inner.is_signed)

    @property
    def can_delete(self) -> bool:
        """Return whether the inner handler supports deletion."""
        return bool(self.inner.can_delete)

    @property
    def is_async_output(self) -> bool:
        """Return whether the inner handler stores asynchronously."""
        return bool(self.inner.is_async_output)

    @property
    def is_async_input(self) -> bool:
        """Return whether the inner handler loads asynchronously."""
        return bool(self.inner.is_async_input)

    def handle_output(self, context: OutputContext, obj: Any) -> Awaitable[None] | None:
        """Compress a value, and store it with the handler inside.

        Args:
            context: Context of the asset; receives metadata and version of the handler inside, and the sizes.
            obj: The value.

        Returns:
            An awaitable if the handler inside is asynchronous.

        Raises:
            PartitionValidationError: The context has several partition keys.
            RiversError: The value cannot be pickled.
        """
        _refuse_several_keys(context)
        try:
            pickled = pickle.dumps(obj, protocol=5)
        except Exception as error:  # an object raises what it likes
            raise RiversError(
                f"Could not store asset {context.asset_name!r}: it cannot be pickled ({error}). Nothing was stored."
            ) from error
        compressed = _compress(pickled, self.level)
        context.add_output_metadata(
            {"zstd/pickled_bytes": len(pickled), "zstd/stored_bytes": len(compressed)}
        )
        storing = self._store(context, compressed)
        return storing if self.is_async_output else run_sync(storing)

    def load_input(self, context: InputContext) -> Any:
        """Load the bytes with the handler inside, and decompress them.

        Args:
            context: Context of the asset.

        Returns:
            The value; an awaitable if the handler inside is asynchronous.

        Raises:
            NotMaterializedError: Nothing was stored.
            IntegrityError: The stored value is damaged, or was stored without compression.
        """
        _refuse_several_keys(context)
        loading = self._load(context)
        return loading if self.is_async_input else run_sync(loading)

    async def _store(self, context: OutputContext, content: bytes) -> None:
        with _hint_of_bytes(context):
            storing = self.inner.handle_output(context, content)
            if self.is_async_output and storing is not None:
                await storing

    async def _load(self, context: InputContext) -> Any:
        with _hint_of_bytes(context):
            content = self.inner.load_input(context)
            if self.is_async_input:
                content = await content
        try:
            return pickle.loads(_decompress(content))
        except Exception as error:  # damaged bytes raise errors of many types
            raise IntegrityError(
                f"Could not load asset {context.asset_name!r} ({self.inner.describe_address(context)}): its content is "
                f"damaged, or was stored without compression ({error}). Materialize it again."
            ) from error

    def exists(self, context: InputContext) -> bool:
        """Return whether the handler inside has the value."""
        with _hint_of_bytes(context):
            return self.inner.exists(context)

    def delete(self, context: InputContext) -> None:
        """Remove the value from the handler inside."""
        return self.inner.delete(context)

    def versions(self, context: InputContext) -> list[StoredVersion]:
        """Return the versions that the handler inside keeps."""
        return self.inner.versions(context)

    def restore(self, context: OutputContext, version: str) -> str | None:
        """Make an earlier version the current value of the handler inside.

        Args:
            context: Context of the asset.
            version: A version that `versions` lists.
        """
        with _hint_of_bytes(context):
            return self.inner.restore(context, version)

    def prune(
        self,
        context: InputContext,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> list[StoredVersion]:
        """Remove earlier versions from the handler inside.

        Args:
            context: Context of the asset.
            keep: Number of earlier versions that stay.
            older_than: Age that a version must exceed.
            dry_run: Whether to change nothing.
        """
        return self.inner.prune(context, keep=keep, older_than=older_than, dry_run=dry_run)

    def storing_handler(self) -> BaseIOHandler:
        """Return the handler that the one inside stores with."""
        return self.inner.storing_handler()

    def store_root(self) -> StoreRoot | None:
        """Return the root of the handler inside."""
        return self.inner.store_root()

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Return the location that the handler inside uses.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.
        """
        return self.inner.storage_location(asset_name, asset_metadata)

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Return the address that the handler inside uses, for messages."""
        return self.inner.describe_address(context)

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Return the findings of the handler inside.

        Args:
            metadata: Metadata of the asset.
        """
        return self.inner.check_options(metadata)


@contextmanager
def _hint_of_bytes(context: OutputContext | InputContext) -> Iterator[None]:
    """Ask the handler inside for bytes, whatever type the function has."""
    hint = context.type_hint
    context.type_hint = bytes
    try:
        yield
    finally:
        context.type_hint = hint


def _refuse_several_keys(context: OutputContext | InputContext) -> None:
    if context.partition is not None and not context.partition.is_single:
        raise PartitionValidationError(
            f"Cannot store or load asset {context.asset_name!r} for several partitions at once. Omit partition_batches."
        )


def _compress(content: bytes, level: int) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    sink.write(len(content).to_bytes(8, "little"))
    sink.write(pa.Codec("zstd", level).compress(content))
    return bytes(sink.getvalue())


def _decompress(content: bytes) -> Any:
    import pyarrow as pa

    size = int.from_bytes(content[:8], "little")
    return pa.decompress(memoryview(content)[8:], size, "zstd", asbytes=True)
