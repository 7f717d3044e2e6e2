"""Mapping to the upstream partition with the same key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, shown_definition
from rivers.mappings.key_checks import listed_keys, unknown_keys
from rivers.mappings.time_grids import common_window, first_and_last
from rivers.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys
    from rivers_core.partitions import PartitionKey

__all__ = ["IdentityMapping"]


@dataclass(frozen=True, repr=False)
class IdentityMapping(PartitionMapping):
    """The same key."""

    starts_from_own_key: ClassVar[bool] = True

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        assert downstream is not None
        if isinstance(downstream, PartitionsDefinition.Multi) and isinstance(
            upstream, PartitionsDefinition.Multi
        ):
            return self._check_dimensions(downstream, upstream, lenient=lenient)
        if isinstance(downstream, PartitionsDefinition.Multi) or isinstance(
            upstream, PartitionsDefinition.Multi
        ):
            return [
                (
                    f"{self!r} needs the same keys on both sides, but {shown_definition(downstream)} and "
                    f"{shown_definition(upstream)} differ in their dimensions; use "
                    "PartitionMapping.multi_to_single(...)"
                )
            ]
        if downstream == upstream or downstream.is_dynamic or upstream.is_dynamic:
            return []
        return _missing_keys(downstream, upstream, lenient=lenient)

    def _check_dimensions(
        self, downstream: PartitionsDefinition.Multi, upstream: PartitionsDefinition.Multi, *, lenient: bool
    ) -> list[str]:
        if list(downstream.dimensions) != list(upstream.dimensions):
            return [
                (
                    f"{self!r} needs the same dimensions on both sides; the consumer has "
                    f"{list(downstream.dimensions)}, the upstream {list(upstream.dimensions)}; use "
                    "PartitionMapping.multi({...})"
                )
            ]
        return [
            f"in dimension {name!r}: {finding}"
            for name, definition in upstream.dimensions.items()
            for finding in self._check(downstream.dimensions[name], definition, lenient=lenient)
        ]

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return whether the consumer is unpartitioned."""
        return downstream is None

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the consumer's key."""
        return (self.own_key(key),)

    def __repr__(self) -> str:
        return "PartitionMapping.identity()"


def _missing_keys(
    downstream: PartitionsDefinition, upstream: PartitionsDefinition, *, lenient: bool
) -> list[str]:
    """Return a finding if a listed key (unless lenient), or every time window, is missing in the upstream."""
    if isinstance(downstream, PartitionsDefinition.TimeWindow):
        if isinstance(upstream, PartitionsDefinition.TimeWindow):
            has_common = common_window(downstream, upstream)
        else:
            has_common = any(map(downstream.validate_partition_key, upstream.get_partition_keys()))
        if has_common:
            return []
        first, last = first_and_last(downstream)
        shown = repr(first) if first == last else f"{first!r} to {last!r}"
        has = upstream.fault_of(first) if first is not None else None
        return [f"the upstream does not have the consumer's keys {shown}. {has}"]
    keys = downstream.get_partition_keys()
    unknown, fault = unknown_keys(keys, upstream)
    if not unknown or (lenient and len(unknown) < len(keys)):
        return []
    return [f"the upstream does not have the consumer's keys {listed_keys(unknown)}. {fault}"]
