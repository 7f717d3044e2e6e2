"""Mapping to every upstream partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivers.mappings.base import PartitionMapping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys
    from rivers.partitions import PartitionsDefinition
    from rivers_core.partitions import PartitionKey

__all__ = ["AllPartitionsMapping"]


@dataclass(frozen=True, repr=False)
class AllPartitionsMapping(PartitionMapping):
    """Every key of the upstream."""

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        return []

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return True."""
        return True

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return all keys of the upstream."""
        return upstream.all()

    def __repr__(self) -> str:
        return "PartitionMapping.all_partitions()"
