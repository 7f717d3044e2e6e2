"""Resolve the upstream keys that a step needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.mappings.defaults import obvious_mapping
from rivers.partitions import PartitionsDefinition
from rivers_core.authoring import shown_keys
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rivers.mappings.base import PartitionMapping
    from rivers.partitions import PartitionKeyRange

__all__ = ["UpstreamKeys", "upstream_keys"]

_FEW = 16


def upstream_keys(
    mapping: PartitionMapping | None,
    *,
    downstream: PartitionsDefinition | None,
    upstream: PartitionsDefinition | None,
    keys: Sequence[PartitionKey],
    upstream_all: Callable[[], Sequence[PartitionKey]],
) -> list[PartitionKey]:
    """Return the upstream keys that a step needs, in the upstream's order and each once.

    Args:
        mapping: Mapping between the two; None applies the default.
        downstream: Partitions of the consumer.
        upstream: Partitions of the upstream.
        keys: The consumer's keys; ignored if the consumer is not partitioned.
        upstream_all: Returns all keys of the upstream in its order (dynamic ones live in storage).

    Raises:
        PartitionValidationError: The upstream's definition does not have a needed key (unless the mapping
            allows that), or the mapping is not defined for one of `keys`.
    """
    if upstream is None:
        return []
    mapping = mapping or obvious_mapping(downstream, upstream)
    available = UpstreamKeys(upstream, upstream_all)
    own: Iterable[PartitionKey | None] = (
        (None,) if downstream is None else [single for key in keys for single in key.split()]
    )
    needed = dict.fromkeys(
        needed for key in own for needed in mapping.upstream_keys(key, downstream, available)
    )
    return _existing(mapping, needed, available)


class UpstreamKeys:
    """Keys of an upstream, or of one of its dimensions, listed only when a mapping needs them all.

    Args:
        definition: Definition of the keys.
        list_all: Returns all keys in the definition's order.
        missing: Names of needed time windows that do not exist; dimensions share the list.
    """

    def __init__(
        self,
        definition: PartitionsDefinition,
        list_all: Callable[[], Sequence[PartitionKey]],
        missing: list[str] | None = None,
    ) -> None:
        self.definition = definition
        self.missing = [] if missing is None else missing
        self._list_all = list_all
        self._all: Sequence[PartitionKey] | None = None

    def all(self) -> Sequence[PartitionKey]:
        """Return all keys in the definition's order."""
        if self._all is None:
            self._all = self._list_all()
        return self._all

    def dimension(self, name: str) -> UpstreamKeys:
        """Return the keys of one dimension."""
        assert isinstance(self.definition, PartitionsDefinition.Multi)
        definition = self.definition.dimensions[name]
        if not definition.is_dynamic:
            return UpstreamKeys(definition, definition.get_partition_keys, self.missing)

        def values() -> list[PartitionKey]:
            keys = (key.keys[name][0] for key in self.all() if isinstance(key, PartitionKey.Multi))
            return [PartitionKey.single(value) for value in dict.fromkeys(keys)]

        return UpstreamKeys(definition, values, self.missing)

    def listed(self, keys: Iterable[PartitionKey | PartitionKeyRange]) -> list[PartitionKey]:
        """Return keys that a mapping lists, with ranges resolved in the definition's order."""
        resolved: list[PartitionKey] = []
        for key in keys:
            if isinstance(key, PartitionKey):
                resolved.append(key)
            else:
                resolved.extend(key.resolve(self.definition, self.dynamic_keys() or None))
        return resolved

    def dynamic_keys(self) -> Mapping[str, Sequence[str]]:
        """Return the keys of every dynamic definition among these, by its name."""
        if isinstance(self.definition, PartitionsDefinition.Dynamic):
            return {self.definition.name: [str(key) for key in self.all()]}
        if isinstance(self.definition, PartitionsDefinition.Multi):
            dimensions = map(self.dimension, self.definition.dimensions)
            return {name: keys for part in dimensions for name, keys in part.dynamic_keys().items()}
        return {}


def _existing(
    mapping: PartitionMapping, needed: Mapping[PartitionKey, object], upstream: UpstreamKeys
) -> list[PartitionKey]:
    """Return the needed keys that exist, in order; raise for the others unless the mapping allows it."""
    if len(needed) <= _FEW and not upstream.definition.is_dynamic:
        known = {key for key in needed if upstream.definition.validate_partition_key(key)}
    else:
        known = needed.keys() & set(upstream.all())
    missing = [*upstream.missing, *(str(key) for key in needed if key not in known)]
    if missing and not mapping.allows_missing:
        raise _missing_error(mapping, missing, upstream.all())
    if len(known) <= 1:
        return list(known)
    if len(known) <= _FEW and not upstream.definition.is_dynamic:
        return sorted(known, key=upstream.definition.sort_key())
    return [key for key in upstream.all() if key in known]


def _missing_error(
    mapping: PartitionMapping, missing: Sequence[str], keys: Sequence[PartitionKey]
) -> PartitionValidationError:
    names = shown_keys([repr(name) for name in missing])
    has = f"it has {str(keys[0])!r} to {str(keys[-1])!r}" if keys else "it has no partitions yet"
    return PartitionValidationError(
        f"{mapping!r} needs partitions that the upstream does not have: {names} ({has}). Run keys "
        f"for which they exist, or leave out missing ones with PartitionMapping.subset({mapping!r})."
    )
