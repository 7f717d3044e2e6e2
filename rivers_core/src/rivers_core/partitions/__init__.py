"""Partitions: keys, what defines them, ranges of them, and the context that carries them."""

from __future__ import annotations

from rivers_core.partitions.context import PartitionContext
from rivers_core.partitions.keys import PartitionKey

__all__ = ["PartitionContext", "PartitionKey"]
