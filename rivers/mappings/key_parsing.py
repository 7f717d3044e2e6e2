"""Parse partition keys that are written without a definition at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rivers.partitions import PartitionKeyRange
from rivers_core.exceptions import PartitionTypeError, PartitionValidationError
from rivers_core.partitions import PartitionKey
from rivers_core.partitions.keys import unique_dimensions

__all__ = ["parse_key", "parse_keys", "parse_keys_and_ranges"]


def parse_key(text: str) -> PartitionKey:
    """Parse the display form of a key: `a`, or `date=2024-01-01|region=us` with several dimensions.

    With a single dimension the text alone cannot tell `a=b` from the dimension `a`; it is taken literally.

    Args:
        text: The key.

    Raises:
        PartitionDefinitionError: The text is not a partition key.
    """
    parts = [part.partition("=") for part in text.split("|")]
    if len(parts) == 1 or not all(separator for _, separator, _ in parts):
        return PartitionKey.single(text)
    return PartitionKey.multi(unique_dimensions((name, value) for name, _, value in parts))


def parse_keys_and_ranges(where: str, keys: object) -> tuple[PartitionKey | PartitionKeyRange, ...]:
    """Parse keys as `parse_keys` does and keep ranges, which only their definition can resolve.

    Args:
        where: Constructor of `PartitionMapping` that is called, for the message.
        keys: A key, a range, or a list of these.

    Raises:
        PartitionValidationError: There is no key.
    """
    if isinstance(keys, PartitionKeyRange):
        return (keys,)
    if isinstance(keys, Iterable) and not isinstance(keys, (str, Mapping, PartitionKey)):
        parsed = tuple(dict.fromkeys(key for item in keys for key in parse_keys_and_ranges(where, item)))
        if parsed:
            return parsed
    return parse_keys(where, keys)


def parse_keys(where: str, keys: object) -> tuple[PartitionKey, ...]:
    """Return single keys in the given order, without duplicates.

    Args:
        where: Constructor of `PartitionMapping` that is called, for the message.
        keys: A key, its text, a dictionary of dimensions, or a list of these.

    Raises:
        PartitionValidationError: There is no key.
        PartitionTypeError: `keys` is none of these.
    """
    if isinstance(keys, PartitionKey):
        return tuple(keys.split())
    if isinstance(keys, str):
        return (parse_key(keys),)
    if isinstance(keys, Mapping):
        return tuple(PartitionKey(keys).split())
    if isinstance(keys, Iterable):
        parsed = tuple(dict.fromkeys(key for item in keys for key in parse_keys(where, item)))
        if parsed:
            return parsed
    error = PartitionValidationError if isinstance(keys, Iterable) else PartitionTypeError
    raise error(
        f"PartitionMapping.{where} needs at least one partition key, got {keys!r}. Pass a key such as "
        "'2024-01-01', or a list of keys."
    )
