"""Load stored values outside a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.exceptions import ExecutionError, NotMaterializedError, PartitionValidationError, RiversError
from rivers.execution.fan_in import by_key, load_each
from rivers.execution.handler_calls import add_location, advise_on_external, shown_address, without_secrets
from rivers.execution.keys import asks_for_several, requested_keys
from rivers.execution.loaded_versions import check_not_put_back
from rivers.graph.plan import ItemHint
from rivers.graph.types import value_hint
from rivers_core.authoring import shown_keys
from rivers_core.awaitables import resolve_awaitable, run_sync
from rivers_core.contexts import InputContext
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import TypeVar

    from rivers.execution.keys import KeyRequest
    from rivers.graph.plan import HandlerBinding, StoredOutput
    from rivers.storage import Event, EventStorage
    from rivers_core.partitions import PartitionKey

    T = TypeVar("T")

CALLER = "load_node"


def load_stored(
    output: StoredOutput,
    storage: EventStorage,
    partition_key: KeyRequest | None,
    type_hint: Any,
    version: str | None = None,
) -> Any:
    """Load the stored value of an output.

    Args:
        output: The asset or node.
        storage: Event storage.
        partition_key: One or several partition keys.
        type_hint: Requested type; None for the type that the producer declares.
        version: An earlier version; None for the current value.

    Returns:
        The value; `{key: value}` if several keys were requested, also by a list or range that contains only one.

    Raises:
        NotMaterializedError: Nothing was ever stored.
        VersionNotFoundError: The version is not stored.
        PartitionValidationError: The key is missing, or not one of the asset's; or several keys with a version.
        ExecutionError: The asset recorded a `Materialization`, so that its handler has no value.
    """
    if version is not None:
        context = stored_context(output, storage, partition_key, CALLER, _type_hint(type_hint, output))
        context.version = version
        return _run_loading(output, _load(output, context, storage))
    definition = output.partitions_def
    if definition is None:
        if partition_key is not None:
            raise PartitionValidationError(
                f"asset {output.name!r} is not partitioned, got partition_key={partition_key!r}. Omit partition_key."
            )
        event = storage.get_latest_materializations(output.name).get(None)
        context = _context(output, None, _type_hint(type_hint, output), event)
        return _run_loading(output, _load(output, context, storage))
    if partition_key is None:
        stored = shown_keys(storage.get_materialized_partitions(output.name)) or "none"
        raise PartitionValidationError(
            f"asset {output.name!r} is partitioned: partition_key is required. Materialized keys: {stored}."
        )
    keys = requested_keys(partition_key, definition, storage)
    if len(keys) == 1 and not asks_for_several(partition_key):
        event = storage.get_latest_materialization(output.name, keys[0])
        context = _context(output, keys[0], _type_hint(type_hint, output), event)
        return _run_loading(output, _load(output, context, storage))
    return _load_several(output, storage, keys, type_hint)


def stored_context(
    output: StoredOutput,
    storage: EventStorage,
    partition_key: KeyRequest | None,
    caller: str,
    type_hint: Any = None,
) -> InputContext:
    """Return a context for one stored value whose handler keeps versions.

    Args:
        output: The asset or node.
        storage: Event storage.
        partition_key: The partition key; None without partitions.
        caller: Name of the operation.
        type_hint: Requested type.

    Raises:
        PartitionValidationError: The key is missing, not one of the asset's, or not a single one.
        RiversError: The handler does not keep versions.
    """
    binding = _bound(output)
    if not binding.handler.has_versions:
        raise RiversError(
            f"Asset {output.name!r} has no earlier versions: its handler {binding.label!r} "
            f"({type(binding.handler).__name__}) does not keep them. Use delta, or pickle with `keep_versions`."
        )
    definition = output.partitions_def
    if (definition is None) != (partition_key is None):
        raise PartitionValidationError(
            f"asset {output.name!r} is {'not ' if definition is None else ''}partitioned, got partition_key="
            f"{partition_key!r}. {'Omit' if definition is None else 'Pass'} partition_key."
        )
    key = None
    if definition is not None and partition_key is not None:
        keys = requested_keys(partition_key, definition, storage)
        if len(keys) != 1:
            raise PartitionValidationError(
                f"{caller} of asset {output.name!r} takes one partition key, got {len(keys)}. Each partition has its "
                "own versions."
            )
        (key,) = keys
    partition = None if key is None else PartitionContext([key], definition)
    return InputContext(output.name, caller, output.metadata, partition, type_hint)


def _load_several(
    output: StoredOutput, storage: EventStorage, keys: Sequence[PartitionKey], type_hint: Any
) -> dict[Any, Any]:
    requested = value_hint(type_hint)
    items = ItemHint.of(requested, output.type_hint)
    hint = items.value if items.is_mapping or requested is None else requested
    events = storage.get_latest_materializations(output.name)
    contexts = [_context(output, key, hint, events.get(str(key))) for key in keys]
    loading = load_each(_bound(output), contexts, lambda context: _load(output, context, storage))
    return by_key(
        [str(key) for key in keys] if items.text_keys else keys,
        _run_loading(output, loading),
        output.name,
        _bound(output).label,
    )


def _run_loading(output: StoredOutput, loading: Coroutine[Any, Any, T]) -> T:
    """Return the loaded value; only an asynchronous handler needs an event loop for it."""
    binding = _bound(output)
    return without_secrets(
        binding.handler, lambda: resolve_awaitable(loading) if binding.is_async_input else run_sync(loading)
    )


def _type_hint(hint: Any, output: StoredOutput) -> Any:
    requested = value_hint(hint)
    return requested if requested is not None else output.type_hint


def _context(output: StoredOutput, key: PartitionKey | None, hint: Any, event: Event | None) -> InputContext:
    partition = None if key is None else PartitionContext([key], output.partitions_def)
    return InputContext(output.name, CALLER, output.metadata, partition, hint, upstream=event)


async def _load(output: StoredOutput, context: InputContext, storage: EventStorage) -> Any:
    event = context.upstream
    if event is not None and event.handler is None:
        raise ExecutionError(
            f"Cannot load asset {output.name!r}: it returned a Materialization in run {event.run_id}, so that its "
            "value is not stored by its handler."
        )
    try:
        binding = _bound(output)
        value = binding.load_input(context)
        if binding.is_async_input:
            value = await value
    except ExecutionError:  # of a run within the handler; it may also be a FileNotFoundError
        raise
    except NotMaterializedError as error:
        advise_on_external(error, output)
        raise
    except FileNotFoundError as error:  # from a handler that does not raise NotMaterializedError
        missing = _not_materialized(output, context)
        advise_on_external(missing, output)
        raise missing from error
    except Exception as error:
        add_location(error, "loading", _bound(output), context)
        raise
    if event is not None and context.loaded_version is not None:
        check_not_put_back(binding, context, context.loaded_version, event, storage)
    return value


def _not_materialized(output: StoredOutput, context: InputContext) -> NotMaterializedError:
    binding = _bound(output)
    address = shown_address(binding.handler, context)
    key = None if context.partition is None else context.partition.key
    return NotMaterializedError(output.name, partition=key, handler=binding.label, address=address)


def _bound(output: StoredOutput) -> HandlerBinding:
    assert output.binding is not None
    return output.binding
