"""Mapping from listed keys of the consumer to listed upstream keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, shown_key
from rivers.mappings.key_checks import check_named_keys
from rivers.mappings.key_parsing import parse_keys
from rivers_core.exceptions import PartitionDefinitionError, PartitionTypeError, PartitionValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.base import KeyOrText
    from rivers.mappings.upstream import UpstreamKeys
    from rivers.partitions import PartitionsDefinition
    from rivers_core.partitions import PartitionKey

__all__ = ["StaticMapping"]


@dataclass(frozen=True, repr=False)
class StaticMapping(PartitionMapping):
    """Listed pairs of a consumer's key and its upstream keys."""

    _pairs: tuple[tuple[PartitionKey, tuple[PartitionKey, ...]], ...]
    _former_fields: ClassVar[Mapping[str, str]] = {"pairs": "_pairs"}
    names_upstream_keys: ClassVar[bool] = True
    starts_from_own_key: ClassVar[bool] = True

    @classmethod
    def parse(cls, mapping: object) -> StaticMapping:
        """Build the mapping from the argument of `PartitionMapping.static_`."""
        if not isinstance(mapping, Mapping) or not mapping:
            error = PartitionDefinitionError if isinstance(mapping, Mapping) else PartitionTypeError
            raise error(
                f"PartitionMapping.static_ needs {{consumer's key: upstream key or keys}}, got {mapping!r}."
            )
        return cls(
            tuple(
                (key, () if upstream == [] else parse_keys("static_", upstream))
                for own, upstream in mapping.items()
                for key in parse_keys("static_", own)
            )
        )

    @property
    def mapping(self) -> dict[KeyOrText, KeyOrText | list[KeyOrText]]:
        """The upstream key, or a list of none or several, by the consumer's key; keys without dimensions as text."""
        shown = ((key, [shown_key(needed) for needed in keys]) for key, keys in self._pairs)
        return {shown_key(key): keys[0] if len(keys) == 1 else keys for key, keys in shown}

    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        assert downstream is not None
        needed = dict.fromkeys(key for _, keys in self._pairs for key in keys)
        return [
            *check_named_keys(self, [key for key, _ in self._pairs], downstream, "consumer"),
            *check_named_keys(self, needed, upstream),
        ]

    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return whether any key of the consumer maps to none or several."""
        return downstream is None or any(len(keys) != 1 for _, keys in self._pairs)

    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys that are listed for the consumer's key."""
        own = self.own_key(key)
        matches = [keys for listed, keys in self._pairs if listed == own]
        if not matches:
            raise PartitionValidationError(
                f"{self!r} does not list {str(own)!r}. Add the keys that it needs, or [] if it needs none."
            )
        return [needed for keys in matches for needed in keys]

    def __repr__(self) -> str:
        return f"PartitionMapping.static_({self.mapping!r})"
