"""Contexts: describe to a handler the value that it stores or loads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from rivers_core._messages import shown_keys
from rivers_core._values import plain_text
from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_core.keys import storage_key
from rivers_core.metadata import coerce_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext, PartitionKey


def _checked_name(name: str) -> str:
    given: object = name
    if not isinstance(given, str):
        raise TypeError(f"asset_name must be text, got {given!r}.")
    if not name:
        raise ValueError("asset_name must not be empty.")
    return name


class _Context:
    """Base class of both contexts."""

    __slots__ = ("asset_metadata", "asset_name", "partition", "run_id", "type_hint")

    asset_name: str
    asset_metadata: Mapping[str, Any] | None
    partition: PartitionContext | None
    type_hint: Any
    run_id: str | None

    @property
    def storage_key(self) -> str:
        """The relative key from which a handler builds an address; unique per asset and partition.

        Raises:
            PartitionValidationError: The context has several partition keys.
        """
        partition = self.partition
        if partition is None:
            return storage_key(self.asset_name)
        if partition.is_single:
            return storage_key(self.asset_name, partition.key)
        raise PartitionValidationError(
            f"The storage key of asset {self.asset_name!r} is for one partition, and the context has "
            f"{len(partition.keys)} partition keys. Iterate over `context.partition.keys`, or store all of them under "
            "`context.asset_storage_key`."
        )

    @property
    def asset_storage_key(self) -> str:
        """The storage key of the whole asset, for handlers that store all its partitions in one place."""
        return storage_key(self.asset_name)

    @property
    def log(self) -> logging.Logger:
        """The logger of the handler for this asset: `rivers.handlers.<asset>`."""
        return logging.getLogger(f"rivers.handlers.{self.asset_name}")

    def _repr(self, *names: str) -> str:
        """Return the constructor call, without arguments that were not set."""
        names = (*names, "partition", "asset_metadata", "type_hint", "run_id")
        given = [(name, getattr(self, name)) for name in names]
        arguments = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({arguments})"


class OutputContext(_Context):
    """Describes the value that is stored, and collects what the handler reports about it.

    Args:
        asset_name: Name of the asset (or `graph/task`) of the value.
        asset_metadata: Static metadata of the asset, including the handler's options.
        partition: Partition keys of the value; None for an unpartitioned asset.
        type_hint: Return annotation of the function; None if there is none.
        run_id: Id of the run that stores the value; None outside a run.
        attempt: Number of this attempt to store the value, starting at 1.
        step_name: Name of the step that produced the value, if it differs from the asset (multi-assets).
        code_version: Code version of the asset, if declared.

    Attributes:
        allows_empty_partitions: Whether a value for several partition keys may store nothing for some of them.
        registered_partitions: The keys passed to `register_partitions`; None before that.
        output_metadata: Metadata added so far; None if there is none.
        registered_data_version: The version passed to `register_data_version`.
        content_version: The version passed to `offer_content_version`.
        expected_version: Condition of the write: the version of the stored value that this one replaces, as the
            handler reported it with `InputContext.register_loaded_version`; empty text if nothing may be stored yet.
            None for an unconditional write. Only handlers with `conditional_writes` receive one.

    Examples:
        >>> context = OutputContext("orders")
        >>> context.add_output_metadata({"rows": 3})
        >>> context.storage_key
        'orders'
    """

    __slots__ = (
        "_content_versions",  # unset until a handler offers one, which spares every context its initialization
        "allows_empty_partitions",
        "attempt",
        "code_version",
        "content_version",
        "expected_version",
        "output_metadata",
        "registered_data_version",
        "registered_partitions",
        "step_name",
    )

    _content_versions: dict[PartitionKey, str]
    allows_empty_partitions: bool
    attempt: int
    code_version: str | None
    content_version: str | None
    expected_version: str | None
    output_metadata: dict[str, MetadataValue] | None
    registered_data_version: str | None
    registered_partitions: frozenset[PartitionKey] | None
    step_name: str

    def __init__(
        self,
        asset_name: str,
        asset_metadata: Mapping[str, Any] | None = None,
        partition: PartitionContext | None = None,
        type_hint: Any = None,
        *,
        run_id: str | None = None,
        attempt: int = 1,
        step_name: str | None = None,
        code_version: str | None = None,
    ) -> None:
        self.asset_name = _checked_name(asset_name)
        self.asset_metadata = asset_metadata
        self.partition = partition
        self.type_hint = type_hint
        self.run_id = run_id
        self.attempt = attempt
        self.step_name = step_name or asset_name
        self.output_metadata = None
        self.registered_data_version = None
        self.content_version = None
        self.expected_version = None
        self.allows_empty_partitions = True
        self.registered_partitions = None
        self.code_version = code_version

    @property
    def data_version(self) -> str | None:
        """The registered data version, else the content version; None if neither is known."""
        return self.registered_data_version or self.content_version

    def add_output_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Add metadata of the stored value to its event; a later value for the same name wins.

        Args:
            metadata: Plain values (`str`, `int`, `float`, `bool`, None) or `MetadataValue`.

        Raises:
            TypeError: A value has a type that metadata does not support; nothing is added.
        """
        self.output_metadata = {**(self.output_metadata or {}), **coerce_mapping(metadata)}

    def register_data_version(self, version: str) -> None:
        """Set the version of the stored data; it takes precedence over any generated version.

        Args:
            version: A digest or table version: equal only for equal data.

        Raises:
            TypeError: `version` is not a non-empty string.
        """
        given: object = version
        if not isinstance(given, str) or not given:
            raise TypeError(
                f"The data version of asset {self.asset_name!r} must be non-empty text, got {given!r}."
            )
        self.registered_data_version = plain_text(version)

    def drain_data_version(self) -> str | None:
        """Return the registered version and forget it."""
        version, self.registered_data_version = self.registered_data_version, None
        return version

    def register_partitions(self, keys: Iterable[PartitionKey]) -> None:
        """Report the keys for which a value for several partitions stores something.

        A handler with `partition_batches` calls it with such a value, before the write takes effect if it can: a
        value that stores nothing for one of its keys is rejected here, unless the asset allows that.

        Args:
            keys: Keys of the context's partition; those without rows are left out.

        Raises:
            PartitionValidationError: A key does not belong to the context.
            AssetOutputValidationError: The value stores nothing for one of the keys, and the asset does not allow that.
        """
        own = [] if self.partition is None else self.partition.keys
        stored = frozenset(keys)
        foreign = stored.difference(own)
        if foreign:
            raise PartitionValidationError(
                f"Handler of asset {self.asset_name!r} reported partition keys that it was not asked to store: "
                f"{shown_keys(sorted(foreign, key=str))}."
            )
        empty = [key for key in own if key not in stored]
        if empty and len(own) > 1 and not self.allows_empty_partitions:
            raise AssetOutputValidationError(
                f"Cannot store asset {self.asset_name!r}: its value contains nothing for {len(empty)} of the "
                f"{len(own)} partition keys of this call ({shown_keys(empty)}). Return PartitionedOutput with an empty "
                'value for each of these keys, or declare partition_batches="allow_empty".'
            )
        self.registered_partitions = stored

    @property
    def content_versions(self) -> Mapping[PartitionKey, str]:
        """Content versions by partition key, of a handler that stores several keys in one call."""
        return getattr(self, "_content_versions", {})

    def offer_content_version(self, content_version: str, *, key: PartitionKey | None = None) -> None:
        """Set the version of the stored content, such as a digest or a table version.

        It is used if neither the function nor `register_data_version` set a version, instead of a random one. A
        handler that calls `InputContext.register_loaded_version` offers the same text here, so that the engine
        recognizes the value when it is loaded.

        Args:
            content_version: Equal only for equal content.
            key: In a context with several partition keys, the one that has this version.
        """
        if key is None:
            self.content_version = content_version
        else:
            self._content_versions = {**self.content_versions, key: content_version}

    def __repr__(self) -> str:
        return self._repr("asset_name")


