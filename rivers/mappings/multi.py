"""Mappings of assets with several dimensions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from rivers.mappings.base import PartitionMapping, require_mapping, shown_definition
from rivers.mappings.defaults import check_mapping, fans_in, obvious_mapping
from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionDefinitionError, PartitionTypeError, PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.mappings.upstream import UpstreamKeys

    Partitions = PartitionsDefinition | None

__all__ = ["MultiMapping", "MultiToSingleMapping"]


@dataclass(frozen=True, repr=False)
class MultiMapping(PartitionMapping):
    """One mapping per dimension, between two assets with several dimensions."""

    _mappings: tuple[tuple[str, str, PartitionMapping], ...]
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, mappings: object) -> MultiMapping:
        """Build the mapping from the argument of `PartitionMapping.multi`."""
        if not isinstance(mappings, Mapping) or not mappings:
            error = PartitionValidationError if isinstance(mappings, Mapping) else PartitionTypeError
            raise error(f"PartitionMapping.multi needs {{upstream dimension: mapping}}, got {mappings!r}.")
        parsed: list[tuple[str, str, PartitionMapping]] = []
        for dimension, value in mappings.items():
            pair: tuple[Any, Any] = (
                value if isinstance(value, tuple) and len(value) == 2 else (dimension, value)
            )
            own, mapping = pair
            require_mapping(f"multi, dimension {dimension!r}", mapping)
            if not isinstance(dimension, str) or not isinstance(own, str):
                raise PartitionTypeError(
                    f"PartitionMapping.multi: dimensions must be names, got {dimension!r}: {value!r}."
                )
            parsed.append((dimension, own, mapping))
        return cls(tuple(sorted(parsed, key=lambda item: item[0])))

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "mappings" in state:  # a pickle of release 0.1
            state = {"_mappings": tuple((name, name, mapping) for name, mapping in state["mappings"])}
        vars(self).update(state)

    @property
    def dimension_mappings(self) -> dict[str, tuple[str, PartitionMapping]]:
        """Dimension of the consumer and mapping, by dimension of the upstream."""
        return {dimension: (own, mapping) for dimension, own, mapping in self._mappings}

    @property
    def allows_missing(self) -> bool:
        """True if any dimension leaves out keys that were never stored."""
        return any(mapping.allows_missing for _, _, mapping in self._mappings)

    def _check(self, downstream: Partitions, upstream: PartitionsDefinition, *, lenient: bool) -> list[str]:
        if not isinstance(upstream, PartitionsDefinition.Multi):
            return [self._needs_dimensions("upstream", upstream)]
        if downstream is not None and not isinstance(downstream, PartitionsDefinition.Multi):
            return [self._needs_dimensions("consumer", downstream)]
        own, mappings = _dimensions(downstream), self.dimension_mappings
        findings = [
            f"{self!r} names the dimension {name!r}, but the upstream has {list(upstream.dimensions)}"
            for name in mappings
            if name not in upstream.dimensions
        ]
        findings += [
            f"{self!r} names the dimension {name!r}, but the consumer has {list(own)}"
            for dimension, (name, _) in mappings.items()
            if name != dimension and name not in own
        ]
        for name, definition in upstream.dimensions.items():
            own_name, mapping = mappings.get(name, (name, None))
            problems = check_mapping(
                mapping, downstream=own.get(own_name), upstream=definition, lenient=lenient
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
        own, mappings = _dimensions(downstream), self.dimension_mappings
        related = (
            (mappings.get(name, (name, None)), definition)
            for name, definition in _dimensions(upstream).items()
        )
        return not own or any(
            name not in own or fans_in(mapping, own[name], definition)
            for (name, mapping), definition in related
        )

    def upstream_keys(
        self, key: PartitionKey | None, downstream: Partitions, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return all combinations of the keys that each dimension needs."""
        if not isinstance(upstream.definition, PartitionsDefinition.Multi):
            raise PartitionValidationError(
                f"{self!r} maps dimensions, but {upstream.definition!r} does not have any."
            )
        own, mappings = _dimensions(downstream), self.dimension_mappings
        needed = {}
        for name, definition in upstream.definition.dimensions.items():
            own_name, declared = mappings.get(name, (name, None))
            mapping = declared or obvious_mapping(own.get(own_name), definition)
            needed[name] = mapping.upstream_keys(
                _key_in(key, own_name), own.get(own_name), upstream.dimension(name)
            )
        return _combinations(needed)

    def __repr__(self) -> str:
        mappings = {
            dimension: mapping if own == dimension else (own, mapping)
            for dimension, own, mapping in self._mappings
        }
        return f"PartitionMapping.multi({mappings!r})"


