"""Mappings that narrow another one: to listed keys, or to keys that were stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, require_mapping, shown_key
from rivers.mappings.defaults import obvious_mapping
from rivers.mappings.key_checks import check_named_keys
from rivers.mappings.key_parsing import parse_keys_and_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys
    from rivers_core.partitions import PartitionKey, PartitionKeyRange, PartitionsDefinition

__all__ = ["ForKeysMapping", "SubsetMapping"]


@dataclass(frozen=True, repr=False)
class ForKeysMapping(PartitionMapping):
    """Another mapping, restricted to listed upstream keys."""

    keys: tuple[PartitionKey | PartitionKeyRange, ...]
    mapping: PartitionMapping | None = None
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, keys: object, mapping: PartitionMapping | None) -> ForKeysMapping:
        """Build the mapping from the arguments of `PartitionMapping.for_keys`."""
        if mapping is not None:
            require_mapping("for_keys", mapping)
        return cls(parse_keys_and_ranges("for_keys", keys), mapping)

    @property
    def allows_missing(self) -> bool:
        """Whether the restricted mapping leaves out keys that were never stored."""
        return self.mapping is not None and self.mapping.allows_missing

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        mapping = self.mapping or obvious_mapping(downstream, upstream)
        return [
            *check_named_keys(self, self.keys, upstream),
            *mapping.check(downstream, upstream, lenient=lenient),
        ]

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return True."""
        return True

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return those keys of the restricted mapping that are listed."""
        mapping = self.mapping or obvious_mapping(downstream, upstream.definition)
        listed = set(upstream.listed(self.keys))
        return [needed for needed in mapping.upstream_keys(key, downstream, upstream) if needed in listed]

    def __repr__(self) -> str:
        mapping = "" if self.mapping is None else f", {self.mapping!r}"
        return f"PartitionMapping.for_keys({[shown_key(key) for key in self.keys]}{mapping})"


@dataclass(frozen=True, repr=False)
class SubsetMapping(PartitionMapping):
    """Another mapping, without the keys that were never stored."""

    mapping: PartitionMapping | None = None

    @classmethod
    def parse(cls, mapping: PartitionMapping | None) -> SubsetMapping:
        """Build the mapping from the argument of `PartitionMapping.subset`."""
        if mapping is not None:
            require_mapping("subset", mapping)
        return cls(mapping)

    @property
    def allows_missing(self) -> bool:
        """Return True."""
        return True

    def check(
        self,
        downstream: PartitionsDefinition | None,
        upstream: PartitionsDefinition | None,
        *,
        lenient: bool = False,
    ) -> list[str]:
        """Return the problems of the enclosed mapping, checked leniently."""
        mapping = self.mapping or obvious_mapping(downstream, upstream)
        return mapping.check(downstream, upstream, lenient=True)

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        return self.check(downstream, upstream)

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return True."""
        return True

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys of the enclosed mapping."""
        mapping = self.mapping or obvious_mapping(downstream, upstream.definition)
        return mapping.upstream_keys(key, downstream, upstream)

    def __repr__(self) -> str:
        return f"PartitionMapping.subset({'' if self.mapping is None else repr(self.mapping)})"
