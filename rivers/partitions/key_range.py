"""Partition key ranges: select consecutive keys of a definition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rivers.partitions.definitions import MultiPartitions, PartitionsDefinition, combine_keys
from rivers_core._values import Value, source
from rivers_core.exceptions import (
    NoPartitionKeysError,
    PartitionDefinitionError,
    PartitionTypeError,
    PartitionValidationError,
)
from rivers_core.partitions.keys import (
    PartitionKey,
    SinglePartitionKey,
    check_dimension_name,
    check_key_value,
)

if TYPE_CHECKING:
    from rivers.partitions.definitions import DynamicKeys


_Bounds: TypeAlias = "tuple[str, str] | list[str]"


class PartitionKeyRange(Value, ABC):
    """The keys from one to another, both inclusive, in the order of a definition.

    Examples:
        >>> days = PartitionsDefinition.daily("2024-02-28", end="2024-04-01")
        >>> PartitionKeyRange.single("2024-02-28", "2024-03-01").resolve(days)
        [PartitionKey("2024-02-28"), PartitionKey("2024-02-29"), PartitionKey("2024-03-01")]
    """

    __slots__ = ()

    if TYPE_CHECKING:
        Single: TypeAlias = "SingleKeyRange"
        Multi: TypeAlias = "MultiKeyRange"

    @staticmethod
    def single(from_key: str, to_key: str) -> SingleKeyRange:
        """Return the range from `from_key` to `to_key`, both inclusive.

        Raises:
            PartitionDefinitionError: One of them is not a partition key.
        """
        return SingleKeyRange(from_key, to_key)

    @staticmethod
    def multi(dimensions: Mapping[str, tuple[str, str] | list[str]]) -> MultiKeyRange:
        """Return all combinations of each dimension's keys: a tuple of first and last, or a list of keys.

        Raises:
            PartitionDefinitionError: There is no dimension, or its value is neither a tuple of two nor a list.
        """
        return MultiKeyRange(dimensions)

    @abstractmethod
    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """Return the keys of a definition in this range.

        Args:
            definition: The partitions definition.
            dynamic_keys: For dynamic partitions, the keys in the event storage.

        Raises:
            PartitionValidationError: A bound is not a key of the definition, the last comes before the first, or
                the dimensions differ.
        """


class SingleKeyRange(PartitionKeyRange, variant="Single"):
    """The keys from one to another."""

    __slots__ = ("from_key", "to_key")
    _fields = ("from_key", "to_key")
    from_key: str
    """The first key."""
    to_key: str
    """The last key, inclusive."""

    def __init__(self, from_key: str, to_key: str) -> None:
        self._set(from_key=check_key_value(from_key), to_key=check_key_value(to_key))

    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """Return the keys of a definition in this range."""
        bounds = [SinglePartitionKey(self.from_key), SinglePartitionKey(self.to_key)]
        for bound in bounds:
            definition.check_partition_key(bound, dynamic_keys)
        keys = definition.get_partition_keys(dynamic_keys)
        start, stop = (keys.index(bound) for bound in bounds)
        if stop < start:
            raise PartitionValidationError(
                f"The range from {self.from_key!r} to {self.to_key!r} is empty: {self.to_key!r} comes first. Swap "
                "them."
            )
        return keys[start : stop + 1]

    def __str__(self) -> str:
        return f"{self.from_key}..{self.to_key}"

    def __repr__(self) -> str:
        return f"PartitionKeyRange.single(from_key={source(self.from_key)}, to_key={source(self.to_key)})"


class MultiKeyRange(PartitionKeyRange, variant="Multi"):
    """All combinations of a range or a list of keys per dimension."""

    __slots__ = ("_sorted",)
    _fields = ("dimensions",)
    _sorted: tuple[tuple[str, tuple[bool, tuple[str, ...]]], ...]

    def __init__(self, dimensions: Mapping[str, tuple[str, str] | list[str]]) -> None:
        given: object = dimensions
        if not isinstance(given, Mapping) or not given:
            error = NoPartitionKeysError if isinstance(given, Mapping) else PartitionTypeError
            raise error(
                f"A range with dimensions must be a dictionary of at least one dimension, got {given!r}."
            )
        self._set(_sorted=tuple((name, _checked(name, given[name])) for name in sorted(given)))

    @property
    def dimensions(self) -> dict[str, tuple[str, str] | list[str]]:
        """First and last key (a tuple) or the sorted keys (a list) per dimension, sorted by name."""
        return {
            name: (keys[0], keys[1]) if is_range else list(keys) for name, (is_range, keys) in self._sorted
        }

    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """Return the combinations of each dimension's keys, in the definition's order."""
        names = [name for name, _ in self._sorted]
        dimensions = definition.dimensions if isinstance(definition, MultiPartitions) else {}
        if list(dimensions) != names:
            available = list(dimensions) or "none"
            raise PartitionValidationError(
                f"The range has the dimensions {names}, and the partitions have {available}. Use the same dimensions."
            )
        selected = [
            SingleKeyRange(*keys).resolve(dimensions[name], dynamic_keys)
            if is_range
            else dimensions[name].ordered(keys, dynamic_keys)
            for name, (is_range, keys) in self._sorted
        ]
        return combine_keys(names, selected)

    def __hash__(self) -> int:
        return hash(self._sorted)

    def __str__(self) -> str:
        bounds = ((name, ".." if is_range else ",", keys) for name, (is_range, keys) in self._sorted)
        return "|".join(f"{name}={between.join(keys)}" for name, between, keys in bounds)

    def __repr__(self) -> str:
        shown = ", ".join(f"{source(name)}: {_shown(bounds)}" for name, bounds in self.dimensions.items())
        return f"PartitionKeyRange.multi({{{shown}}})"


def _checked(name: object, bounds: object) -> tuple[bool, tuple[str, ...]]:
    check_dimension_name(name)
    if isinstance(bounds, tuple) and len(bounds) == 2:
        return True, (check_key_value(bounds[0]), check_key_value(bounds[1]))
    if isinstance(bounds, Sequence) and not isinstance(bounds, (str, tuple)):
        return False, tuple(sorted(SinglePartitionKey(bounds).values))
    raise PartitionDefinitionError(
        f"The range of dimension {name!r} must be a tuple of first and last key, or a list of keys, got {bounds!r}."
    )


def _shown(bounds: tuple[str, str] | list[str]) -> str:
    return source(bounds) if isinstance(bounds, list) else f"({source(bounds[0])}, {source(bounds[1])})"
