"""Resolve the partition keys of each step of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rivers.exceptions import UnknownPartitionError
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
    """Return every current key of a definition.

    Args:
        definition: The definition; None has no keys.
        storage: Storage of the keys of dynamic partitions.
    """
    return [] if definition is None else definition.get_partition_keys(dynamic_keys(definition, storage))


def dynamic_keys(definition: PartitionsDefinition, storage: EventStorage) -> dict[str, list[str]] | None:
    """Return the stored keys of each dynamic part of a definition by name; None without a dynamic part."""
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
    """Return the requested keys of a definition one by one, in its order.

    Args:
        request: A key, its text, a range, a dictionary of dimensions, or a list of these.
        definition: The definition.
        storage: Storage of the keys of dynamic partitions.

    Raises:
        PartitionValidationError: The definition does not have a key; the message suggests the nearest one.
    """
    dynamic = dynamic_keys(definition, storage)
    try:
        keys = definition.ordered(_parsed_keys(request, definition, dynamic), dynamic)
    except PartitionDefinitionError as error:
        raise PartitionValidationError(str(error)) from error
    if not keys:
        raise PartitionValidationError(f"partition_key={request!r} is empty. Pass a key, or omit it.")
    return keys


def asks_for_several(request: KeyRequest) -> bool:
    """Return whether a request is written as one for several keys, as a list and a range are."""
    return not isinstance(request, (str, PartitionKey, Mapping))


def _parsed_keys(
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
            f"partition_key must be a PartitionKey, its text, a dictionary of dimensions, a PartitionKeyRange or a "
            f"list of these; got {request!r}."
        )
    return [key for item in request for key in _parsed_keys(item, definition, dynamic)]


def keys_of_plan(
    plan: Plan, request: KeyRequest | None, storage: EventStorage
) -> dict[str, list[PartitionKey]]:
    """Return the keys of each partitioned step of a plan.

    A step whose definition has the requested keys runs for them. One whose definition does not, or that was
    only included as an upstream, runs for the keys that its downstream steps need.

    Args:
        plan: The plan.
        request: Requested keys, or None.
        storage: Storage of the keys of dynamic partitions.

    Raises:
        PartitionValidationError: A partitioned asset has no key, or no step of the plan has a requested key.
    """
    keys: dict[str, list[PartitionKey]] = {}
    rejected: dict[str, PartitionValidationError] = {}
    partitioned = [step for step in plan.steps if step.partitions_def is not None]
    if request is not None and not partitioned:
        raise PartitionValidationError(
            f"partition_key={shown_request(request)}: none of the selected assets is partitioned "
            f"({', '.join(step.owner for step in plan.steps[:5])})"
        )
    for step in reversed(partitioned):
        assert step.partitions_def is not None
        if request is None:
            raise UnknownPartitionError(
                f"asset {step.owner!r} is partitioned and needs partition_key=... "
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
                rejected[step.owner] = error
    if rejected:
        name, refusal = next(reversed(rejected.items()))
        raise UnknownPartitionError(f"asset {name!r}: {refusal}") from refusal
    return keys


def shown_request(request: KeyRequest) -> str:
    """Return the display form of a request, for messages and the row of the run."""
    if isinstance(request, Mapping):
        return str(PartitionKey(request))
    if isinstance(request, (str, PartitionKey, PartitionKeyRange)):
        return str(request)
    return ", ".join(map(shown_request, request))


def _needed_of(
    step: Step, plan: Plan, keys: Mapping[str, Sequence[PartitionKey]], storage: EventStorage
) -> list[PartitionKey]:
    own = {output.name for output in step.outputs}
    needed: set[PartitionKey] = set()
    for follower in plan.steps:
        if follower.partitions_def is None or follower.name not in keys:
            continue
        for upstream, mapping in follower.mappings():
            if upstream not in own:
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
                text = f"asset {follower.owner!r} cannot load {upstream!r}: {error}"
                raise PartitionValidationError(text) from error
    assert step.partitions_def is not None
    return step.partitions_def.ordered(needed, dynamic_keys(step.partitions_def, storage)) if needed else []


def _examples(definition: PartitionsDefinition, storage: EventStorage) -> str:
    keys = [str(key) for key in existing_keys(definition, storage)]
    if not keys:
        return "(its dynamic partitions have no key yet; add some with storage.add_dynamic_partitions(name, keys))"
    return f"({keys[0]!r})" if len(keys) == 1 else f"({len(keys)} keys, from {keys[0]!r} to {keys[-1]!r})"
