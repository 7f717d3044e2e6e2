"""PartitionMapping: which partitions of an upstream asset belong to a partition of its consumer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rivers.definitions.written_keys import keys_of, listed_keys
from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.partitions import PartitionKey, PartitionKeyRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    KeyLike = str | Mapping[str, str] | PartitionKey
    Listed = Sequence[KeyLike | PartitionKeyRange] | PartitionKeyRange

K = TypeVar("K", bound="str | PartitionKey")

__all__ = [
    "AllPartitions",
    "ForKeys",
    "Identity",
    "Multi",
    "MultiToSingle",
    "PartitionMapping",
    "SpecificPartitions",
    "Static",
    "Subset",
    "TimeWindow",
]


@dataclass(frozen=True)
class PartitionMapping:
    """Which upstream partitions a partition of the consumer needs; made by one of the functions below.

    Without a mapping the obvious one is taken: the same key where both have the same partitions, all
    partitions for an unpartitioned consumer, the windows of time that lie within (or around) the
    consumer's, the dimension of equal partitions between one and several dimensions.

    Examples:
        >>> PartitionMapping.time_window(-1)  # for the orders of the day before
        PartitionMapping.time_window(-1)
    """

    @property
    def allows_missing(self) -> bool:
        """Whether needed keys that were never stored are left out instead of being an error."""
        return False

    @staticmethod
    def identity() -> PartitionMapping:
        """The upstream partition with the same key."""
        return Identity()

    @staticmethod
    def all_partitions() -> PartitionMapping:
        """Every upstream partition."""
        return AllPartitions()

    @staticmethod
    def static_(pairs: Mapping[K, KeyLike | Sequence[KeyLike]]) -> PartitionMapping:
        """The upstream partitions listed for each of the consumer's.

        Args:
            pairs: `{consumer's key: upstream key, or a list of them}`. Every key of the consumer that is
                run has to be listed; with `[]` it needs nothing.
        """
        given: object = pairs
        if not isinstance(given, Mapping) or not given:
            raise PartitionDefinitionError(
                f"PartitionMapping.static_({pairs!r}): give {{consumer's key: upstream key or keys}}, at "
                "least one."
            )
        return Static(
            tuple(
                (one, () if up == [] else keys_of("static_", up))
                for down, up in pairs.items()
                for one in keys_of("static_", down)
            )
        )

    @staticmethod
    def time_window(offset: int = 0) -> PartitionMapping:
        """The upstream window so many windows away from the consumer's.

        Args:
            offset: In windows of the longer kind; -1 is the one before, 0 the one(s) at the same time. For
                a month of days, -1 gives the days of the month before; for a day of a month, the month
                before.
        """
        if type(offset) is not int:
            raise PartitionDefinitionError(
                f"PartitionMapping.time_window({offset!r}): the offset is a whole number of windows; -1 is "
                "the one before."
            )
        return TimeWindow(offset)

    @staticmethod
    def specific_partitions(keys: Listed) -> PartitionMapping:
        """These upstream partitions (keys, or ranges of them), whatever the consumer's key is."""
        return SpecificPartitions(listed_keys("specific_partitions", keys))

    @staticmethod
    def multi(mappings: Mapping[str, PartitionMapping]) -> PartitionMapping:
        """A mapping for each dimension, between two assets with several dimensions.

        Args:
            mappings: `{dimension: mapping}`; a dimension that is not listed is mapped to the same key where
                both assets have it, and to all keys where only the upstream has it.
        """
        given: object = mappings
        if not isinstance(given, Mapping) or not given:
            raise PartitionDefinitionError(
                f"PartitionMapping.multi({mappings!r}): give {{dimension: mapping}}, at least one."
            )
        for dimension, mapping in mappings.items():
            _check_inner(f"multi, dimension {dimension!r}", mapping)
        return Multi(tuple(sorted(mappings.items(), key=lambda item: item[0])))

    @staticmethod
    def multi_to_single(dim: str, mapping: PartitionMapping | None = None) -> PartitionMapping:
        """Between several dimensions on one side and a single one on the other.

        Args:
            dim: The dimension that corresponds to the single one. The other dimensions of a
                multi-dimensional upstream are taken with all their keys.
            mapping: Between that dimension and the single one; the obvious one by default.
        """
        given: object = dim
        if not isinstance(given, str) or not given:
            raise PartitionDefinitionError(f"PartitionMapping.multi_to_single({dim!r}): name a dimension.")
        if mapping is not None:
            _check_inner("multi_to_single", mapping)
        return MultiToSingle(dim, mapping)

    @staticmethod
    def for_keys(keys: Listed, mapping: PartitionMapping | None = None) -> PartitionMapping:
        """What another mapping gives, but only these upstream keys of it.

        A partition of the consumer to which none of them belongs needs nothing of this upstream, and gets
        an empty dictionary.

        Args:
            keys: Upstream keys, or ranges of them.
            mapping: The mapping that is narrowed; the obvious one by default, all partitions where none is
                obvious.
        """
        if mapping is not None:
            _check_inner("for_keys", mapping)
        return ForKeys(listed_keys("for_keys", keys), mapping)

    @staticmethod
    def subset(mapping: PartitionMapping | None = None) -> PartitionMapping:
        """What another mapping gives, as far as it was ever stored; keys that were not are left out, not an error.

        Args:
            mapping: The mapping; the obvious one by default, all partitions where none is obvious.
        """
        if mapping is not None:
            _check_inner("subset", mapping)
        return Subset(mapping)


