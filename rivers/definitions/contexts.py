"""Contexts: optional first parameter of the functions of assets and tasks, and the asset's own stored value."""

from __future__ import annotations

import logging
import typing
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic

from rivers.exceptions import PartitionValidationError, ResultTypeError
from rivers_core.authoring import plain_text, shown_keys
from rivers_core.metadata import coerce_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from typing_extensions import TypeVar

    from rivers.definitions.results import Metadata
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext

    # the default makes a bare `AssetExecutionContext` a complete annotation
    ConfigT = TypeVar("ConfigT", default=Any)
    # a task without ConfigT has no configuration; with Any, mypy could not tell the overloads of `Task` apart
    TaskConfigT = TypeVar("TaskConfigT", default=None)
else:
    from typing import TypeVar

    ConfigT = TypeVar("ConfigT")
    TaskConfigT = TypeVar("TaskConfigT")

__all__ = ["AssetExecutionContext", "SelfDependency", "TaskExecutionContext"]

T = typing.TypeVar("T")


class _PartitionedContext(ABC):
    """Partition attributes of both contexts."""

    __slots__ = ("config", "partition", "run_id")

    partition: PartitionContext | None

    @abstractmethod
    def _subject(self) -> str:
        """Return kind and name of the definition, for messages."""

    def _repr(self, *names: str) -> str:
        """Return the constructor call, without what was not set."""
        given = [(name, getattr(self, name)) for name in names]
        arguments = ", ".join(
            f"{name}={value!r}" for name, value in given if value is not None and value != []
        )
        return f"{type(self).__name__}({arguments})"

    @property
    def has_partition_key(self) -> bool:
        """True if the step has a partition."""
        return self.partition is not None

    @property
    def partition_key(self) -> str:
        """Display form of the partition key: `2024-01-01`, `date=2024-01-01|region=us`.

        Raises:
            PartitionValidationError: The step has no partition, or handles several in one call.
        """
        return str(self._single("partition_key").key)

    @property
    def partition_time_window(self) -> tuple[datetime, datetime]:
        """Start (inclusive) and end (exclusive) of the partition.

        Raises:
            PartitionValidationError: The step has no partition, handles several in one call, or has partitions that
                are not time windows.
        """
        partition = self._single("partition_time_window")
        window = partition.time_window()
        if window is None:
            raise PartitionValidationError(
                f"{self._subject()} has no partition_time_window: its partitions are not time windows "
                f"({str(partition.key)!r}). Use `context.partition_key`."
            )
        return window

    def _single(self, attribute: str) -> PartitionContext:
        partition = self.partition
        if partition is None:
            raise PartitionValidationError(
                f"{self._subject()} has no {attribute}: it runs without a partition key. Check "
                "`context.has_partition_key` first, or set partitions_def and materialize with "
                'partition_key="...".'
            )
        if partition.is_single:
            return partition
        raise PartitionValidationError(
            f"{self._subject()} has no {attribute}: this call handles {len(partition.keys)} partition keys "
            f"({shown_keys(partition.keys)}). "
            "Use `context.partition.keys`, or omit partition_batches to be called once per key."
        )


