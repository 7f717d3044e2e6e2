"""Partitions: keys, the context that carries them to a handler, and what it may ask about their definition."""

from __future__ import annotations

from rivers_core.partitions.context import PartitionContext, Partitioning
from rivers_core.partitions.keys import PartitionKey

__all__ = ["PartitionContext", "PartitionKey", "Partitioning"]
