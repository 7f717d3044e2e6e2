"""Mapping to the upstream window at an offset from the consumer's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, shown_definition
from rivers.mappings.time_grids import first_and_last, relate
from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionTypeError, PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.time_grids import Relation
    from rivers.mappings.upstream import UpstreamKeys

__all__ = ["TimeWindowMapping"]

_MOST_WINDOWS = 1_000_000


@dataclass(frozen=True, repr=False)
class TimeWindowMapping(PartitionMapping):
    """The window at an offset, counted in windows of the longer kind."""

    offset: int
    starts_from_own_key: ClassVar[bool] = True

    @classmethod
    def parse(cls, offset: object) -> TimeWindowMapping:
        """Build the mapping from the argument of `PartitionMapping.time_window`."""
        if type(offset) is not int:
            raise PartitionTypeError(
                f"PartitionMapping.time_window needs a whole number of windows, got {offset!r}. -1 is the "
                "window before."
            )
        if abs(offset) > _MOST_WINDOWS:
            raise PartitionValidationError(
                f"PartitionMapping.time_window: offset must be at most {_MOST_WINDOWS:,} windows, got {offset:,}."
            )
        return cls(offset)

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        relation = _relation(downstream, upstream)
        if relation is None:
            return [self._not_windows(downstream, upstream)]
        # Without an end there are more windows tomorrow: on its first day a definition has no window before.
        grows = relation.upstream.end is None or relation.downstream.end is None
        if lenient or grows or relation.has_overlap(self.offset):
            return []
        first, _ = first_and_last(relation.downstream)
        assert first is not None
        _, missing = relation.windows(PartitionKey.single(first), self.offset)
        upstream_first, upstream_last = first_and_last(relation.upstream)
        return [
            (
                f"{self!r} matches no window for any key: the first key needs {missing[0]!r}, but the upstream "
                f"has {upstream_first!r} to {upstream_last!r}"
            )
        ]

    def _not_windows(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> str:
        is_window = isinstance(downstream, PartitionsDefinition.TimeWindow)
        hint = ""
        if any(isinstance(side, PartitionsDefinition.Multi) for side in (downstream, upstream)):
            hint = "; name the dimension: PartitionMapping.multi_to_single(..., mapping) or .multi({...: mapping})"
        shown = shown_definition(upstream if is_window else downstream)
        return f"{self!r} maps time windows, but got {shown}{hint}"

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return whether a window of the consumer may contain or touch several windows of the upstream."""
        if downstream is None:
            return True
        relation = None if downstream == upstream else _relation(downstream, upstream)
        return relation is not None and (relation.is_several or not relation.is_nested)

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the existing windows; record the others as missing."""
        own = self.own_key(key)
        relation = _relation(downstream, upstream.definition)
        if relation is None:
            raise PartitionValidationError(f"{self._not_windows(downstream, upstream.definition)}.")
        keys, missing = relation.windows(own, self.offset)
        upstream.missing.extend(missing)
        return keys

    def __repr__(self) -> str:
        return f"PartitionMapping.time_window(offset={self.offset})"


def _relation(downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> Relation | None:
    if isinstance(downstream, PartitionsDefinition.TimeWindow) and isinstance(
        upstream, PartitionsDefinition.TimeWindow
    ):
        return relate(upstream, downstream)
    return None
