"""Partitions: keys, what defines them, ranges of them, and the context that carries them."""

from __future__ import annotations

from rivers_core.partitions import lists as _lists
from rivers_core.partitions import multi as _multi
from rivers_core.partitions import time_partitions as _time_partitions
from rivers_core.partitions.context import PartitionContext
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.key_range import PartitionKeyRange
from rivers_core.partitions.keys import PartitionKey

__all__ = ["PartitionContext", "PartitionKey", "PartitionKeyRange", "PartitionsDefinition"]

del _lists, _multi, _time_partitions  # imported for their variants, attributes of PartitionsDefinition now
