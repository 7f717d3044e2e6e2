"""Contexts of functions: what an asset or a task may ask about the step it runs in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic

from rivers.exceptions import PartitionValidationError, ResultDefinitionError
from rivers_core.metadata import coerce_mapping
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from typing_extensions import TypeVar

    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext

    # the default makes a bare `AssetExecutionContext` a complete annotation
    ConfigT = TypeVar("ConfigT", default=Any)
else:
    from typing import TypeVar

    ConfigT = TypeVar("ConfigT")

__all__ = ["AssetExecutionContext", "TaskExecutionContext"]


class _Partitioned:
    """What both contexts say about partitions."""

    __slots__ = ("config", "partition", "run_id")

    partition: PartitionContext | None

    def _subject(self) -> str:
        raise PartitionValidationError("A context names its subject.")

    @property
    def has_partition_key(self) -> bool:
        """Whether the step runs for a partition."""
        return self.partition is not None

    @property
    def partition_key(self) -> str:
        """The partition key as text: `2024-01-01`, `date=2024-01-01|region=us`.

        Several keys are joined with `,`, within each dimension if they are all combinations.

        Raises:
            PartitionValidationError: If the step runs for no partition.
        """
        if self.partition is None:
            raise PartitionValidationError(
                f"{self._subject()} runs without a partition key; ask `context.has_partition_key` first, "
                "give it a "
                'partitions_def, and materialize with partition_key="...".'
            )
        return _display(self.partition.keys)

    @property
    def partition_time_window(self) -> tuple[datetime, datetime] | None:
        """Start (inclusive) and end (exclusive) of the partition; None if it has no time or there is no partition."""
        return None if self.partition is None else self.partition.time_window()


class AssetExecutionContext(_Partitioned, Generic[ConfigT]):
    """The first parameter of an asset's function, if it is annotated so.

    Plain and cheap: a test builds one and calls the function.

    Args:
        asset_name: The asset.
        tags: Its tags.
        kinds: Its kinds.
        group: Its group.
        code_version: The version of its code.
        asset_metadata: Its static metadata.
        is_multi_asset: Whether it has several outputs.
        output_selection: The outputs that are wanted in this run; all of them for None.
        partition: The partition keys of this step; None if there are none.
        config: The `ConfigT` of this run.
        run_id: The run.

    Examples:
        >>> AssetExecutionContext("orders").asset_name
        'orders'
    """

    __slots__ = (
        "asset_metadata",
        "asset_name",
        "code_version",
        "group",
        "is_multi_asset",
        "kinds",
        "output_metadata",
        "output_selection",
        "registered_data_version",
        "tags",
    )

    config: ConfigT
    """The configuration of this run."""
    output_metadata: dict[str, MetadataValue] | None
    """What `add_output_metadata` was given; None until then."""

    def __init__(
        self,
        asset_name: str,
        tags: Sequence[str] = (),
        kinds: Sequence[str] = (),
        group: str | None = None,
        code_version: str | None = None,
        asset_metadata: Mapping[str, Any] | None = None,
        is_multi_asset: bool = False,
        output_selection: Sequence[str] | None = None,
        partition: PartitionContext | None = None,
        config: ConfigT = None,  # type: ignore[assignment]
        run_id: str | None = None,
    ) -> None:
        self.asset_name = asset_name
        self.tags = tags
        self.kinds = kinds
        self.group = group
        self.code_version = code_version
        self.asset_metadata = asset_metadata
        self.is_multi_asset = is_multi_asset
        self.output_selection = output_selection
        self.partition = partition
        self.config = config
        self.run_id = run_id
        self.output_metadata = None
        self.registered_data_version: str | None = None

    def _subject(self) -> str:
        return f"Asset {self.asset_name!r}"

    @property
    def log(self) -> logging.Logger:
        """The logger `rivers.assets.<name>`."""
        return logging.getLogger(f"rivers.assets.{self.asset_name}")

    def add_output_metadata(
        self, metadata: Mapping[str, str | int | float | bool | MetadataValue | None]
    ) -> None:
        """Adds metadata to the event of this step; a later value for the same key wins.

        Raises:
            TypeError: If a value cannot be stored as metadata.
        """
        self.output_metadata = {**(self.output_metadata or {}), **coerce_mapping(metadata)}

    def register_data_version(self, data_version: str) -> None:
        """Says what version the result has, unless an `Output` or the handler says otherwise.

        Raises:
            ResultDefinitionError: If it is not text, or empty.
        """
        given: object = data_version
        if not isinstance(given, str) or not given:
            raise ResultDefinitionError(
                f"register_data_version({data_version!r}) of asset {self.asset_name!r}: give non-empty text."
            )
        self.registered_data_version = data_version

    def __repr__(self) -> str:
        return f"AssetExecutionContext({self.asset_name!r}, run_id={self.run_id!r})"


class TaskExecutionContext(_Partitioned, Generic[ConfigT]):
    """The first parameter of a task's function, if it is annotated so.

    Args:
        task_name: The task; inside a graph asset the node, `graph/task`.
        tags: Its tags.
        partition: The partition keys of this step; None if there are none.
        config: The `ConfigT` of this run.
        run_id: The run.
    """

    __slots__ = ("tags", "task_name")

    config: ConfigT
    """The configuration of this run."""

    def __init__(
        self,
        task_name: str,
        tags: Sequence[str] = (),
        partition: PartitionContext | None = None,
        config: ConfigT = None,  # type: ignore[assignment]
        run_id: str | None = None,
    ) -> None:
        self.task_name = task_name
        self.tags = tags
        self.partition = partition
        self.config = config
        self.run_id = run_id

    def _subject(self) -> str:
        return f"Task {self.task_name!r}"

    @property
    def log(self) -> logging.Logger:
        """The logger `rivers.tasks.<name>`."""
        return logging.getLogger(f"rivers.tasks.{self.task_name}")

    def __repr__(self) -> str:
        return f"TaskExecutionContext({self.task_name!r}, run_id={self.run_id!r})"


def _display(keys: Sequence[PartitionKey]) -> str:
    if len(keys) == 1:
        return str(keys[0])
    dimensions: dict[str, list[str]] = {}
    singles: list[str] = []
    for key in keys:
        if isinstance(key, PartitionKey.Multi):
            for name, values in key.keys.items():
                dimensions.setdefault(name, []).extend(values)
        else:
            singles.append(str(key))
    if not dimensions:
        return ",".join(singles)
    combined = PartitionKey.multi({name: list(dict.fromkeys(values)) for name, values in dimensions.items()})
    if len(combined.split()) == len(keys):
        return str(combined)
    return ", ".join(map(str, keys))
