"""Partition mappings at work: which keys of an upstream belong to keys of its consumer."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from rivers.definitions.mapping import (
    AllPartitions,
    ForKeys,
    Multi,
    MultiToSingle,
    PartitionMapping,
    SpecificPartitions,
    Static,
    Subset,
    TimeWindow,
)
from rivers.graph.mapping_checks import check_mapping
from rivers.graph.mapping_defaults import default_mapping, obvious_mapping
from rivers.graph.mapping_windows import window_table
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey, PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rivers_core.partitions import PartitionKeyRange

    Partitions = PartitionsDefinition | None
    AllKeys = Callable[[], Sequence[PartitionKey]]

__all__ = ["check_mapping", "default_mapping", "upstream_keys"]

_FEW = 16
_SHOWN = 8


def upstream_keys(
    mapping: PartitionMapping | None,
    *,
    downstream: PartitionsDefinition | None,
    upstream: PartitionsDefinition | None,
    keys: Sequence[PartitionKey],
    upstream_all: Callable[[], Sequence[PartitionKey]],
) -> list[PartitionKey]:
    """The upstream keys that a step needs.

    Args:
        mapping: The mapping; None stands for the obvious one.
        downstream: The consumer's partitions.
        upstream: The upstream's partitions.
        keys: The consumer's keys; those of an unpartitioned consumer do not matter.
        upstream_all: Gives all keys of the upstream, in the order of its definition (dynamic ones live in
            storage).

    Returns:
        Keys of the upstream's definition, in its order, each once.

    Raises:
        PartitionValidationError: If something is needed that the upstream's definition does not have
            (unless the mapping allows it), or the mapping says nothing about a key.
    """
    if upstream is None:
        return []
    need = _Need(upstream, upstream_all)
    chosen = mapping if mapping is not None else obvious_mapping(downstream, upstream)
    own: Iterable[PartitionKey | None] = (
        (None,) if downstream is None else [one for key in keys for one in key.split()]
    )
    for key in own:
        need.add(key, _needed(chosen, downstream, upstream, key, need))
    return need.resolve(chosen)


class _Need:
    """Gathers what several keys of a consumer need.

    Args:
        upstream: The upstream's partitions.
        upstream_all: Gives all its keys.
    """

    def __init__(self, upstream: PartitionsDefinition, upstream_all: AllKeys) -> None:
        self._upstream = upstream
        self._upstream_all = upstream_all
        self._wanted: dict[PartitionKey, PartitionKey | None] = {}
        self._all: Sequence[PartitionKey] | None = None
        self.missing: list[str] = []

    def all(self) -> Sequence[PartitionKey]:
        """All keys of the upstream."""
        if self._all is None:
            self._all = self._upstream_all()
        return self._all

    def dimension(self, name: str, definition: PartitionsDefinition) -> Sequence[PartitionKey]:
        """All keys of one dimension of the upstream."""
        if not definition.is_dynamic:
            return definition.get_partition_keys()
        values = (key.keys[name][0] for key in self.all() if isinstance(key, PartitionKey.Multi))
        return [PartitionKey.single(value) for value in dict.fromkeys(values)]

    def named(
        self,
        keys: Iterable[PartitionKey | PartitionKeyRange],
        definition: PartitionsDefinition,
        dimension: str | None,
    ) -> list[PartitionKey]:
        """The keys that a mapping lists, those of its ranges in the order of the definition."""
        found: list[PartitionKey] = []
        for one in keys:
            if isinstance(one, PartitionKey):
                found.append(one)
            else:
                found.extend(one.resolve(definition, self._dynamic(definition, dimension)))
        return found

    def _dynamic(
        self, definition: PartitionsDefinition, dimension: str | None
    ) -> dict[str, list[str]] | None:
        parts = (
            definition.dimensions
            if isinstance(definition, PartitionsDefinition.Multi)
            else {dimension: definition}
        )
        return {
            part.name: [str(key) for key in (self.all() if name is None else self.dimension(name, part))]
            for name, part in parts.items()
            if isinstance(part, PartitionsDefinition.Dynamic)
        } or None

    def add(self, key: PartitionKey | None, needed: Iterable[PartitionKey]) -> None:
        """Notes what one key of the consumer needs."""
        for one in needed:
            self._wanted.setdefault(one, key)

    def resolve(self, mapping: PartitionMapping) -> list[PartitionKey]:
        """The wanted keys that exist, in order; the others are an error unless the mapping allows it."""
        wanted = self._wanted
        if len(wanted) <= _FEW and not self._upstream.is_dynamic:
            known = {key for key in wanted if self._upstream.validate_partition_key(key)}
        else:
            known = wanted.keys() & set(self.all())
        missing = [*self.missing, *(str(key) for key in wanted if key not in known)]
        if missing and not mapping.allows_missing:
            raise self._absent(mapping, missing)
        if len(known) <= 1:
            return list(known)
        return [key for key in self.all() if key in known]

    def _absent(self, mapping: PartitionMapping, missing: Sequence[str]) -> PartitionValidationError:
        names = ", ".join(map(repr, missing[:_SHOWN]))
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        keys = self.all()
        has = f"it has {str(keys[0])!r} to {str(keys[-1])!r}" if keys else "it has no partitions yet"
        return PartitionValidationError(
            f"{mapping!r} needs partitions that the upstream does not have: {names}{more} ({has}). Run keys "
            f"for which they exist, or go without them: PartitionMapping.subset({mapping!r})."
        )


def _needed(
    mapping: PartitionMapping,
    down: Partitions,
    up: PartitionsDefinition,
    key: PartitionKey | None,
    need: _Need,
    dimension: str | None = None,
) -> Iterable[PartitionKey]:
    if isinstance(mapping, (Subset, ForKeys)):
        inner = mapping.mapping or obvious_mapping(down, up)
        found = _needed(inner, down, up, key, need, dimension)
        if isinstance(mapping, Subset):
            return found
        listed = set(need.named(mapping.keys, up, dimension))
        return [one for one in found if one in listed]
    if isinstance(mapping, AllPartitions):
        return need.all() if dimension is None else need.dimension(dimension, up)
    if isinstance(mapping, SpecificPartitions):
        return need.named(mapping.keys, up, dimension)
    if isinstance(mapping, Multi):
        return _by_dimension(mapping, down, up, key, need)
    if isinstance(mapping, MultiToSingle):
        return _across_dimension(mapping, down, up, key, need)
    if key is None:
        raise PartitionValidationError(
            f"{mapping!r} starts from a partition of the consumer, which has none."
        )
    if isinstance(mapping, Static):
        return _listed_for(mapping, key)
    if isinstance(mapping, TimeWindow):
        return _windows(mapping, down, up, key, need)
    return (key,)


def _listed_for(mapping: Static, key: PartitionKey) -> Iterable[PartitionKey]:
    found = [keys for own, keys in mapping.pairs if own == key]
    if not found:
        raise PartitionValidationError(
            f"{mapping!r} says nothing about {str(key)!r}; list what it needs, or [] if it needs nothing."
        )
    return [one for keys in found for one in keys]


def _windows(
    mapping: TimeWindow, down: Partitions, up: PartitionsDefinition, key: PartitionKey, need: _Need
) -> Iterable[PartitionKey]:
    if not isinstance(down, PartitionsDefinition.TimeWindow) or not isinstance(
        up, PartitionsDefinition.TimeWindow
    ):
        raise PartitionValidationError(
            f"{mapping!r} maps windows of time; {down!r} and {up!r} are not both such."
        )
    table = window_table(up, down, mapping.offset)
    if key not in table.found:
        down.check_partition_key(key)
    need.missing.extend(table.missing.get(key, ()))
    return table.found.get(key, ())


def _own_dimension(key: PartitionKey | None, name: str) -> PartitionKey | None:
    if not isinstance(key, PartitionKey.Multi) or name not in key.keys:
        return None
    return PartitionKey.single(key.keys[name])


def _by_dimension(
    mapping: Multi, down: Partitions, up: PartitionsDefinition, key: PartitionKey | None, need: _Need
) -> Iterable[PartitionKey]:
    if not isinstance(up, PartitionsDefinition.Multi):
        raise PartitionValidationError(f"{mapping!r} maps dimensions, and {up!r} has none.")
    own = down.dimensions if isinstance(down, PartitionsDefinition.Multi) else {}
    given = dict(mapping.mappings)
    per_dimension: dict[str, list[str]] = {}
    for name, definition in up.dimensions.items():
        inner = given.get(name) or obvious_mapping(own.get(name), definition)
        found = _needed(inner, own.get(name), definition, _own_dimension(key, name), need, name)
        per_dimension[name] = [str(one) for one in found]
    return _combinations(per_dimension)


def _across_dimension(
    mapping: MultiToSingle, down: Partitions, up: PartitionsDefinition, key: PartitionKey | None, need: _Need
) -> Iterable[PartitionKey]:
    name = mapping.dimension
    if not isinstance(up, PartitionsDefinition.Multi):
        own = down.dimensions[name] if isinstance(down, PartitionsDefinition.Multi) else None
        inner = mapping.mapping or obvious_mapping(own, up)
        return _needed(inner, own, up, _own_dimension(key, name), need)
    per_dimension: dict[str, list[str]] = {}
    for other, definition in up.dimensions.items():
        inner = AllPartitions() if other != name else mapping.mapping or obvious_mapping(down, definition)
        found = _needed(inner, down, definition, key, need, other)
        per_dimension[other] = [str(one) for one in found]
    return _combinations(per_dimension)


def _combinations(per_dimension: dict[str, list[str]]) -> Iterable[PartitionKey]:
    for values in product(*per_dimension.values()):
        yield PartitionKey.multi(dict(zip(per_dimension, values, strict=True)))
