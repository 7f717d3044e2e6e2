"""Delete stored values, and find those whose asset no longer exists."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rivers.exceptions import GraphValidationError, PartitionDefinitionError, PartitionValidationError
from rivers.execution.handler_calls import add_location, without_secrets
from rivers.execution.keys import requested_keys
from rivers.graph.plan import HandlerBinding
from rivers.partitions import PartitionsDefinition
from rivers.storage import Event
from rivers.storage.events import DELETION
from rivers_core.authoring import resolve_awaitable
from rivers_core.contexts import InputContext
from rivers_core.partitions import PartitionContext, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.execution.keys import KeyRequest
    from rivers.graph.plan import Graph, StoredOutput
    from rivers.storage import EventStorage
    from rivers_core.handler import BaseIOHandler

_CALLER = "delete"


@dataclass(frozen=True, slots=True)
class StoredValue:
    """Values of one asset that one call of a handler deletes.

    Attributes:
        asset: Name of the asset.
        partitions: Display forms of their keys; `(None,)` without partitions.
        binding: The handler.
        context: Context of the call.
        step: Name of the step that stored them, if it is known.
    """

    asset: str
    partitions: tuple[str | None, ...]
    binding: HandlerBinding
    context: InputContext
    step: str | None = None


def values_of(
    graph: Graph, output: StoredOutput, storage: EventStorage, partition_key: KeyRequest | None
) -> list[StoredValue]:
    """Return the values of an asset and, if it is a graph asset, of its nodes.

    Args:
        graph: The graph.
        output: The asset or node.
        storage: Event storage, whose partition keys are taken without `partition_key`.
        partition_key: One or several partition keys; None for all.

    Raises:
        GraphValidationError: The asset is external, or its function stores its values itself.
        PartitionValidationError: The asset is not partitioned, or does not have the keys.
    """
    outputs = [output]
    for member in graph.members.get(output.name, ()):
        if member in graph.outputs and not graph.outputs[member].is_asset and member != output.name:
            outputs += _node_outputs(graph, graph.outputs[member], storage)
    return [value for item in outputs for value in _values_of(item, storage, partition_key)]


def _node_outputs(graph: Graph, node: StoredOutput, storage: EventStorage) -> Iterator[StoredOutput]:
    """Yield a node, and the recorded instances of a mapped one."""
    yield node
    if graph.steps[node.name].fan_out is not None:
        for record in storage.get_asset_records():
            if record.asset_key.startswith(f"{node.name}__"):
                yield replace(node, name=record.asset_key)


def _values_of(
    output: StoredOutput, storage: EventStorage, partition_key: KeyRequest | None
) -> list[StoredValue]:
    binding, definition = output.binding, output.partitions_def
    if binding is None or output.step_name is None or output.returns_materialization:
        raise GraphValidationError(
            f"Cannot delete asset {output.name!r}: no handler of this repository stores it. Use the store itself."
        )
    if definition is None and partition_key is not None:
        raise PartitionValidationError(
            f"asset {output.name!r} is not partitioned, got partition_key={partition_key!r}. Omit partition_key."
        )
    if definition is None:
        context = InputContext(output.name, _CALLER, output.metadata, None, output.type_hint)
        is_recorded = storage.get_latest_materialization(output.name) is not None
        if not is_recorded and not _is_stored(binding, context):
            return []
        return [StoredValue(output.name, (None,), binding, context, output.step_name)]

    def context_of(*keys: PartitionKey) -> InputContext:
        partition = PartitionContext(keys, definition)
        return InputContext(output.name, _CALLER, output.metadata, partition, output.type_hint)

    recorded = storage.get_materialized_partitions(output.name)
    if partition_key is None:
        keys = [definition.parse_partition_key(text) for text in recorded]
    else:
        known = set(recorded)
        keys = [
            key
            for key in requested_keys(partition_key, definition, storage)
            if str(key) in known or _is_stored(binding, context_of(key))
        ]
    batches = [keys] if binding.handler.partition_batches and keys else [[key] for key in keys]
    return [
        StoredValue(
            output.name,
            tuple(map(str, batch)),
            binding,
            context_of(*batch),
            output.step_name,
        )
        for batch in batches
    ]


def _is_stored(binding: HandlerBinding, context: InputContext) -> bool:
    """Return whether the handler has a value that the event log does not record.

    Raises:
        Exception: That of the handler.
    """
    try:
        return _exists(binding, context)
    except Exception as error:
        add_location(error, "deleting", binding, context)
        raise


def delete_values(values: Sequence[StoredValue], storage: EventStorage) -> list[tuple[str, str | None]]:
    """Delete values, and record an event after each deletion.

    Args:
        values: The values.
        storage: Event storage.

    Returns:
        Asset and display form of the key of each.
    """
    if not values:
        return []
    run_id = str(uuid.uuid4())
    storage.start_run(
        run_id,
        steps=list(dict.fromkeys(value.step or value.asset for value in values)),
        selection=tuple(dict.fromkeys(value.asset for value in values)),
    )
    deleted: list[tuple[str, str | None]] = []
    try:
        for value in values:
            try:
                _delete(value.binding.handler, value.context)
            except Exception as error:
                add_location(error, "deleting", value.binding, value.context)
                raise
            for partition in value.partitions:
                storage.record(_event(value, partition, run_id))
                deleted.append((value.asset, partition))
    except BaseException as error:
        storage.finish_run(run_id, "failure" if isinstance(error, Exception) else "canceled")
        raise
    storage.finish_run(run_id, "success", "deleted stored values")
    return deleted


def _delete(handler: BaseIOHandler, context: InputContext) -> None:
    delete: Callable[[InputContext], Any] = handler.delete  # which may be async
    without_secrets(handler, lambda: resolve_awaitable(delete(context)))


def find_orphans(graph: Graph, storage: EventStorage, name: str, handler: BaseIOHandler) -> list[StoredValue]:
    """Return the values that a handler stored for assets that no longer exist.

    Args:
        graph: The graph of today's definitions.
        storage: Event storage, whose events name the handler.
        name: Name of the handler in events.
        handler: The handler.

    Returns:
        The values that are still stored where the name of the asset says.
    """
    binding = HandlerBinding(handler, name, "recorded")
    return [
        value for asset in _former_assets(graph, storage) for value in _orphans_of(asset, binding, storage)
    ]


def _former_assets(graph: Graph, storage: EventStorage) -> Iterator[str]:
    mapped = tuple(f"{step.name}__" for step in graph.steps.values() if step.fan_out is not None)
    for record in storage.get_asset_records():
        is_instance = bool(mapped) and record.asset_key.startswith(mapped)
        if (
            record.last_materialization is not None
            and record.asset_key not in graph.outputs
            and not is_instance
        ):
            yield record.asset_key


def _orphans_of(asset: str, binding: HandlerBinding, storage: EventStorage) -> Iterator[StoredValue]:
    events = storage.get_latest_materializations(asset)
    partitions = tuple(key for key, event in events.items() if event.handler == binding.label)
    if not partitions:
        return
    whole = InputContext(asset, _CALLER)
    if _exists(binding, whole):  # without partitions, or one table for all of them
        yield StoredValue(asset, partitions, binding, whole)
        return
    for partition in partitions:
        contexts = (InputContext(asset, _CALLER, None, context) for context in _partition_contexts(partition))
        context = next((context for context in contexts if _exists(binding, context)), None)
        if context is not None:
            yield StoredValue(asset, (partition,), binding, context)


def _partition_contexts(text: str | None) -> Iterator[PartitionContext]:
    """Yield contexts for the display form of a key whose definition no longer exists: with and without dimensions."""
    parts = [part.partition("=") for part in (text or "").split("|")]
    if all(separator for _, separator, _ in parts):
        definition = PartitionsDefinition.multi(
            {name: PartitionsDefinition.static_([value]) for name, _, value in parts}
        )
        yield PartitionContext([PartitionKey.multi({name: value for name, _, value in parts})], definition)
    if text and "|" not in text:
        yield PartitionContext([PartitionKey.single(text)], PartitionsDefinition.static_([text]))


def _exists(binding: HandlerBinding, context: InputContext) -> bool:
    try:
        return bool(
            without_secrets(binding.handler, lambda: resolve_awaitable(binding.handler.exists(context)))
        )
    except (
        PartitionValidationError,
        PartitionDefinitionError,
    ):  # a table, which needs the columns of the keys
        return False


def _event(value: StoredValue, partition: str | None, run_id: str) -> Event:
    return Event(
        DELETION,
        run_id=run_id,
        asset_key=value.asset,
        partition_key=partition,
        handler=value.binding.label,
        step=value.step,
    )
