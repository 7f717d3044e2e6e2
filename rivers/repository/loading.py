"""Loading a stored value outside of any run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rivers.exceptions import ExecutionError, NotMaterializedError, PartitionValidationError
from rivers.execution.fan_in import by_key, load_each
from rivers.execution.handler_errors import add_place, say_who_stores
from rivers.execution.keys import asks_for_several, requested_keys
from rivers.graph.types import stated, value_of_mapping
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
    output: StoredOutput, storage: EventStorage, partition_key: KeyRequest | None, type_hint: Any
) -> Any:
    """Load what was stored of an output.

    Args:
        output: The asset or node.
        storage: Where its events are.
        partition_key: Which partition, or several.
        type_hint: The type wanted; None takes what the producer promised.

    Returns:
        The value; `{key: value}` when several keys were asked for, also by a list or range that holds but one.

    Raises:
        NotMaterializedError: Nothing was ever stored.
        PartitionValidationError: The key is missing, superfluous, or not one of the asset's.
        ExecutionError: The asset recorded a `Materialization`, so there is nothing to load.
    """
    definition = output.partitions_def
    if definition is None:
        if partition_key is not None:
            raise PartitionValidationError(
                f"asset {output.name!r} has no partitions; load it without partition_key"
            )
        event = storage.get_latest_materializations(output.name).get(None)
        context = _context(output, None, _wanted(type_hint, output), event)
        return _now(output, _load(output, context))
    if partition_key is None:
        raise PartitionValidationError(
            f"asset {output.name!r} is partitioned; say which with partition_key=..., "
            f"materialized are {storage.get_materialized_partitions(output.name)[:10]}"
        )
    keys = requested_keys(partition_key, definition, storage)
    if len(keys) == 1 and not asks_for_several(partition_key):
        event = storage.get_latest_materialization(output.name, keys[0])
        context = _context(output, keys[0], _wanted(type_hint, output), event)
        return _now(output, _load(output, context))
    return _load_several(output, storage, keys, type_hint)


def _load_several(
    output: StoredOutput, storage: EventStorage, keys: Sequence[PartitionKey], type_hint: Any
) -> dict[Any, Any]:
    is_mapping, key_hint, item_hint = value_of_mapping(stated(type_hint))
    hint = _wanted(item_hint if is_mapping else type_hint, output)
    events = storage.get_latest_materializations(output.name)
    contexts = [_context(output, key, hint, events.get(str(key))) for key in keys]
    loading = load_each(_bound(output), contexts, lambda context: _load(output, context))
    return by_key(
        [str(key) for key in keys] if key_hint is str else keys,
        _now(output, loading),
        output.name,
        _bound(output).label,
    )


def _now(output: StoredOutput, loading: Coroutine[Any, Any, T]) -> T:
    """Return the loaded value; only an asynchronous handler needs an event loop for it."""
    value: T = resolve_awaitable(loading) if _bound(output).is_async_input else run_sync(loading)
    return value


def _wanted(hint: Any, output: StoredOutput) -> Any:
    said = stated(hint)
    return said if said is not None else output.type_hint


def _context(output: StoredOutput, key: PartitionKey | None, hint: Any, event: Event | None) -> InputContext:
    partition = None if key is None else PartitionContext([key], output.partitions_def)
    return InputContext(output.name, CALLER, output.metadata, partition, hint, upstream=event)


async def _load(output: StoredOutput, context: InputContext) -> Any:
    event = context.upstream
    if event is not None and event.handler is None:
        raise ExecutionError(
            f"asset {output.name!r} returned a Materialization in run {event.run_id}: "
            "it is stored elsewhere, so there is no value to load here"
        )
    try:
        binding = _bound(output)
        value = binding.load_input(context)
        return await value if binding.is_async_input else value
    except NotMaterializedError as error:
        say_who_stores(error, output)
        raise
    except FileNotFoundError as error:  # of a handler that knows no better
        absent = _never_stored(output, context)
        say_who_stores(absent, output)
        raise absent from error
    except Exception as error:
        add_place(error, "loading", _bound(output), context)
        raise


def _never_stored(output: StoredOutput, context: InputContext) -> NotMaterializedError:
    binding = _bound(output)
    address = None
    with suppress(Exception):  # it may be what is broken
        address = binding.handler.describe_address(context)
    key = None if context.partition is None else context.partition.key
    return NotMaterializedError(output.name, partition=key, handler=binding.label, address=address)


def _bound(output: StoredOutput) -> HandlerBinding:
    assert output.binding is not None
    return output.binding
