"""Partitions whose keys are listed: in the definition, or in the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rivers_core._suggestions import did_you_mean
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions.definitions import PartitionsDefinition
from rivers_core.partitions.keys import (
    PartitionKey,
    SinglePartitionKey,
    check_dimension_name,
    check_key_value,
)
from rivers_core.values import source, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rivers_core.partitions.definitions import DynamicKeys

__all__ = ["DynamicPartitions", "StaticPartitions"]

_SHOWN = 8


@variant_of(PartitionsDefinition, "Static")
class StaticPartitions(PartitionsDefinition):
    """A fixed list of keys."""

    __slots__ = ("_listed", "_order", "keys")
    _fields = ("keys",)
    keys: tuple[str, ...]
    """The keys, in order."""
    _order: dict[str, int]
    _listed: tuple[PartitionKey, ...]

    def __init__(self, keys: Sequence[str]) -> None:
        given: object = keys
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
            raise PartitionDefinitionError(f"Static partitions are a list of keys, got {given!r}.")
        checked = tuple([check_key_value(key) for key in given])
        if not checked:
            raise PartitionDefinitionError("Static partitions have no keys; list at least one.")
        order = {key: place for place, key in enumerate(checked)}
        if len(order) != len(checked):
            twice = sorted({key for key in checked if checked.count(key) > 1})
            raise PartitionDefinitionError(f"Static partitions list keys twice: {twice}; list each key once.")
        listed = tuple([SinglePartitionKey(key) for key in checked])
        self._set(keys=checked, _order=order, _listed=listed)

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Every key, in order."""
        return list(self._listed)

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        return shape_fault(key) or unknown_fault(key, self._order)

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], int]:
        """What to sort keys by, so that they come in the definition's order."""
        return lambda key: self._order[str(key)]

    def __repr__(self) -> str:
        return f"PartitionsDefinition.static_({source(list(self.keys))})"


@variant_of(PartitionsDefinition, "Dynamic")
class DynamicPartitions(PartitionsDefinition):
    """Keys that are added to the storage as they come."""

    __slots__ = ("name",)
    _fields = ("name",)
    name: str
    """Under which the storage keeps the keys."""

    def __init__(self, name: str) -> None:
        check_dimension_name(name)
        self._set(name=name)

    @property
    def is_dynamic(self) -> bool:
        """Whether keys live in storage."""
        return True

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Every key, in order."""
        given = self._given(dynamic_keys)
        if given is None:
            raise PartitionValidationError(
                f"The keys of the dynamic partitions {self.name!r} live in the storage: take them from "
                f"storage.get_dynamic_partitions({self.name!r}) and pass them as dynamic_keys."
            )
        return [SinglePartitionKey(key) for key in given]

    def _given(self, dynamic_keys: DynamicKeys) -> list[str] | None:
        if isinstance(dynamic_keys, Mapping):
            named = dynamic_keys.get(self.name)
            return None if named is None else [str(key) for key in named]
        return None if dynamic_keys is None else [str(key) for key in dynamic_keys]

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        fault = shape_fault(key)
        given = self._given(dynamic_keys)
        if fault or given is None:
            return fault
        unknown = unknown_fault(key, given)
        if unknown is None:
            return None
        return f"{unknown} Add it with storage.add_dynamic_partitions({self.name!r}, [...])."

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], int]:
        """What to sort keys by, so that they come in the definition's order."""
        order = {key: place for place, key in enumerate(self._given(dynamic_keys) or ())}
        return lambda key: order.get(str(key), 0)

    def __repr__(self) -> str:
        return f"PartitionsDefinition.dynamic({source(self.name)})"


def shape_fault(key: PartitionKey) -> str | None:
    """Why a key does not fit partitions without dimensions; None if it does."""
    if isinstance(key, SinglePartitionKey):
        return None
    return f"{key!r} has dimensions, and these partitions have none; use PartitionKey.single(...)."


def unknown_fault(key: PartitionKey, known: Collection[str]) -> str | None:
    """Which of a key's values are unknown, and what there is instead; None if all are known."""
    values = key.values if isinstance(key, SinglePartitionKey) else ()
    unknown = [value for value in values if value not in known]
    if not unknown:
        return None
    what = f"key {unknown[0]!r}" if len(unknown) == 1 else f"keys {unknown}"
    shown = ", ".join(map(repr, list(known)[:_SHOWN])) or "none at all"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"There is no partition {what}.{did_you_mean(unknown[0], known)} There are: {shown}{more}."
