"""Partitions of assets: definitions of their keys, and ranges of keys."""

from __future__ import annotations

from rivers.partitions.definitions import PartitionsDefinition
from rivers.partitions.key_range import PartitionKeyRange

__all__ = ["PartitionKeyRange", "PartitionsDefinition"]
