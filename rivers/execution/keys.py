"""Which partition keys each step of a run works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rivers.execution.provenance import needed_keys
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey, PartitionKeyRange, PartitionsDefinition

if TYPE_CHECKING:
    from rivers.graph.plan import Plan, Step
    from rivers.storage import EventStorage

    KeyRequest = str | PartitionKey | PartitionKeyRange | Mapping[str, str] | Sequence[str | PartitionKey]


def existing_keys(definition: PartitionsDefinition | None, storage: EventStorage) -> list[PartitionKey]:
    """Every key that a definition has now.

    Args:
        definition: The definition; None has no keys.
        storage: Where the keys of dynamic partitions live.
    """
    return [] if definition is None else definition.get_partition_keys(dynamic_keys(definition, storage))


def dynamic_keys(definition: PartitionsDefinition, storage: EventStorage) -> dict[str, list[str]] | None:
    """The stored keys of every dynamic part of a definition, by name; None when nothing in it is dynamic."""
    if not definition.is_dynamic:
        return None
    parts = (
        definition.dimensions.values() if isinstance(definition, PartitionsDefinition.Multi) else [definition]
    )
    return {
        part.name: storage.get_dynamic_partitions(part.name)
        for part in parts
        if isinstance(part, PartitionsDefinition.Dynamic)
    }


def requested_keys(
    request: KeyRequest, definition: PartitionsDefinition, storage: EventStorage
) -> list[PartitionKey]:
    """Turn what a user wrote into keys of one definition, one by one, in its order.

    Args:
        request: A key, its text, a range, a dictionary of dimensions, or a list of these.
        definition: The definition.
        storage: Where the keys of dynamic partitions live.

    Raises:
        PartitionValidationError: A key is not of this definition; says which comes nearest.
        PartitionDefinitionError: The text is no key at all.
    """
    dynamic = dynamic_keys(definition, storage)
    if isinstance(request, PartitionKeyRange):
        return request.resolve(definition, dynamic)
    if isinstance(request, str):
        request = definition.parse_partition_key(request)
    given = [PartitionKey(request)] if isinstance(request, Mapping) else request
    if isinstance(given, PartitionKey):
        given = [given]
    return definition.ordered(
        [definition.parse_partition_key(key) if isinstance(key, str) else key for key in given], dynamic
    )


def keys_of_plan(
    plan: Plan, request: KeyRequest | None, storage: EventStorage
) -> dict[str, list[PartitionKey]]:
    """Give every partitioned step of a plan its keys.

    A step whose definition knows the requested keys works on them. One whose definition does not gets
    those that the steps after it need of it.

    Args:
        plan: The plan.
        request: What was asked for; None when nothing was.
        storage: Where the keys of dynamic partitions live.

    Raises:
        PartitionValidationError: A partitioned asset was given no key, or one that nothing in the plan has.
    """
    keys: dict[str, list[PartitionKey]] = {}
    refused: dict[str, PartitionValidationError] = {}
    partitioned = [step for step in plan.steps if step.partitions_def is not None]
    if request is not None and not partitioned:
        raise PartitionValidationError(
            f"partition_key={_shown(request)}: none of the selected assets is partitioned "
            f"({', '.join(step.owner for step in plan.steps[:5])})"
        )
    for step in reversed(partitioned):
        assert step.partitions_def is not None
        if request is None:
            raise PartitionValidationError(
                f"asset {step.owner!r} is partitioned; say for which partition, with partition_key=... "
                f"{_examples(step.partitions_def, storage)}"
            )
        try:
            keys[step.name] = requested_keys(request, step.partitions_def, storage)
        except PartitionValidationError as error:
            needed = _needed_of(step, plan, keys, storage)
            if needed:
                keys[step.name] = needed
            else:
                refused[step.name] = error
    if refused:
        step_name, error = next(reversed(refused.items()))
        raise PartitionValidationError(f"asset {step_name!r}: {error}") from error
    return keys


def _needed_of(
    step: Step, plan: Plan, keys: Mapping[str, Sequence[PartitionKey]], storage: EventStorage
) -> list[PartitionKey]:
    made = {output.name for output in step.outputs}
    needed: set[PartitionKey] = set()
    for follower in plan.steps:
        if follower.partitions_def is None or follower.name not in keys:
            continue
        for loaded in follower.inputs:
            if loaded.upstream.name in made and loaded.mapping is not None:
                needed.update(
                    needed_keys(
                        loaded, follower, keys[follower.name], lambda part: existing_keys(part, storage)
                    )
                )
    assert step.partitions_def is not None
    return step.partitions_def.ordered(needed, dynamic_keys(step.partitions_def, storage)) if needed else []


def _examples(definition: PartitionsDefinition, storage: EventStorage) -> str:
    keys = [str(key) for key in existing_keys(definition, storage)]
    if not keys:
        return "(its dynamic partitions have no key yet: storage.add_dynamic_partitions(name, keys))"
    return f"({keys[0]!r})" if len(keys) == 1 else f"({len(keys)} keys, from {keys[0]!r} to {keys[-1]!r})"


def _shown(request: object) -> str:
    text = str(request)
    return text if len(text) <= 80 else f"{text[:77]}..."
