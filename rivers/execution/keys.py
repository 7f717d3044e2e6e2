"""Resolve the partition keys of each step of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from rivers.exceptions import UnknownPartitionError
from rivers.mappings import upstream_keys
from rivers.partitions import PartitionKeyRange, PartitionsDefinition
from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from typing import Literal

    from rivers.graph.plan import Plan, Step
    from rivers.storage import EventStorage

    PartitionMode = Literal["all", "missing", "stale", "latest"]
    DynamicKeys = Mapping[str, Sequence[str]] | None
    OneKey = str | PartitionKey | PartitionKeyRange | Mapping[str, str | list[str]]
    KeyRequest = OneKey | Sequence[OneKey]


PARTITION_MODES: Final = ("all", "missing", "stale", "latest")

MODE_PREFIX: Final = "partitions: "
"""Start of the partition key in the row of a run that was started with one of the modes."""


def check_partition_mode(mode: str | None, request: object) -> PartitionMode | None:
    """Check the argument `partitions` of a run.

    Args:
        mode: Which keys to run; None for those of the request.
        request: The argument `partition_key`.

    Raises:
        PartitionValidationError: It is unknown, or combined with a request.
    """
    if mode is None:
        return None
    if mode not in PARTITION_MODES:
        raise PartitionValidationError(
            f"partitions must be one of {', '.join(PARTITION_MODES)}, got {mode!r}."
            f"{did_you_mean(str(mode), PARTITION_MODES)} Use partition_key for single keys."
        )
    if request is not None:
        raise PartitionValidationError(
            f"partitions={mode!r} and partition_key={request!r} exclude each other. Omit one."
        )
    return cast("PartitionMode", mode)


def latest_keys(definition: PartitionsDefinition, storage: EventStorage) -> list[PartitionKey]:
    """Return the keys of the last complete window; with further dimensions there may be several.

    Raises:
        PartitionValidationError: The definition has no windows, or none is complete.
    """
    keys = existing_keys(definition, storage)
    if keys and definition.window_of(keys[0]) is None:
        raise PartitionValidationError(
            'partitions="latest" requires partitions with one time window; these have none. Use partition_key.'
        )
    ends = {key: window[1] for key in keys if (window := definition.window_of(key)) is not None}
    last = max((end for end in ends.values() if end <= datetime.now()), default=None)
    if last is None:
        raise PartitionValidationError('partitions="latest": no window is complete yet. Use partition_key.')
    return [key for key, end in ends.items() if end == last]


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
    plan: Plan, request: KeyRequest | None, storage: EventStorage, mode: PartitionMode | None = None
) -> dict[str, list[PartitionKey]]:
    """Return the keys of each partitioned step of a plan.

    A step whose definition has the requested keys runs for them. One whose definition does not, or that was
    only included as an upstream, runs for the keys that its downstream steps need.

    Args:
        plan: The plan.
        request: Requested keys, or None.
        storage: Storage of the keys of dynamic partitions.
        mode: Which keys each step runs for instead: with `latest` those of its last complete window, else all of them.

    Raises:
        PartitionValidationError: A partitioned asset has no key, or no step of the plan has a requested key.
    """
    keys: dict[str, list[PartitionKey]] = {}
    rejected: dict[str, PartitionValidationError] = {}
    partitioned = [step for step in plan.steps if step.partitions_def is not None]
    if request is not None and not partitioned:
        raise PartitionValidationError(
            f"partition_key={shown_request(request)}: none of the selected assets is partitioned "
            f"({', '.join(step.owner for step in plan.steps[:5])}). Omit it."
        )
    if mode == "latest" and not partitioned:
        raise PartitionValidationError('partitions="latest": none of the selected assets has time windows.')
    for step in reversed(partitioned):
        assert step.partitions_def is not None
        if request is None and mode is None:
            raise UnknownPartitionError(
                f"asset {step.owner!r} is partitioned and needs partition_key=... "
                f"{_examples(step.partitions_def, storage)}"
            )
        needed = _needed_of(step, plan, keys, storage) if step.name in plan.included else []
        try:
            keys[step.name] = needed or _selected_keys(request, mode, step.partitions_def, storage)
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


def _selected_keys(
    request: KeyRequest | None,
    mode: PartitionMode | None,
    definition: PartitionsDefinition,
    storage: EventStorage,
) -> list[PartitionKey]:
    if request is not None:
        return requested_keys(request, definition, storage)
    return latest_keys(definition, storage) if mode == "latest" else existing_keys(definition, storage)


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