class InputContext(_Context):
    """Describes the stored value that is loaded, and its consumer.

    Args:
        asset_name: Name of the loaded asset.
        downstream_asset: Name of the asset that receives the value.
        asset_metadata: Static metadata of the loaded asset, including the handler's options.
        partition: Partition keys to load; None for an unpartitioned asset.
        type_hint: Annotation of the parameter that receives the value; None if there is none.
        run_id: Id of the run that loads the value; None outside a run.
        upstream: Event that stored the value, or a function without arguments that finds it on first access.
        version: Earlier version to load, as `BaseIOHandler.versions` lists it; None for the current value. Only
            handlers with `has_versions` receive one.

    Attributes:
        served_by: Set by a handler that reads from several stores: name of the store that served the value. The
            engine records it with the values that are produced from this one.
        loaded_version: The version passed to `register_loaded_version`; None before that.
        loaded_versions: Versions by partition key, of a handler that loads several in one call.
        loaded_at: When the loaded value was stored, if the handler knows it.

    Examples:
        >>> InputContext("orders", "report").storage_key
        'orders'
    """

    __slots__ = (
        "_upstream",
        "downstream_asset",
        "loaded_at",
        "loaded_version",
        "loaded_versions",
        "served_by",
        "version",
    )

    _upstream: Any
    loaded_at: datetime | None
    loaded_version: str | None
    loaded_versions: dict[PartitionKey, str] | None
    served_by: str | None
    version: str | None

    def __init__(
        self,
        asset_name: str,
        downstream_asset: str,
        asset_metadata: Mapping[str, Any] | None = None,
        partition: PartitionContext | None = None,
        type_hint: Any = None,
        *,
        run_id: str | None = None,
        upstream: Any = None,
        version: str | None = None,
    ) -> None:
        self.asset_name = _checked_name(asset_name)
        self.downstream_asset = downstream_asset
        self.asset_metadata = asset_metadata
        self.partition = partition
        self.type_hint = type_hint
        self.run_id = run_id
        self._upstream = upstream
        self.version = version
        self.loaded_version = self.loaded_versions = self.loaded_at = self.served_by = None

    def register_loaded_version(
        self, version: str, *, key: PartitionKey | None = None, stored_at: datetime | None = None
    ) -> None:
        """Report the version of the value that was loaded, which the engine records as the version of this input.

        Without a report the engine assumes the version of the latest event, which is another one if an older
        value was put back, or if a process ended after it had stored the value and before it had recorded the event.

        Args:
            version: The text that `offer_content_version` or `register_data_version` got when the value was stored.
            key: In a context with several partition keys, the one that has this version.
            stored_at: When the value was stored, with a time zone. It distinguishes a value that was put back from
                an equal one that was stored again.

        Raises:
            TypeError: `version` is not a non-empty string.
        """
        given: object = version
        if not isinstance(given, str) or not given:
            raise TypeError(
                f"The loaded version of asset {self.asset_name!r} must be non-empty text, got {given!r}."
            )
        if key is None:
            self.loaded_version = version
        else:
            self.loaded_versions = {**(self.loaded_versions or {}), key: version}
        self.loaded_at = stored_at

    @property
    def upstream(self) -> Any:
        """The event that stored the value, with metadata and data version; None if unknown."""
        if callable(self._upstream):
            self._upstream = self._upstream()
        return self._upstream

    @upstream.setter
    def upstream(self, event: Any) -> None:
        self._upstream = event

    def __repr__(self) -> str:
        return self._repr("asset_name", "downstream_asset", "version")


