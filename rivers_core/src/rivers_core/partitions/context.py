"""Partition context: the partition keys of one step, and what a handler may ask about their definition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions.keys import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Partitioning(ABC):
    """Questions of a handler about the partitions of an asset, which `rivers.PartitionsDefinition` answers.

    Examples:
        >>> from datetime import date, datetime, time, timedelta
        >>> class Days(Partitioning):
        ...     def window_of(self, key):
        ...         start = datetime.combine(date.fromisoformat(str(key)), time())
        ...         return start, start + timedelta(days=1)
        >>> PartitionContext(PartitionKey("2024-01-31"), Days()).time_window()
        (datetime.datetime(2024, 1, 31, 0, 0), datetime.datetime(2024, 2, 1, 0, 0))
    """

    __slots__ = ()

    @abstractmethod
    def window_of(self, key: PartitionKey | str) -> tuple[datetime, datetime] | None:
        """Return the time window of a key: start (inclusive) and end (exclusive); None if it has none.

        With dimensions it is the window of the time dimension, if there is exactly one.

        Raises:
            PartitionValidationError: The key does not belong to this definition.
        """

    @property
    def dimensions(self) -> Mapping[str, Partitioning]:
        """The definition of each dimension, sorted by name; empty without dimensions."""
        return {}

    @property
    def listed_keys(self) -> Sequence[str]:
        """All keys, if the definition lists them; empty if they are computed or added at run time."""
        return ()


@final  # so that type checkers know that it is never false: `context.partition and context.partition.key`
class PartitionContext:
    """The partition keys of one step, with their definition.

    Args:
        keys: The keys; a key of several values counts as each of them.
        definition: The partitions definition of the asset, if known.
    """

    __slots__ = ("_definition", "_keys")

    def __init__(
        self, keys: Sequence[PartitionKey] | PartitionKey, definition: Partitioning | None = None
    ) -> None:
        if not isinstance(keys, PartitionKey) and not (keys and isinstance(keys[0], PartitionKey)):
            raise PartitionValidationError(
                f"PartitionContext needs at least one PartitionKey, got {keys!r}. Write "
                'PartitionContext([PartitionKey.single("2024-01-01")]).'
            )
        self._keys = keys
        self._definition = definition

    @property
    def keys(self) -> list[PartitionKey]:
        """All keys, split, in the order of the definition."""
        given = [self._keys] if isinstance(self._keys, PartitionKey) else self._keys
        return [part for key in given for part in key.split()]

    @property
    def key(self) -> PartitionKey:
        """The first key; the only one unless the step handles several."""
        keys = self._keys
        first = keys if isinstance(keys, PartitionKey) else keys[0]
        return first if first.is_single else first.split()[0]

    @property
    def is_single(self) -> bool:
        """True if there is exactly one key."""
        keys = self._keys
        if isinstance(keys, PartitionKey):
            return keys.is_single
        return len(keys) == 1 and keys[0].is_single

    @property
    def definition(self) -> Partitioning | None:
        """The partitions definition of the asset; None if unknown."""
        return self._definition

    def time_window(self) -> tuple[datetime, datetime] | None:
        """Return start (inclusive) and end (exclusive) of the keys' time windows; None if they have none."""
        if self._definition is None:
            return None
        windows = [self._definition.window_of(key) for key in self.keys]
        known = [window for window in windows if window is not None]
        if not known:
            return None
        return min(start for start, _ in known), max(end for _, end in known)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionContext):
            return NotImplemented
        return self.keys == other.keys and self._definition == other.definition

    def __hash__(self) -> int:
        return hash((tuple(self.keys), self._definition))

    def __repr__(self) -> str:
        return f"PartitionContext({self.keys!r}, {self._definition!r})"
