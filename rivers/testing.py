"""Helpers for tests of pipelines: contexts, event storages, and runs whose values stay in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from rivers.definitions.contexts import AssetExecutionContext
from rivers.exceptions import ConfigurationError, ConfigurationTypeError
from rivers.repository import CodeRepository, RunResult
from rivers.storage import Storage
from rivers_core.partitions import PartitionContext, PartitionKey

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from rivers.definitions.asset import Asset
    from rivers.definitions.task import Task
    from rivers.execution.keys import KeyRequest
    from rivers.partitions import PartitionsDefinition
    from rivers.storage import EventStorage

__all__ = [
    "MemoryRunResult",
    "build_asset_context",
    "embedded_storage",
    "materialize_to_memory",
    "memory_storage",
]


def memory_storage() -> EventStorage:
    """Return an event storage that lives as long as this process."""
    return Storage.memory()


def embedded_storage(path: str | os.PathLike[str]) -> EventStorage:
    """Return an event storage in a SQLite file below a directory, such as pytest's `tmp_path`."""
    return Storage.embedded(path)


def build_asset_context(
    name: str,
    *,
    partition_key: str | PartitionKey | Sequence[str | PartitionKey] | None = None,
    partitions_def: PartitionsDefinition | None = None,
    config: Any = None,
    tags: list[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    partition: PartitionContext | None = None,
) -> AssetExecutionContext[Any]:
    """Return a context to call the function of an asset with.

    Args:
        name: Name of the asset.
        partition_key: Partition key of the step, or several for an asset with `partition_batches`.
        partitions_def: Definition of the key, which `partition_time_window` needs.
        config: Configuration object of the run.
        tags: Tags of the asset.
        metadata: Static metadata of the asset.
        run_id: Identifier of the run.
        partition: Partition of the step, instead of a key.

    Raises:
        ConfigurationError: An argument has the wrong type, or the definition does not have the key.

    Examples:
        >>> from rivers import PartitionsDefinition
        >>> days = PartitionsDefinition.daily("2024-01-01")
        >>> context = build_asset_context("sales", partition_key="2024-01-02", partitions_def=days)
        >>> context.partition_time_window[0].isoformat()
        '2024-01-02T00:00:00'
    """
    given: object = partition
    if given is not None and not isinstance(given, PartitionContext):
        raise ConfigurationTypeError(
            f"build_asset_context: partition must be a PartitionContext, got {given!r}. Use partition_key={given!r}."
        )
    if partition_key is not None:
        keys = [partition_key] if isinstance(partition_key, (str, PartitionKey)) else list(partition_key)
        partition = PartitionContext([_key(key, partitions_def) for key in keys], partitions_def)
    return AssetExecutionContext(
        name, tags, asset_metadata=metadata, partition=partition, config=config, run_id=run_id
    )


def _key(key: str | PartitionKey, definition: PartitionsDefinition | None) -> PartitionKey:
    if isinstance(key, PartitionKey):
        parsed = key
    elif definition is not None:
        parsed = definition.parse_partition_key(key)
    else:
        parsed = PartitionKey.single(key)
    fault = None if definition is None else definition.fault_of(parsed)
    if fault is not None:
        raise ConfigurationError(f"build_asset_context: {fault}")
    return parsed


@dataclass(frozen=True, slots=True)
class MemoryRunResult(RunResult):
    """Outcome of `materialize_to_memory`, from which the values can be loaded.

    Attributes:
        repository: The repository of the run.
    """

    repository: CodeRepository | None = field(default=None, compare=False, repr=False)

    def load_node(self, name: str | Asset | Task, *, partition_key: KeyRequest | None = None) -> Any:
        """Return a value that the run stored.

        Raises:
            NotMaterializedError: The run did not store it.
        """
        assert self.repository is not None
        return self.repository.load_node(name, partition_key=partition_key)


def materialize_to_memory(
    assets: Sequence[Asset],
    partition_key: KeyRequest | None = None,
    resources: Mapping[str, Any] | None = None,
    *,
    selection: Sequence[str | Asset | Task] | str | None = None,
    tasks: Sequence[Task] | None = None,
    config: Mapping[str, Any] | None = None,
    raise_on_error: bool = True,
) -> MemoryRunResult:
    """Run assets with the memory handler in place of every other; nothing is read from or written to a store.

    No configuration file is read, and events stay in memory. Resources are set up before and torn down after the run.

    Args:
        assets: The assets with everything they need.
        partition_key: Partition keys of the run.
        resources: Resources by name. Names of handlers need no entry.
        selection: Which assets run; None for all.
        tasks: Standalone tasks.
        config: `{asset: {field: value}}` for configuration objects.
        raise_on_error: Whether to raise the first failure.

    Raises:
        ExecutionError: A step failed and `raise_on_error` is true.

    Examples:
        >>> from rivers import Asset
        >>> @Asset(io_handler="warehouse")
        ... def numbers() -> list[int]:
        ...     return [1, 2]
        >>> materialize_to_memory([numbers]).load_node("numbers")
        [1, 2]
    """
    repository = CodeRepository(assets, tasks, resources=resources, config=False).override(
        io_handler="memory"
    )
    try:
        result = repository.materialize(
            selection, partition_key, config=config, raise_on_error=raise_on_error
        )
    finally:
        repository.shutdown()
    values = {item.name: getattr(result, item.name) for item in fields(RunResult)}
    return MemoryRunResult(**values, repository=repository)
