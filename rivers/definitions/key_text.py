"""Partition keys written as text where no definition is at hand to read them."""

from __future__ import annotations

from rivers_core.partitions import PartitionKey

__all__ = ["key_of_text"]


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
    return PartitionKey.multi({name: value for name, _, value in parts})
