"""Partition keys as authors write them where no definition is at hand to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.partitions import PartitionKey, PartitionKeyRange
from rivers_core.partitions.keys import each_once

__all__ = ["key_of_text", "keys_of", "listed_keys"]


def key_of_text(text: str) -> PartitionKey:
    """The key of a display form: `a`, or `date=2024-01-01|region=us` with several dimensions.

    With a single dimension the text alone cannot tell `a=b` from the dimension `a`; it is taken as it stands.

    Args:
        text: The key.

    Raises:
        PartitionDefinitionError: It is no partition key.
    """
    parts = [part.partition("=") for part in text.split("|")]
    if len(parts) == 1 or not all(separator for _, separator, _ in parts):
        return PartitionKey.single(text)
    return PartitionKey.multi(each_once((name, value) for name, _, value in parts))


def listed_keys(where: str, given: object) -> tuple[PartitionKey | PartitionKeyRange, ...]:
    """Keys as `keys_of` gives them, and ranges as they are: which keys they hold, their definition tells later.

    Args:
        where: The `PartitionMapping` that is being made, for the message.
        given: A key, a range, or a list of these.

    Raises:
        PartitionDefinitionError: It names no key.
    """
    if isinstance(given, PartitionKeyRange):
        return (given,)
    if isinstance(given, Iterable) and not isinstance(given, (str, Mapping, PartitionKey)):
        found = tuple(dict.fromkeys(key for one in given for key in listed_keys(where, one)))
        if found:
            return found
    return keys_of(where, given)


def keys_of(where: str, given: object) -> tuple[PartitionKey, ...]:
    """One key for each that is meant, in the order given, without doubles.

    Args:
        where: The `PartitionMapping` that is being made, for the message.
        given: A key, its text, a dictionary of dimensions, or a list of these.

    Raises:
        PartitionDefinitionError: It names no key.
    """
    if isinstance(given, PartitionKey):
        return tuple(given.split())
    if isinstance(given, str):
        return (key_of_text(given),)
    if isinstance(given, Mapping):
        return tuple(PartitionKey(given).split())
    if isinstance(given, Iterable):
        found = tuple(dict.fromkeys(key for one in given for key in keys_of(where, one)))
        if found:
            return found
    raise PartitionDefinitionError(
        f"PartitionMapping.{where}: {given!r} names no partition key; write a key such as '2024-01-01', or "
        "a list of keys."
    )