@dataclass(frozen=True, repr=False)
class Identity(PartitionMapping):
    """The same key."""

    def __repr__(self) -> str:
        return "PartitionMapping.identity()"


@dataclass(frozen=True, repr=False)
class AllPartitions(PartitionMapping):
    """Every key."""

    def __repr__(self) -> str:
        return "PartitionMapping.all_partitions()"


@dataclass(frozen=True, repr=False)
class Static(PartitionMapping):
    """Listed pairs of the consumer's key and upstream keys."""

    pairs: tuple[tuple[PartitionKey, tuple[PartitionKey, ...]], ...]

    def __repr__(self) -> str:
        return f"PartitionMapping.static_({ {_plain(down): [_plain(key) for key in up] for down, up in self.pairs} })"


@dataclass(frozen=True, repr=False)
class TimeWindow(PartitionMapping):
    """The window at an offset."""

    offset: int

    def __repr__(self) -> str:
        return f"PartitionMapping.time_window({self.offset})"


@dataclass(frozen=True, repr=False)
class SpecificPartitions(PartitionMapping):
    """These keys always."""

    keys: tuple[PartitionKey | PartitionKeyRange, ...]

    def __repr__(self) -> str:
        return f"PartitionMapping.specific_partitions({[_plain(key) for key in self.keys]})"


@dataclass(frozen=True, repr=False)
class Multi(PartitionMapping):
    """A mapping per dimension."""

    mappings: tuple[tuple[str, PartitionMapping], ...]

    @property
    def allows_missing(self) -> bool:
        """Whether needed keys that were never stored are left out."""
        return any(mapping.allows_missing for _, mapping in self.mappings)

    def __repr__(self) -> str:
        return f"PartitionMapping.multi({dict(self.mappings)!r})"


@dataclass(frozen=True, repr=False)
class _Wrapping(PartitionMapping):
    """A mapping that narrows or places another one."""

    @property
    def inner(self) -> PartitionMapping | None:
        """The other mapping; None for the obvious one."""
        return None

    @property
    def allows_missing(self) -> bool:
        """Whether needed keys that were never stored are left out."""
        return self.inner is not None and self.inner.allows_missing


@dataclass(frozen=True, repr=False)
class MultiToSingle(_Wrapping):
    """One dimension of several against a single one."""

    dimension: str
    mapping: PartitionMapping | None = None

    @property
    def inner(self) -> PartitionMapping | None:
        """The mapping of that dimension or of all keys; None for the obvious one."""
        return self.mapping

    def __repr__(self) -> str:
        more = "" if self.mapping is None else f", {self.mapping!r}"
        return f"PartitionMapping.multi_to_single({self.dimension!r}{more})"


@dataclass(frozen=True, repr=False)
class ForKeys(_Wrapping):
    """Another mapping, narrowed to listed upstream keys."""

    keys: tuple[PartitionKey | PartitionKeyRange, ...]
    mapping: PartitionMapping | None = None

    @property
    def inner(self) -> PartitionMapping | None:
        """The mapping of that dimension or of all keys; None for the obvious one."""
        return self.mapping

    def __repr__(self) -> str:
        more = "" if self.mapping is None else f", {self.mapping!r}"
        return f"PartitionMapping.for_keys({[_plain(key) for key in self.keys]}{more})"


@dataclass(frozen=True, repr=False)
class Subset(PartitionMapping):
    """Another mapping, without what was never stored."""

    mapping: PartitionMapping | None = None

    @property
    def allows_missing(self) -> bool:
        """Whether needed keys that were never stored are left out."""
        return True

    def __repr__(self) -> str:
        return f"PartitionMapping.subset({self.mapping!r})" if self.mapping else "PartitionMapping.subset()"


def _check_inner(where: str, mapping: object) -> None:
    if not isinstance(mapping, PartitionMapping):
        raise PartitionDefinitionError(
            f"PartitionMapping.{where}: {mapping!r} is not a PartitionMapping; write e.g. "
            "PartitionMapping.identity()."
        )


def _plain(key: PartitionKey | PartitionKeyRange) -> str | PartitionKey | PartitionKeyRange:
    return str(key) if isinstance(key, PartitionKey.Single) else key
