"""Partitions with several named dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.keys import (
    MultiPartitionKey,
    PartitionKey,
    SinglePartitionKey,
    check_dimension_name,
    each_once,
)
from rivers_core.values import source, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from rivers_core.partitions.definitions import DynamicKeys

__all__ = ["MultiPartitions"]


@variant_of(PartitionsDefinition, "Multi")
class MultiPartitions(PartitionsDefinition):
    """Every combination of the keys of named dimensions; the last dimension (by name) changes fastest."""

    __slots__ = ("_listed", "_sorted")
    _fields = ("dimensions",)
    _sorted: tuple[tuple[str, PartitionsDefinition], ...]
    _listed: tuple[list[list[PartitionKey]], list[PartitionKey]]

    def __init__(self, dimensions: Mapping[str, PartitionsDefinition]) -> None:
        given: object = dimensions
        if not isinstance(given, Mapping) or not given:
            raise PartitionDefinitionError(
                f"Multi-dimensional partitions are a dictionary of at least one dimension, got {given!r}."
            )
        for name, definition in given.items():
            _check_dimension(name, definition)
        self._set(_sorted=tuple(sorted(given.items())), _listed=([], []))

    @property
    def dimensions(self) -> dict[str, PartitionsDefinition]:
        """The definition of each dimension, sorted by name."""
        return dict(self._sorted)

    @property
    def is_dynamic(self) -> bool:
        """Whether keys live in storage."""
        return any(definition.is_dynamic for _, definition in self._sorted)

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Every key, in order."""
        per_dimension = [definition.get_partition_keys(dynamic_keys) for _, definition in self._sorted]
        if self._listed[0] != per_dimension:
            names = [name for name, _ in self._sorted]
            combinations = product(*([str(key) for key in keys] for keys in per_dimension))
            keys = [MultiPartitionKey(dict(zip(names, values, strict=True))) for values in combinations]
            self._set(_listed=(per_dimension, keys))
        return list(self._listed[1])

    def parse_partition_key(self, text: str) -> PartitionKey:
        """The key whose display form this is: `date=a|region=b,c`."""
        parts = [part.partition("=") for part in text.split("|")]
        if not all(separator for _, separator, _ in parts):
            shape = "|".join(f"{name}=..." for name, _ in self._sorted)
            raise PartitionDefinitionError(f"Not a key of these partitions: {text!r}; write it as {shape}.")
        return MultiPartitionKey(each_once((name, values.split(",")) for name, _, values in parts))

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        windows = [
            definition.window_of(SinglePartitionKey(values))
            for definition, (_, values) in zip(self.dimensions.values(), _dimensions(key), strict=True)
        ]
        known = [window for window in windows if window is not None]
        return known[0] if len(known) == 1 else None

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        names = list(self.dimensions)
        if not isinstance(key, MultiPartitionKey):
            return f"{key!r} names no dimension; use PartitionKey.multi with the dimensions {names}."
        if list(key.keys) != names:
            return f"{key!r} has the dimensions {list(key.keys)}; these partitions have {names}."
        for (name, definition), (_, values) in zip(self._sorted, key.dimensions, strict=True):
            fault = definition.fault_of(SinglePartitionKey(values), dynamic_keys)
            if fault is not None:
                return f"In dimension {name!r}: {fault}"
        return None

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], tuple[Any, ...]]:
        """What to sort keys of this definition by, so that they come in its order."""
        places = [definition.sort_key(dynamic_keys) for _, definition in self._sorted]

        def place(key: PartitionKey) -> tuple[Any, ...]:
            return tuple(
                of(SinglePartitionKey(values))
                for of, (_, values) in zip(places, _dimensions(key), strict=True)
            )

        return place

    def __repr__(self) -> str:
        return f"PartitionsDefinition.multi({source(self.dimensions)})"

    def __hash__(self) -> int:
        return hash(self._sorted)


def _dimensions(key: PartitionKey) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return key.dimensions if isinstance(key, MultiPartitionKey) else ()


def _check_dimension(name: object, definition: object) -> None:
    check_dimension_name(name)
    if isinstance(definition, MultiPartitions):
        raise PartitionDefinitionError(
            f"The dimension {name!r} is multi-dimensional itself; put its dimensions beside the others."
        )
    if not isinstance(definition, PartitionsDefinition):
        raise PartitionDefinitionError(
            f"The dimension {name!r} is a PartitionsDefinition, got {definition!r} "
            f"({type(definition).__name__})."
        )
