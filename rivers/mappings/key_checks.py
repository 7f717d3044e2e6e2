"""Check keys that a mapping names against a definition, without listing the keys of the definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.partitions import PartitionKeyRange, PartitionsDefinition
from rivers_core.authoring import shown_keys
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.base import PartitionMapping

__all__ = ["check_named_keys", "listed_keys", "unknown_keys"]


def check_named_keys(
    mapping: PartitionMapping,
    keys: Iterable[PartitionKey | PartitionKeyRange],
    definition: PartitionsDefinition,
    side: str = "upstream",
) -> list[str]:
    """Return a finding that names the keys of a mapping that a definition does not have.

    Args:
        mapping: Mapping that names the keys.
        keys: Keys and ranges.
        definition: Definition that should have them.
        side: Whose definition it is, for the message.
    """
    unknown, fault = unknown_keys(keys, definition)
    if not unknown:
        return []
    return [f"{mapping!r} names keys that the {side} does not have: {listed_keys(unknown)}. {fault}"]


def unknown_keys(
    keys: Iterable[PartitionKey | PartitionKeyRange], definition: PartitionsDefinition
) -> tuple[list[PartitionKey | PartitionKeyRange], str]:
    """Return the keys that a definition does not have, and its message about the first of them."""
    unknown: list[PartitionKey | PartitionKeyRange] = []
    message = ""
    for key in keys:
        try:
            _check_named(key, definition)
        except PartitionValidationError as error:
            message = message or str(error)
            unknown.append(key)
    return unknown, message


def listed_keys(keys: Iterable[object]) -> str:
    """Return keys as quoted text for a message, at most five of them."""
    return shown_keys([repr(str(key)) for key in keys])


def _check_named(key: PartitionKey | PartitionKeyRange, definition: PartitionsDefinition) -> None:
    if isinstance(key, PartitionKey):
        definition.check_partition_key(key)
    elif isinstance(key, PartitionKeyRange.Single) and isinstance(
        definition, PartitionsDefinition.TimeWindow
    ):
        # Resolving the range would list every window; comparing its bounds is enough unless they are swapped.
        first, last = PartitionKey.single(key.from_key), PartitionKey.single(key.to_key)
        definition.check_partition_key(first)
        definition.check_partition_key(last)
        place = definition.sort_key()
        if place(last) < place(first):
            key.resolve(definition)
    elif isinstance(key, PartitionKeyRange.Multi) and _dimensions(definition) == list(key.dimensions):
        assert isinstance(definition, PartitionsDefinition.Multi)
        for name, bounds in key.dimensions.items():
            part = definition.dimensions[name]
            if isinstance(bounds, tuple):
                _check_named(PartitionKeyRange.single(*bounds), part)
            else:
                part.check_partition_key(PartitionKey.single(bounds))
    elif not definition.is_dynamic:
        key.resolve(definition)


def _dimensions(definition: PartitionsDefinition) -> list[str]:
    return list(definition.dimensions) if isinstance(definition, PartitionsDefinition.Multi) else []
