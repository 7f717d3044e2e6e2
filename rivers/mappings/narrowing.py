"""Mappings that narrow another one: to listed keys, or to keys that exist and were stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, require_mapping, shown_selection
from rivers.mappings.defaults import default_mapping, obvious_mapping
from rivers.mappings.key_checks import check_named_keys
from rivers.mappings.key_parsing import parse_keys_and_ranges
from rivers.partitions import PartitionsDefinition
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rivers.mappings.upstream import UpstreamKeys
    from rivers.partitions import PartitionKeyRange

__all__ = ["ForKeysMapping", "SubsetMapping"]


@dataclass(frozen=True, repr=False)
class ForKeysMapping(PartitionMapping):
    """Listed keys: of the consumer for an unpartitioned upstream, else of the upstream, restricting another mapping."""

    _keys: tuple[PartitionKey | PartitionKeyRange, ...]
    mapping: PartitionMapping | None = None
    _former_fields: ClassVar[Mapping[str, str]] = {"keys": "_keys"}

    @classmethod
    def parse(cls, keys: object, mapping: PartitionMapping | None) -> ForKeysMapping:
        """Build the mapping from the arguments of `PartitionMapping.for_keys`."""
        if mapping is not None:
            require_mapping("for_keys", mapping)
        return cls(parse_keys_and_ranges("for_keys", keys), mapping)

    @property
    def selectors(self) -> list[str | PartitionKey | PartitionKeyRange]:
        """The keys and ranges; keys without dimensions as text."""
        return shown_selection(self._keys)

    def selects(self, key: PartitionKey | None, downstream: PartitionsDefinition | None) -> bool:
        """Return whether a key of the consumer is listed, for an unpartitioned upstream."""
        if key is None or downstream is None:
            return False
        return any(
            selector == key if isinstance(selector, PartitionKey) else key in selector.resolve(downstream)
            for selector in self._keys
        )

    def check(
        self,
        downstream: PartitionsDefinition | None,
        upstream: PartitionsDefinition | None,
        *,
        lenient: bool = False,
    ) -> list[str]:
        """Return the reasons why this mapping cannot work between two assets."""
        if upstream is not None:
            return super().check(downstream, upstream, lenient=lenient)
        if downstream is None:
            return [
                f"{self!r} names partitions, but neither the consumer nor the upstream has any; omit the mapping"
            ]
        if self.mapping is not None:
            return [
                f"{self!r} restricts a mapping, but the upstream has no partitions; omit the inner mapping"
            ]
        return check_named_keys(self, self._keys, downstream, "consumer")

    @property
    def allows_missing(self) -> bool:
        """True if the restricted mapping leaves out keys that were never stored."""
        return self.mapping is not None and self.mapping.allows_missing

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        mapping = self.mapping or obvious_mapping(downstream, upstream)
        return [
            *check_named_keys(self, self._keys, upstream),
            *mapping.check(downstream, upstream, lenient=lenient),
        ]

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return True."""
        return True

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys of the restricted mapping that are listed."""
        mapping = self.mapping or obvious_mapping(downstream, upstream.definition)
        listed = set(upstream.listed(self._keys))
        return [needed for needed in mapping.upstream_keys(key, downstream, upstream) if needed in listed]

    def __repr__(self) -> str:
        mapping = "" if self.mapping is None else f", {self.mapping!r}"
        return f"PartitionMapping.for_keys({self.selectors!r}{mapping})"


@dataclass(frozen=True, repr=False)
class SubsetMapping(PartitionMapping):
    """Another mapping, without the keys that do not exist or were never stored."""

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
        return self._applied(downstream, upstream).check(downstream, upstream, lenient=True)

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        return self.check(downstream, upstream)

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return whether another mapping is enclosed, or the one that applies without it fans in."""
        return self.mapping is not None or self._applied(downstream, upstream).fans_in(downstream, upstream)

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys of the enclosed mapping."""
        return self._applied(downstream, upstream.definition).upstream_keys(key, downstream, upstream)

    def _applied(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition | None
    ) -> PartitionMapping:
        mapping = self.mapping or default_mapping(downstream, upstream)
        if mapping is not None:
            return mapping
        is_partitioned = downstream is not None and upstream is not None
        if is_partitioned and _dimension_names(downstream) == _dimension_names(upstream):
            return PartitionMapping.identity()
        return PartitionMapping.all_partitions()

    def __repr__(self) -> str:
        return f"PartitionMapping.subset({'' if self.mapping is None else repr(self.mapping)})"


def _dimension_names(definition: PartitionsDefinition | None) -> list[str]:
    return list(definition.dimensions) if isinstance(definition, PartitionsDefinition.Multi) else []
