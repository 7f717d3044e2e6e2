"""Which partition keys each step of a run works on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rivers.mappings import upstream_keys
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey, PartitionKeyRange, PartitionsDefinition

if TYPE_CHECKING:
    from rivers.graph.plan import Plan, Step
    from rivers.storage import EventStorage

    DynamicKeys = Mapping[str, Sequence[str]] | None
    OneKey = str | PartitionKey | PartitionKeyRange | Mapping[str, str | list[str]]
    KeyRequest = OneKey | Sequence[OneKey]


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
        PartitionValidationError: A key is not of this definition, or no key at all; says which comes nearest.
    """
    dynamic = dynamic_keys(definition, storage)
    try:
        keys = definition.ordered(_written_keys(request, definition, dynamic), dynamic)
    except PartitionDefinitionError as error:
        raise PartitionValidationError(str(error)) from error
    if not keys:
        raise PartitionValidationError(
            f"partition_key={request!r} names no partition; leave it out, or give a key."
        )
    return keys


def asks_for_several(request: KeyRequest) -> bool:
    """Whether a request is written as one for several keys, though it may name one: a list and a range are."""
    return not isinstance(request, (str, PartitionKey, Mapping))


def _written_keys(
    request: object, definition: PartitionsDefinition, dynamic: DynamicKeys
) -> Iterable[PartitionKey]:
    if isinstance(request, PartitionKeyRange):
        return request.resolve(definition, dynamic)
    if isinstance(request, str):
        return (definition.parse_partition_key(request),)
    if isinstance(request, PartitionKey):
        return (request,)
    if isinstance(request, Mapping):
        return (PartitionKey(request),)
    if not isinstance(request, Iterable):
        raise PartitionValidationError(
            f"partition_key={request!r} is no partition key; give a PartitionKey, its text, a dictionary of "
            "dimensions, a PartitionKeyRange, or a list of these."
        )
    return [key for one in request for key in _written_keys(one, definition, dynamic)]


def keys_of_plan(
    plan: Plan, request: KeyRequest | None, storage: EventStorage
) -> dict[str, list[PartitionKey]]:
    """Give every partitioned step of a plan its keys.

    A step whose definition knows the requested keys works on them. One whose definition does not, or that
    is only there because others need it, gets those that the steps after it need of it.

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
            f"partition_key={shown_request(request)}: none of the selected assets is partitioned "
            f"({', '.join(step.owner for step in plan.steps[:5])})"
        )
    for step in reversed(partitioned):
        assert step.partitions_def is not None
        if request is None:
            raise PartitionValidationError(
                f"asset {step.owner!r} is partitioned; say for which partition, with partition_key=... "
                f"{_examples(step.partitions_def, storage)}"
            )
        needed = _needed_of(step, plan, keys, storage) if step.name in plan.included else []
        try:
            keys[step.name] = needed or requested_keys(request, step.partitions_def, storage)
        except PartitionValidationError as error:
            needed = _needed_of(step, plan, keys, storage)
            if needed:
                keys[step.name] = needed
            else:
                refused[step.owner] = error
    if refused:
        name, refusal = next(reversed(refused.items()))
        raise PartitionValidationError(f"asset {name!r}: {refusal}") from refusal
    return keys


def shown_request(request: KeyRequest) -> str:
    """A request as text for messages and for the run's row: the display form of what it names."""
    if isinstance(request, Mapping):
        return str(PartitionKey(request))
    if isinstance(request, (str, PartitionKey, PartitionKeyRange)):
        return str(request)
    return ", ".join(map(shown_request, request))


def _needed_of(
    step: Step, plan: Plan, keys: Mapping[str, Sequence[PartitionKey]], storage: EventStorage
) -> list[PartitionKey]:
    made = {output.name for output in step.outputs}
    needed: set[PartitionKey] = set()
    for follower in plan.steps:
        if follower.partitions_def is None or follower.name not in keys:
            continue
        for upstream, mapping in follower.mappings():
            if upstream not in made:
                continue
            try:
                needed.update(
                    upstream_keys(
                        mapping,
                        downstream=follower.partitions_def,
                        upstream=step.partitions_def,
                        keys=keys[follower.name],
                        upstream_all=lambda: existing_keys(step.partitions_def, storage),
                    )
                )
            except PartitionValidationError as error:
                text = f"asset {follower.owner!r} cannot take {upstream!r}: {error}"
                raise PartitionValidationError(text) from error
    assert step.partitions_def is not None
    return step.partitions_def.ordered(needed, dynamic_keys(step.partitions_def, storage)) if needed else []


def _examples(definition: PartitionsDefinition, storage: EventStorage) -> str:
    keys = [str(key) for key in existing_keys(definition, storage)]
    if not keys:
        return "(its dynamic partitions have no key yet: storage.add_dynamic_partitions(name, keys))"
    return f"({keys[0]!r})" if len(keys) == 1 else f"({len(keys)} keys, from {keys[0]!r} to {keys[-1]!r})"
