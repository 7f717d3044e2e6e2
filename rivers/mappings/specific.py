"""Mapping to fixed upstream partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rivers.mappings.base import PartitionMapping, shown_selection
from rivers.mappings.key_checks import check_named_keys
from rivers.mappings.key_parsing import parse_keys_and_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys
    from rivers.partitions import PartitionKeyRange, PartitionsDefinition
    from rivers_core.partitions import PartitionKey

__all__ = ["SpecificPartitionsMapping"]


@dataclass(frozen=True, repr=False)
class SpecificPartitionsMapping(PartitionMapping):
    """The same listed keys for every key of the consumer."""

    _keys: tuple[PartitionKey | PartitionKeyRange, ...]
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, keys: object) -> SpecificPartitionsMapping:
        """Build the mapping from the argument of `PartitionMapping.specific_partitions`."""
        return cls(tuple(sorted(parse_keys_and_ranges("specific_partitions", keys), key=str)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        keys = state["keys"] if "keys" in state else state["_keys"]  # release 0.1 kept the given order
        vars(self)["_keys"] = tuple(sorted(keys, key=str))

    @property
    def partition_keys(self) -> list[str | PartitionKey | PartitionKeyRange]:
        """The keys and ranges, sorted; keys without dimensions as text."""
        return shown_selection(self._keys)

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        return check_named_keys(self, self._keys, upstream)

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return True."""
        return True

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the listed keys."""
        return upstream.listed(self._keys)

    def __repr__(self) -> str:
        return f"PartitionMapping.specific_partitions({self.partition_keys!r})"
