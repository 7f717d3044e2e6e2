"""Mappings of assets with several dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar

from rivers.mappings.base import PartitionMapping, require_mapping, shown_definition
from rivers.mappings.defaults import check_mapping, fans_in, obvious_mapping
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey, PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys

    Partitions = PartitionsDefinition | None

__all__ = ["MultiMapping", "MultiToSingleMapping"]


@dataclass(frozen=True, repr=False)
class MultiMapping(PartitionMapping):
    """One mapping per dimension, between two assets with several dimensions."""

    mappings: tuple[tuple[str, PartitionMapping], ...]
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, mappings: object) -> MultiMapping:
        """Build the mapping from the argument of `PartitionMapping.multi`."""
        if not isinstance(mappings, Mapping) or not mappings:
            raise PartitionDefinitionError(
                f"PartitionMapping.multi needs {{dimension: mapping}}, got {mappings!r}."
            )
        for dimension, mapping in mappings.items():
            require_mapping(f"multi, dimension {dimension!r}", mapping)
        return cls(tuple(sorted(mappings.items(), key=lambda item: item[0])))

    @property
    def allows_missing(self) -> bool:
        """Whether any dimension leaves out keys that were never stored."""
        return any(mapping.allows_missing for _, mapping in self.mappings)

    def _check(self, downstream: Partitions, upstream: PartitionsDefinition, *, lenient: bool) -> list[str]:
        if not isinstance(upstream, PartitionsDefinition.Multi):
            return [self._needs_dimensions("upstream", upstream)]
        if downstream is not None and not isinstance(downstream, PartitionsDefinition.Multi):
            return [self._needs_dimensions("consumer", downstream)]
        own, mappings = _dimensions(downstream), dict(self.mappings)
        findings = [
            f"{self!r} names the dimension {name!r}, but the upstream has {list(upstream.dimensions)}"
            for name in mappings
            if name not in upstream.dimensions
        ]
        for name, definition in upstream.dimensions.items():
            problems = check_mapping(
                mappings.get(name), downstream=own.get(name), upstream=definition, lenient=lenient
            )
            findings.extend(f"in dimension {name!r}: {problem}" for problem in problems)
        return findings

    def _needs_dimensions(self, side: str, definition: PartitionsDefinition) -> str:
        return (
            f"{self!r} maps dimensions, but the {side} has {shown_definition(definition)}; use "
            "PartitionMapping.multi_to_single(...)"
        )

    def fans_in(self, downstream: Partitions, upstream: PartitionsDefinition) -> bool:
        """Return whether any dimension fans in, such as one that only the upstream has."""
        own, mappings = _dimensions(downstream), dict(self.mappings)
        return not own or any(
            name not in own or fans_in(mappings.get(name), own[name], definition)
            for name, definition in _dimensions(upstream).items()
        )

    def upstream_keys(
        self, key: PartitionKey | None, downstream: Partitions, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return all combinations of the keys that each dimension needs."""
        if not isinstance(upstream.definition, PartitionsDefinition.Multi):
            raise PartitionValidationError(
                f"{self!r} maps dimensions, but {upstream.definition!r} does not have any."
            )
        own, mappings = _dimensions(downstream), dict(self.mappings)
        needed = {}
        for name, definition in upstream.definition.dimensions.items():
            mapping = mappings.get(name) or obvious_mapping(own.get(name), definition)
            needed[name] = mapping.upstream_keys(_key_in(key, name), own.get(name), upstream.dimension(name))
        return _combinations(needed)

    def __repr__(self) -> str:
        return f"PartitionMapping.multi({dict(self.mappings)!r})"


@dataclass(frozen=True, repr=False)
class MultiToSingleMapping(PartitionMapping):
    """One dimension of several against a single one."""

    dimension: str
    mapping: PartitionMapping | None = None
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, dimension: object, mapping: PartitionMapping | None) -> MultiToSingleMapping:
        """Build the mapping from the arguments of `PartitionMapping.multi_to_single`."""
        if not isinstance(dimension, str) or not dimension:
            raise PartitionDefinitionError(
                f"PartitionMapping.multi_to_single needs the name of a dimension, got {dimension!r}."
            )
        if mapping is not None:
            require_mapping("multi_to_single", mapping)
        return cls(dimension, mapping)

    @property
    def allows_missing(self) -> bool:
        """Whether the mapping of the dimension leaves out keys that were never stored."""
        return self.mapping is not None and self.mapping.allows_missing

    def _check(self, downstream: Partitions, upstream: PartitionsDefinition, *, lenient: bool) -> list[str]:
        own, dimensions = _dimensions(downstream), _dimensions(upstream)
        if bool(own) == bool(dimensions):
            reason = "both have several; use PartitionMapping.multi({...})" if own else "neither has"
            return [f"{self!r} needs several dimensions on exactly one side, but {reason}"]
        if self.dimension not in (own or dimensions):
            return [
                f"{self!r} names the dimension {self.dimension!r}, but there are {list(own or dimensions)}"
            ]
        problems = check_mapping(
            self.mapping,
            downstream=own[self.dimension] if own else downstream,
            upstream=upstream if own else dimensions[self.dimension],
            lenient=lenient,
        )
        return [f"in dimension {self.dimension!r}: {problem}" for problem in problems]

    def fans_in(self, downstream: Partitions, upstream: PartitionsDefinition) -> bool:
        """Return whether the upstream has other dimensions, or the mapping of this one fans in."""
        dimensions = _dimensions(upstream)
        if downstream is None or len(dimensions) > 1:
            return True
        if dimensions:
            return fans_in(self.mapping, downstream, dimensions[self.dimension])
        return fans_in(self.mapping, _dimensions(downstream)[self.dimension], upstream)

    def upstream_keys(
        self, key: PartitionKey | None, downstream: Partitions, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys of the dimension, combined with all keys of the upstream's other dimensions."""
        dimensions = _dimensions(upstream.definition)
        if not dimensions:
            own = _dimensions(downstream).get(self.dimension)
            mapping = self.mapping or obvious_mapping(own, upstream.definition)
            return mapping.upstream_keys(_key_in(key, self.dimension), own, upstream)
        needed: dict[str, Iterable[PartitionKey]] = {}
        for name, definition in dimensions.items():
            if name == self.dimension:
                mapping = self.mapping or obvious_mapping(downstream, definition)
                needed[name] = mapping.upstream_keys(key, downstream, upstream.dimension(name))
            else:
                needed[name] = upstream.dimension(name).all()
        return _combinations(needed)

    def __repr__(self) -> str:
        mapping = "" if self.mapping is None else f", {self.mapping!r}"
        return f"PartitionMapping.multi_to_single({self.dimension!r}{mapping})"


def _dimensions(definition: Partitions) -> dict[str, PartitionsDefinition]:
    return definition.dimensions if isinstance(definition, PartitionsDefinition.Multi) else {}


def _key_in(key: PartitionKey | None, dimension: str) -> PartitionKey | None:
    if not isinstance(key, PartitionKey.Multi) or dimension not in key.keys:
        return None
    return PartitionKey.single(key.keys[dimension])


def _combinations(needed: Mapping[str, Iterable[PartitionKey]]) -> Iterable[PartitionKey]:
    for values in product(*([str(key) for key in keys] for keys in needed.values())):
        yield PartitionKey.multi(dict(zip(needed, values, strict=True)))
