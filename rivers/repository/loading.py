"""Loading a stored value outside of any run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.execution.keys import requested_keys
from rivers.graph.types import stated, value_of_mapping
from rivers_core.contexts import InputContext
from rivers_core.exceptions import ExecutionError, PartitionValidationError
from rivers_core.handler.waiting import finished
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from rivers.execution.keys import KeyRequest
    from rivers.graph.plan import StoredOutput
    from rivers.storage import EventStorage

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
        The value; `{key: value}` when several keys were asked for.

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
        return _load_one(output, storage, None, type_hint)
    if partition_key is None:
        raise PartitionValidationError(
            f"asset {output.name!r} is partitioned; say which with partition_key=..., "
            f"materialized are {storage.get_materialized_partitions(output.name)[:10]}"
        )
    keys = requested_keys(partition_key, definition, storage)
    if len(keys) == 1:
        return _load_one(output, storage, PartitionContext(keys, definition), type_hint)
    is_mapping, key_hint, item_hint = value_of_mapping(stated(type_hint))
    hint = item_hint if is_mapping else type_hint
    return {
        str(key) if key_hint is str else key: _load_one(
            output, storage, PartitionContext([key], definition), hint
        )
        for key in keys
    }


def _load_one(
    output: StoredOutput, storage: EventStorage, partition: PartitionContext | None, type_hint: Any
) -> Any:
    event = storage.get_latest_materialization(output.name, None if partition is None else str(partition.key))
    if event is not None and event.handler is None:
        raise ExecutionError(
            f"asset {output.name!r} returned a Materialization in run {event.run_id}: "
            "it is stored elsewhere, so there is no value to load here"
        )
    hint = stated(type_hint)
    context = InputContext(
        output.name,
        CALLER,
        output.metadata,
        partition,
        hint if hint is not None else output.type_hint,
        upstream=event,
    )
    return finished(output.handler.load_input(context))
