"""Base class of partition mappings, with the constructors that pipeline authors call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from rivers_core.exceptions import PartitionTypeError, PartitionValidationError
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers.mappings.all_partitions import AllPartitionsMapping
    from rivers.mappings.identity import IdentityMapping
    from rivers.mappings.multi import MultiMapping, MultiToSingleMapping
    from rivers.mappings.narrowing import ForKeysMapping, SubsetMapping
    from rivers.mappings.specific import SpecificPartitionsMapping
    from rivers.mappings.static import StaticMapping
    from rivers.mappings.time_window import TimeWindowMapping
    from rivers.mappings.upstream import UpstreamKeys
    from rivers.partitions import PartitionKeyRange, PartitionsDefinition

    KeyOrText: TypeAlias = str | PartitionKey
    KeyLike: TypeAlias = str | Mapping[str, str] | PartitionKey
    KeysOrRanges: TypeAlias = Sequence[KeyLike | PartitionKeyRange] | PartitionKeyRange
    StaticPairs: TypeAlias = (
        Mapping[str, KeyLike | Sequence[KeyLike]] | Mapping[PartitionKey, KeyLike | Sequence[KeyLike]]
    )

__all__ = ["PartitionMapping", "require_mapping", "shown_definition", "shown_key", "shown_selection"]


class PartitionMapping(ABC):
    """Relation between the partitions of a consumer and those of its upstream.

    Without a mapping the default applies: the same key where both have equal partitions, all
    partitions for an unpartitioned consumer, the time windows that lie within (or around) the consumer's,
    the dimension with equal partitions between one and several dimensions.

    A new kind is a subclass that implements `_check`, `fans_in` and `upstream_keys`.

    Examples:
        >>> PartitionMapping.time_window(-1)  # the day before
        PartitionMapping.time_window(offset=-1)
    """

    if TYPE_CHECKING:
        Identity: TypeAlias = IdentityMapping
        AllPartitions: TypeAlias = AllPartitionsMapping
        Static: TypeAlias = StaticMapping
        TimeWindow: TypeAlias = TimeWindowMapping
        SpecificPartitions: TypeAlias = SpecificPartitionsMapping
        Multi: TypeAlias = MultiMapping
        MultiToSingle: TypeAlias = MultiToSingleMapping
        ForKeys: TypeAlias = ForKeysMapping
        Subset: TypeAlias = SubsetMapping

    _former_fields: ClassVar[Mapping[str, str]] = {}
    """Names of fields in pickles of release 0.1, with their present names."""

    names_upstream_keys: ClassVar[bool] = False
    """Whether the mapping refers to partitions of the upstream, so that the upstream must have some."""
    starts_from_own_key: ClassVar[bool] = False
    """Whether the mapping depends on the consumer's key, so that the consumer must be partitioned."""

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update((self._former_fields.get(name, name), value) for name, value in state.items())

    def selects(self, key: PartitionKey | None, downstream: PartitionsDefinition | None) -> bool:
        """Return whether a key of the consumer needs the upstream at all; one that does not receives None."""
        return True

    @property
    def allows_missing(self) -> bool:
        """True if needed keys that were never stored are left out instead of raising an error."""
        return False

    def check(
        self,
        downstream: PartitionsDefinition | None,
        upstream: PartitionsDefinition | None,
        *,
        lenient: bool = False,
    ) -> list[str]:
        """Return the reasons why this mapping cannot work between two assets.

        Args:
            downstream: Partitions of the consumer.
            upstream: Partitions of the upstream.
            lenient: Whether an enclosing mapping leaves out missing keys.

        Returns:
            One sentence per problem, naming the keys; empty if the mapping can work. Keys of dynamic
            partitions are not checked, and a window that is missing for some keys only is not reported.
        """
        if upstream is None:
            return [f"{self!r} names partitions, but the upstream has none; omit the mapping"] * (
                self.names_upstream_keys
            )
        if downstream is None and self.starts_from_own_key:
            return [
                (
                    f"{self!r} starts from a partition of the consumer, which has none; use "
                    "PartitionMapping.all_partitions() or PartitionMapping.specific_partitions([...])"
                )
            ]
        return self._check(downstream, upstream, lenient=lenient or self.allows_missing)

    @abstractmethod
    def _check(
        self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition, *, lenient: bool
    ) -> list[str]:
        """Return the problems between a consumer and a partitioned upstream; see `check`."""

    @abstractmethod
    def fans_in(self, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition) -> bool:
        """Return whether the consumer receives `{key: value}` even for a single key of its own.

        Only definitions decide, so that the shape of an input never changes with the stored data.
        """

    @abstractmethod
    def upstream_keys(
        self, key: PartitionKey | None, downstream: PartitionsDefinition | None, upstream: UpstreamKeys
    ) -> Iterable[PartitionKey]:
        """Return the upstream keys that belong to one key of the consumer, whether they exist or not.

        Args:
            key: The consumer's key; None if the consumer is not partitioned.
            downstream: Partitions of the consumer.
            upstream: Keys of the upstream; records windows that do not exist.

        Raises:
            PartitionValidationError: The mapping is not defined for the key.
        """

    def own_key(self, key: PartitionKey | None) -> PartitionKey:
        """Return `key`, or raise if the consumer has no partitions."""
        if key is None:
            raise PartitionValidationError(
                f"{self!r} starts from a partition of the consumer, which has none."
            )
        return key

    @staticmethod
    def identity() -> IdentityMapping:
        """Return a mapping to the upstream partition with the same key."""
        return PartitionMapping.Identity()

    @staticmethod
    def all_partitions() -> AllPartitionsMapping:
        """Return a mapping to every upstream partition."""
        return PartitionMapping.AllPartitions()

    @staticmethod
    def static_(mapping: StaticPairs) -> StaticMapping:
        """Return a mapping to the upstream partitions that are listed for each of the consumer's.

        Args:
            mapping: `{consumer's key: upstream key, or a list of them}`. Every key of the consumer that is
                run has to be listed; one with `[]` needs nothing.

        Raises:
            PartitionDefinitionError: `mapping` is not a dictionary or is empty, or holds an invalid key.
        """
        return PartitionMapping.Static.parse(mapping)

    @staticmethod
    def time_window(offset: int = 0) -> TimeWindowMapping:
        """Return a mapping to the upstream window that is `offset` windows away from the consumer's.

        Args:
            offset: Number of windows of the longer kind; -1 is the one before, 0 the one(s) at the same
                time. For a month of days, -1 gives the days of the month before; for a day of a month, the
                month before.

        Raises:
            PartitionDefinitionError: The offset is not an integer.
            PartitionValidationError: The offset is more than a million windows.
        """
        return PartitionMapping.TimeWindow.parse(offset)

    @staticmethod
    def specific_partitions(partition_keys: KeysOrRanges) -> SpecificPartitionsMapping:
        """Return a mapping to fixed upstream partitions, for every key of the consumer.

        Args:
            partition_keys: Upstream keys, or ranges of them.

        Raises:
            PartitionValidationError: There is no key.
            PartitionDefinitionError: A key is not valid.
        """
        return PartitionMapping.SpecificPartitions.parse(partition_keys)

    @staticmethod
    def multi(
        dimension_mappings: Mapping[str, PartitionMapping | tuple[str, PartitionMapping]],
    ) -> MultiMapping:
        """Return a mapping per dimension, between two assets with several dimensions.

        Args:
            dimension_mappings: `{upstream dimension: mapping}`, or `{upstream dimension: (consumer's dimension,
                mapping)}` where the names differ. A dimension that is not listed maps to the same key where both
                assets have it, and to all keys where only the upstream has it.

        Raises:
            PartitionValidationError: `dimension_mappings` is empty.
            PartitionDefinitionError: It is not a dictionary, or a value is not a `PartitionMapping`.
        """
        return PartitionMapping.Multi.parse(dimension_mappings)

    @staticmethod
    def multi_to_single(
        dimension_name: str, partition_mapping: PartitionMapping | None = None
    ) -> MultiToSingleMapping:
        """Return a mapping between several dimensions on one side and a single one on the other.

        Args:
            dimension_name: Dimension that corresponds to the single one. All keys of the other dimensions of a
                multi-dimensional upstream are needed.
            partition_mapping: Mapping between that dimension and the single one; by default the same key, or for
                time windows those that lie within or around.

        Raises:
            PartitionDefinitionError: `dimension_name` is not a name, or `partition_mapping` is not a
                `PartitionMapping`.
        """
        return PartitionMapping.MultiToSingle.parse(dimension_name, partition_mapping)

    @staticmethod
    def for_keys(selectors: KeysOrRanges, mapping: PartitionMapping | None = None) -> ForKeysMapping:
        """Return a mapping that applies to listed keys only.

        For an unpartitioned upstream these are keys of the consumer: they receive its value, all others None, and
        nothing is loaded for them. For a partitioned upstream they are its own keys, which restrict `mapping`; a
        partition of the consumer to which none of them belongs gets an empty dictionary.

        Args:
            selectors: Keys, or ranges of them.
            mapping: Mapping to restrict, for a partitioned upstream; by default the default mapping, or all partitions
                where there is none.

        Raises:
            PartitionValidationError: There is no key.
            PartitionDefinitionError: `mapping` is not a `PartitionMapping`.
        """
        return PartitionMapping.ForKeys.parse(selectors, mapping)

    @staticmethod
    def subset(mapping: PartitionMapping | None = None) -> SubsetMapping:
        """Return a mapping to an upstream that does not have, or did not store, all the keys.

        Without an argument the consumer receives the value of the same key, and None for a key that the upstream does
        not define. Where the mapping is to several keys, they arrive as a dictionary without those that were never
        stored.

        Args:
            mapping: Mapping to apply; by default the same key where both are partitioned alike, the windows within
                where the windows of the consumer are longer, all partitions where there is no default.

        Raises:
            PartitionDefinitionError: `mapping` is not a `PartitionMapping`.
        """
        return PartitionMapping.Subset.parse(mapping)


