"""Partitions: keys, definitions, key ranges, and the context that carries keys to a handler."""

from __future__ import annotations

from rivers_core.partitions.context import PartitionContext
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.key_range import PartitionKeyRange
from rivers_core.partitions.keys import PartitionKey

__all__ = ["PartitionContext", "PartitionKey", "PartitionKeyRange", "PartitionsDefinition"]