# A call of a class costs twice as much as that of a function, and each small step builds two contexts.
_new: Final = object.__new__


def output_context(
    asset_name: str,
    asset_metadata: Mapping[str, Any] | None,
    type_hint: Any,
    run_id: str,
    step_name: str,
    code_version: str | None,
) -> OutputContext:
    """Return the context of the first attempt to store a value without a partition; equal to `OutputContext(...)`."""
    context = _new(OutputContext)
    context.asset_name = asset_name
    context.asset_metadata = asset_metadata
    context.partition = context.output_metadata = context.registered_data_version = None
    context.content_version = context.expected_version = context.registered_partitions = None
    context.type_hint = type_hint
    context.run_id = run_id
    context.attempt = 1
    context.step_name = step_name
    context.allows_empty_partitions = True
    context.code_version = code_version
    return context


def input_context(
    asset_name: str,
    downstream_asset: str,
    asset_metadata: Mapping[str, Any] | None,
    type_hint: Any,
    run_id: str,
    upstream: Any,
) -> InputContext:
    """Return the context of the load of a value without a partition; equal to `InputContext(...)`."""
    context = _new(InputContext)
    context.asset_name = asset_name
    context.downstream_asset = downstream_asset
    context.asset_metadata = asset_metadata
    context.partition = context.loaded_version = context.loaded_versions = None
    context.loaded_at = context.served_by = context.version = None
    context.type_hint = type_hint
    context.run_id = run_id
    context._upstream = upstream  # noqa: SLF001 - same module
    return context
