"""What a handler is told about the value it stores or loads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import PartitionValidationError
from rivers_core.keys import storage_key
from rivers_core.metadata import coerce_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext


class _Context:
    """What both directions share."""

    __slots__ = ("asset_metadata", "asset_name", "partition", "run_id", "type_hint")

    asset_name: str
    asset_metadata: Mapping[str, Any] | None
    partition: PartitionContext | None
    type_hint: Any
    run_id: str | None

    @property
    def storage_key(self) -> str:
        """The relative key from which a handler builds an address: unique for asset and partition.

        Raises:
            PartitionValidationError: The context carries several partition keys, so that there is no one key.
        """
        partition = self.partition
        if partition is None:
            return storage_key(self.asset_name)
        if partition.is_single:
            return storage_key(self.asset_name, partition.key)
        raise PartitionValidationError(
            f"Asset {self.asset_name!r} is handled for {len(partition.keys)} partition keys at once, "
            "which have no common storage key. Go through `context.partition.keys`, or keep all of them "
            "under `context.asset_storage_key`."
        )

    @property
    def asset_storage_key(self) -> str:
        """The key of the asset as a whole, for handlers that keep all its partitions in one place."""
        return storage_key(self.asset_name)

    @property
    def log(self) -> logging.Logger:
        """The logger for messages of a handler about this asset: `rivers.handlers.<asset>`."""
        return logging.getLogger(f"rivers.handlers.{self.asset_name}")

    def _shown(self) -> list[str]:
        names = ("partition", "asset_metadata", "type_hint", "run_id")
        given = [(name, getattr(self, name)) for name in names]
        return [f"{name}={value!r}" for name, value in given if value is not None]


class OutputContext(_Context):
    """Says which value is being stored, and takes what the handler has to say about it.

    Args:
        asset_name: The asset (or `graph/task`) whose value it is.
        asset_metadata: The static metadata of the asset, with the handler's options.
        partition: The partition keys of this value; None for an asset without partitions.
        type_hint: The return annotation of the function; None if there is none.
        run_id: The run that stores the value; None outside of a run.
        attempt: How many times storing was tried, this time included.
        step_name: The step that made the value, if it is not called like the asset: a multi-asset.
        code_version: The version of the code that made it, if the asset says one.

    Examples:
        >>> context = OutputContext("orders")
        >>> context.add_output_metadata({"rows": 3})
        >>> context.storage_key
        'orders'
    """

    __slots__ = (
        "attempt",
        "code_version",
        "content_version",
        "output_metadata",
        "registered_data_version",
        "step_name",
    )

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
        self.asset_name = asset_name
        self.asset_metadata = asset_metadata
        self.partition = partition
        self.type_hint = type_hint
        self.run_id = run_id
        self.attempt = attempt
        self.step_name = step_name or asset_name
        self.output_metadata: dict[str, MetadataValue] | None = None
        self.registered_data_version: str | None = None
        self.content_version: str | None = None
        self.code_version = code_version

    @property
    def data_version(self) -> str | None:
        """The version of the stored data as far as it is known here: registered, else of the content."""
        return self.registered_data_version or self.content_version

    def add_output_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Add facts about the stored value to its event; a later value for the same key wins.

        Args:
            metadata: Plain values (`str`, `int`, `float`, `bool`, None) or `MetadataValue`.

        Raises:
            TypeError: A value cannot be stored as metadata; nothing is added then.
        """
        self.output_metadata = {**(self.output_metadata or {}), **coerce_mapping(metadata)}

    def register_data_version(self, data_version: str) -> None:
        """Say which version of the data was stored; it goes before any version that rivers would make up.

        Args:
            data_version: A digest, a table version, whatever is equal only for equal data.

        Raises:
            TypeError: It is not a string, or empty.
        """
        given: object = data_version
        if not isinstance(given, str) or not given:
            raise TypeError(f"The data version of asset {self.asset_name!r} must be a str, got {given!r}.")
        self.registered_data_version = data_version

    def offer_content_version(self, content_version: str) -> None:
        """Say which version the stored content has by its nature: a digest, the version of a table.

        Unlike `register_data_version` this is an offer: it counts when neither the function nor anybody
        else gave a version, and goes before a random one.

        Args:
            content_version: Equal only for equal content.
        """
        self.content_version = content_version

    def __repr__(self) -> str:
        return f"OutputContext({', '.join([repr(self.asset_name), *self._shown()])})"


class InputContext(_Context):
    """Says which stored value is being loaded, and for whom.

    Args:
        asset_name: The asset whose value is loaded.
        downstream_asset: Who receives it.
        asset_metadata: The static metadata of the loaded asset, with the handler's options.
        partition: The partition keys to load; None for an asset without partitions.
        type_hint: The annotation of the parameter that receives the value; None if there is none.
        run_id: The run that loads the value; None outside of a run.
        upstream: The event that stored the value, or a function without arguments that finds it when needed.

    Attributes:
        served_by: Set by a handler that reads from more than one place: which of them the value came from, as a
            reader would name it. A run records it with what was made of the value.

    Examples:
        >>> InputContext("orders", "report").storage_key
        'orders'
    """

    __slots__ = ("_upstream", "downstream_asset", "served_by")

    served_by: str | None

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
    ) -> None:
        self.asset_name = asset_name
        self.downstream_asset = downstream_asset
        self.asset_metadata = asset_metadata
        self.partition = partition
        self.type_hint = type_hint
        self.run_id = run_id
        self._upstream = upstream
        self.served_by = None

    @property
    def upstream(self) -> Any:
        """The event that stored the value, with its metadata and data version; None if it is not known."""
        if callable(self._upstream):
            self._upstream = self._upstream()
        return self._upstream

    @upstream.setter
    def upstream(self, event: Any) -> None:
        self._upstream = event

    def __repr__(self) -> str:
        parts = [repr(self.asset_name), f"downstream_asset={self.downstream_asset!r}", *self._shown()]
        return f"InputContext({', '.join(parts)})"