@dataclass(frozen=True, repr=False)
class MultiToSingleMapping(PartitionMapping):
    """One dimension of several against a single one."""

    dimension_name: str
    _inner: PartitionMapping | None = None
    _former_fields: ClassVar[Mapping[str, str]] = {"dimension": "dimension_name", "mapping": "_inner"}
    names_upstream_keys: ClassVar[bool] = True

    @classmethod
    def parse(cls, dimension: object, mapping: PartitionMapping | None) -> MultiToSingleMapping:
        """Build the mapping from the arguments of `PartitionMapping.multi_to_single`."""
        if not isinstance(dimension, str) or not dimension:
            error = PartitionDefinitionError if isinstance(dimension, str) else PartitionTypeError
            raise error(f"PartitionMapping.multi_to_single needs the name of a dimension, got {dimension!r}.")
        if mapping is not None:
            require_mapping("multi_to_single", mapping)
        return cls(dimension, None if mapping == PartitionMapping.identity() else mapping)

    @property
    def partition_mapping(self) -> PartitionMapping:
        """Mapping between the dimension and the single one."""
        return self._inner or PartitionMapping.identity()

    @property
    def allows_missing(self) -> bool:
        """True if the mapping of the dimension leaves out keys that were never stored."""
        return self._inner is not None and self._inner.allows_missing

    def _check(self, downstream: Partitions, upstream: PartitionsDefinition, *, lenient: bool) -> list[str]:
        own, dimensions = _dimensions(downstream), _dimensions(upstream)
        if bool(own) == bool(dimensions):
            reason = "both have several; use PartitionMapping.multi({...})" if own else "neither has"
            return [f"{self!r} needs several dimensions on exactly one side, but {reason}"]
        if self.dimension_name not in (own or dimensions):
            return [
                f"{self!r} names the dimension {self.dimension_name!r}, but there are {list(own or dimensions)}"
            ]
        problems = check_mapping(
            self._inner,
            downstream=own[self.dimension_name] if own else downstream,
            upstream=upstream if own else dimensions[self.dimension_name],
            lenient=lenient,
        )
        return [f"in dimension {self.dimension_name!r}: {problem}" for problem in problems]

    def fans_in(self, downstream: Partitions, upstream: PartitionsDefinition) -> bool:
        """Return whether the upstream has other dimensions, or the mapping of this one fans in."""
        dimensions = _dimensions(upstream)
        if downstream is None or len(dimensions) > 1:
            return True
        if dimensions:
            return fans_in(self._inner, downstream, dimensions[self.dimension_name])
        return fans_in(self._inner, _dimensions(downstream)[self.dimension_name], upstream)

    def upstream_keys(
        self, key: PartitionKey | None, downstream: Partitions, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the keys of the dimension, combined with all keys of the upstream's other dimensions."""
        dimensions = _dimensions(upstream.definition)
        if not dimensions:
            own = _dimensions(downstream).get(self.dimension_name)
            mapping = self._inner or obvious_mapping(own, upstream.definition)
            return mapping.upstream_keys(_key_in(key, self.dimension_name), own, upstream)
        needed: dict[str, Iterable[PartitionKey]] = {}
        for name, definition in dimensions.items():
            if name == self.dimension_name:
                mapping = self._inner or obvious_mapping(downstream, definition)
                needed[name] = mapping.upstream_keys(key, downstream, upstream.dimension(name))
            else:
                needed[name] = upstream.dimension(name).all()
        return _combinations(needed)

    def __repr__(self) -> str:
        name = json.dumps(self.dimension_name, ensure_ascii=False)
        arguments = f"dimension_name={name}, partition_mapping={self.partition_mapping!r}"
        return f"PartitionMapping.multi_to_single({arguments})"


def _dimensions(definition: Partitions) -> dict[str, PartitionsDefinition]:
    return definition.dimensions if isinstance(definition, PartitionsDefinition.Multi) else {}


def _key_in(key: PartitionKey | None, dimension: str) -> PartitionKey | None:
    if not isinstance(key, PartitionKey.Multi) or dimension not in key.keys:
        return None
    return PartitionKey.single(key.keys[dimension])


def _combinations(needed: Mapping[str, Iterable[PartitionKey]]) -> Iterable[PartitionKey]:
    for values in product(*([str(key) for key in keys] for keys in needed.values())):
        yield PartitionKey.multi(dict(zip(needed, values, strict=True)))