class AssetExecutionContext(_PartitionedContext, Generic[ConfigT]):
    """Context of an asset's function, passed to a first parameter with this annotation.

    It is cheap to create, so that a test can call the function with one.

    Args:
        asset_name: Name of the asset.
        tags: Tags of the asset; None if it has none.
        kinds: Kinds of the asset.
        group: Group of the asset.
        code_version: Version of its code.
        asset_metadata: Static metadata of the asset.
        partition: Partition keys of this step; None if there are none.
        is_multi_asset: Whether the asset has several outputs.
        output_selection: Outputs of a multi-asset that this run stores; empty for an asset with one output.
        config: The `ConfigT` of this run.
        run_id: Identifier of the run.

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
    """Configuration of this run."""
    output_metadata: dict[str, MetadataValue] | None
    """Metadata added by `add_output_metadata`; None until the first call."""

    def __init__(
        self,
        asset_name: str,
        tags: list[str] | None = None,
        kinds: Sequence[str] = (),
        group: str | None = None,
        code_version: str | None = None,
        asset_metadata: Mapping[str, Any] | None = None,
        partition: PartitionContext | None = None,
        is_multi_asset: bool = False,
        output_selection: Sequence[str] = (),
        config: ConfigT = None,  # type: ignore[assignment]
        run_id: str | None = None,
    ) -> None:
        self.asset_name = asset_name
        self.tags = None if tags is None else list(tags)
        self.kinds = list(kinds)
        self.group = group
        self.code_version = code_version
        self.asset_metadata = asset_metadata
        self.is_multi_asset = is_multi_asset
        self.output_selection = list(output_selection)
        self.partition = partition
        self.config = config
        self.run_id = run_id
        self.output_metadata = None
        self.registered_data_version: str | None = None

    def _subject(self) -> str:
        return f"Asset {self.asset_name!r}"

    @property
    def log(self) -> logging.Logger:
        """Logger `rivers.assets.<name>`."""
        return logging.getLogger(f"rivers.assets.{self.asset_name}")

    def add_output_metadata(self, metadata: Metadata) -> None:
        """Add metadata to the event of this step; a later value replaces an earlier one of the same key.

        Raises:
            TypeError: A value cannot be stored as metadata.
        """
        self.output_metadata = {**(self.output_metadata or {}), **coerce_mapping(metadata)}

    def register_data_version(self, version: str) -> None:
        """Set the data version of the result; a version from an `Output` or the handler takes precedence.

        Raises:
            ResultTypeError: (also a TypeError) The version is not a non-empty string.
        """
        value: object = version
        if not isinstance(value, str) or not value:
            raise ResultTypeError(
                f"Asset {self.asset_name!r}: version must be a non-empty string, got {value!r}."
            )
        self.registered_data_version = plain_text(version)

    def drain_data_version(self) -> str | None:
        """Return the registered version and forget it."""
        version, self.registered_data_version = self.registered_data_version, None
        return version

    def __repr__(self) -> str:
        return self._repr("asset_name", "tags", "kinds", "group", "code_version", "asset_metadata", "partition",
                          "output_selection", "config", "run_id")  # fmt: skip


class TaskExecutionContext(_PartitionedContext, Generic[TaskConfigT]):
    """Context of a task's function, passed to a first parameter with this annotation.

    Args:
        task_name: Name of the task; inside a graph asset that of the node, `graph/task`.
        tags: Tags of the task; None if it has none.
        partition: Partition keys of this step; None if there are none.
        config: The `ConfigT` of this run.
        run_id: Identifier of the run.
    """

    __slots__ = ("tags", "task_name")

    config: TaskConfigT
    """Configuration of this run."""

    def __init__(
        self,
        task_name: str,
        tags: list[str] | None = None,
        partition: PartitionContext | None = None,
        config: TaskConfigT = None,  # type: ignore[assignment]
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
        """Logger `rivers.tasks.<name>`."""
        return logging.getLogger(f"rivers.tasks.{self.task_name}")

    def __repr__(self) -> str:
        return self._repr("task_name", "tags", "partition", "config", "run_id")


class SelfDependency(Generic[T]):
    """The asset's own stored value, as a parameter `self: SelfDependency[T]` of its function.

    `T` is the `type_hint` that the handler gets when it loads the value.

    Args:
        value: The stored value; None if there is none.
        is_stored: Whether a value was ever stored, which distinguishes a stored None from a first run. By default
            a value other than None counts as stored.

    Examples:
        >>> def total(self: SelfDependency[int], new: int) -> int:
        ...     return (self.get_inner() or 0) + new
        >>> total(SelfDependency(3), 4)
        7
    """

    __slots__ = ("_value", "is_stored")

    def __init__(self, value: T | None = None, is_stored: bool | None = None) -> None:
        self._value = value
        self.is_stored = value is not None if is_stored is None else is_stored

    def get_inner(self) -> T | None:
        """Return the stored value; None if no value was ever stored (or a None, see `is_stored`)."""
        return self._value if self.is_stored else None

    def __repr__(self) -> str:
        return f"SelfDependency({self._value!r}, is_stored={self.is_stored})"
