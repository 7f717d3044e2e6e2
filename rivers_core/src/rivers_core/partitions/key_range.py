"""Ranges of partition keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.keys import MultiPartitionKey, PartitionKey, check_dimension_name, check_key_value
from rivers_core.values import Value, source, variant_of

if TYPE_CHECKING:
    from rivers_core.partitions.definitions import DynamicKeys

__all__ = ["PartitionKeyRange"]

_Bounds: TypeAlias = "tuple[str, str] | list[str]"


class PartitionKeyRange(Value):
    """The keys from one to another, both included, in the order of the definition they are resolved with.

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
    def single(first: str, last: str) -> SingleKeyRange:
        """From `first` to `last`, both included.

        Raises:
            PartitionDefinitionError: One of them is no partition key.
        """
        return SingleKeyRange(first, last)

    @staticmethod
    def multi(dimensions: Mapping[str, tuple[str, str] | list[str]]) -> MultiKeyRange:
        """All combinations of what each dimension gives: a tuple is first and last, a list is these keys.

        Raises:
            PartitionDefinitionError: No dimension, or bounds that are neither of the two.
        """
        return MultiKeyRange(dimensions)

    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """The keys of a definition that lie in this range.

        Args:
            definition: What defines the partitions.
            dynamic_keys: For dynamic partitions, the keys that the storage holds.

        Raises:
            PartitionValidationError: A bound is no key of the definition, the last comes before the first, or
                the dimensions differ.
        """
        raise TypeError("every range is a PartitionKeyRange.Single or a PartitionKeyRange.Multi")


@variant_of(PartitionKeyRange, "Single")
class SingleKeyRange(PartitionKeyRange):
    """From one key to another."""

    __slots__ = ("first", "last")
    _fields = ("first", "last")
    first: str
    """The first key."""
    last: str
    """The last key, included."""

    def __init__(self, first: str, last: str) -> None:
        self._set(first=check_key_value(first), last=check_key_value(last))

    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """The keys of a definition that lie in this range."""
        bounds = [PartitionKey.single(self.first), PartitionKey.single(self.last)]
        for bound in bounds:
            definition.check_partition_key(bound, dynamic_keys)
        keys = definition.get_partition_keys(dynamic_keys)
        start, stop = (keys.index(bound) for bound in bounds)
        if stop < start:
            raise PartitionValidationError(
                f"The range from {self.first!r} to {self.last!r} is empty: {self.last!r} comes first; "
                "swap them."
            )
        return keys[start : stop + 1]

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"

    def __repr__(self) -> str:
        return f"PartitionKeyRange.single({source(self.first)}, {source(self.last)})"


@variant_of(PartitionKeyRange, "Multi")
class MultiKeyRange(PartitionKeyRange):
    """All combinations of a range or a list of keys for each dimension."""

    __slots__ = ("_sorted",)
    _fields = ("dimensions",)
    _sorted: tuple[tuple[str, tuple[bool, tuple[str, ...]]], ...]

    def __init__(self, dimensions: Mapping[str, tuple[str, str] | list[str]]) -> None:
        given: object = dimensions
        if not isinstance(given, Mapping) or not given:
            raise PartitionDefinitionError(
                f"A range with dimensions is a dictionary of at least one dimension, got {given!r}."
            )
        self._set(_sorted=tuple((name, _checked(name, given[name])) for name in sorted(given)))

    @property
    def dimensions(self) -> dict[str, tuple[str, str] | list[str]]:
        """For each dimension the first and last key (a tuple), or the keys (a list); sorted by name."""
        return {
            name: (keys[0], keys[1]) if is_range else list(keys) for name, (is_range, keys) in self._sorted
        }

    def resolve(
        self, definition: PartitionsDefinition, dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """The combinations of what each dimension gives, in the definition's order."""
        names = [name for name, _ in self._sorted]
        if not isinstance(definition, PartitionsDefinition.Multi) or list(definition.dimensions) != names:
            has = (
                list(definition.dimensions) if isinstance(definition, PartitionsDefinition.Multi) else "none"
            )
            raise PartitionValidationError(
                f"The range has the dimensions {names}, and the partitions have {has}; name exactly these."
            )
        chosen = []
        for (_, one), (is_range, keys) in zip(
            definition.dimensions.items(), self._sorted_bounds(), strict=True
        ):
            if is_range:
                chosen.append(SingleKeyRange(*keys).resolve(one, dynamic_keys))
            else:
                chosen.append(one.ordered(keys, dynamic_keys))
        combinations = product(*([str(key) for key in keys] for keys in chosen))
        return [MultiPartitionKey(dict(zip(names, values, strict=True))) for values in combinations]

    def _sorted_bounds(self) -> list[tuple[bool, tuple[str, ...]]]:
        return [bounds for _, bounds in self._sorted]

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
        return False, PartitionKey.single(bounds).values
    raise PartitionDefinitionError(
        f"The range of dimension {name!r} is a tuple of first and last key, or a list of keys; got "
        f"{bounds!r}."
    )


def _shown(bounds: tuple[str, str] | list[str]) -> str:
    return source(bounds) if isinstance(bounds, list) else f"({source(bounds[0])}, {source(bounds[1])})"