def require_mapping(where: str, mapping: object) -> None:
    """Raise unless `mapping` is a `PartitionMapping`.

    Args:
        where: Constructor that was called, for the message.
        mapping: Argument to check.

    Raises:
        PartitionDefinitionError: (also a TypeError) It is not a `PartitionMapping`.
    """
    if not isinstance(mapping, PartitionMapping):
        raise PartitionTypeError(
            f"PartitionMapping.{where}: the mapping must be a PartitionMapping, got {mapping!r}. Use for "
            "example PartitionMapping.identity()."
        )


def shown_definition(definition: PartitionsDefinition | None) -> str:
    """Return a definition as text for a message, cut after 160 characters."""
    text = "no partitions" if definition is None else repr(definition)
    return text if len(text) <= 160 else f"{text[:160]}..."


def shown_key(key: PartitionKey) -> KeyOrText:
    """Return a key as it is written in the repr of a mapping."""
    return str(key) if isinstance(key, PartitionKey.Single) else key


def shown_selection(
    keys: Iterable[PartitionKey | PartitionKeyRange],
) -> list[str | PartitionKey | PartitionKeyRange]:
    """Return keys and ranges as they are written in the repr of a mapping."""
    return [shown_key(key) if isinstance(key, PartitionKey) else key for key in keys]
