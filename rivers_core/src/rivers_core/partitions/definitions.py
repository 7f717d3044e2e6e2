"""What defines the partitions of an asset: a list, windows of time, dimensions of these, or the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions.keys import PartitionKey
from rivers_core.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime
    from typing import TypeAlias

    from rivers_core.partitions import lists, multi, time_partitions

    DynamicKeys: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]] | None

__all__ = ["PartitionsDefinition"]


class PartitionsDefinition(Value):
    """Which partition keys an asset has.

    Examples:
        >>> days = PartitionsDefinition.daily("2024-02-28", end="2024-03-02")
        >>> [str(key) for key in days.get_partition_keys()]
        ['2024-02-28', '2024-02-29', '2024-03-01']
    """

    __slots__ = ()

    if TYPE_CHECKING:
        Static: TypeAlias = lists.StaticPartitions
        Dynamic: TypeAlias = lists.DynamicPartitions
        TimeWindow: TypeAlias = time_partitions.TimeWindowPartitions
        Multi: TypeAlias = multi.MultiPartitions

    @staticmethod
    def static_(keys: Sequence[str]) -> lists.StaticPartitions:
        """A fixed list of keys, in this order.

        Raises:
            PartitionDefinitionError: No key, an empty or doubled one, or a reserved character (`|` or `,`).
        """
        return PartitionsDefinition.Static(keys)

    @staticmethod
    def daily(
        start: datetime | date | str, end: datetime | date | str | None = None, fmt: str | None = None
    ) -> time_partitions.TimeWindowPartitions:
        """One key per day, `2024-01-31` unless `fmt` says otherwise.

        Args:
            start: Where the first day starts; a datetime, a date, or text (ISO, or as `fmt` says).
            end: No day starts at or after it. None: now; the last key is that of the last complete day.
            fmt: The format of the keys, as for `datetime.strftime`.

        Raises:
            PartitionDefinitionError: A time with a zone or that cannot be read, no day between the two, or a
                `fmt` that cannot tell two days apart.
        """
        fmt = "%Y-%m-%d" if fmt is None else fmt
        return PartitionsDefinition.TimeWindow(start, None, 86_400, end, fmt)

    @staticmethod
    def hourly(
        start: datetime | date | str, end: datetime | date | str | None = None, fmt: str | None = None
    ) -> time_partitions.TimeWindowPartitions:
        """One key per hour, `2024-01-31T12:00` unless `fmt` says otherwise; arguments as for `daily`."""
        fmt = "%Y-%m-%dT%H:00" if fmt is None else fmt
        return PartitionsDefinition.TimeWindow(start, None, 3_600, end, fmt)

    @staticmethod
    def time_window(
        start: datetime | date | str,
        cron_schedule: str | None = None,
        interval_seconds: float | None = None,
        end: datetime | date | str | None = None,
        fmt: str | None = None,
    ) -> time_partitions.TimeWindowPartitions:
        """One key per window of time; exactly one of `cron_schedule` and `interval_seconds` says how long.

        Args:
            start: No window starts before it; a datetime, a date, or text (ISO, or as `fmt` says).
            cron_schedule: When windows start: five fields (minute, hour, day of month, month, day of week),
                or six with the second first. Each window ends where the next one starts.
            interval_seconds: How long each window is, counted from `start`.
            end: No window starts at or after it. None: now; the last key is that of the last complete window.
            fmt: The format of the keys, as for `datetime.strftime`. None: `%Y-%m-%d`, `%Y-%m-%dT%H:00`,
                `%Y-%m-%dT%H:%M` or finer, with as much of the time of day as the starts differ in.

        Raises:
            PartitionDefinitionError: Both or none of the two, a schedule or time that cannot be read, no
                window between start and end, or a `fmt` that cannot tell two windows apart.
        """
        return PartitionsDefinition.TimeWindow(start, cron_schedule, interval_seconds, end, fmt)

    @staticmethod
    def multi(dimensions: Mapping[str, PartitionsDefinition]) -> multi.MultiPartitions:
        """Every combination of the keys of named dimensions.

        Raises:
            PartitionDefinitionError: No dimension, a name with `|`, `,` or `=`, or a dimension that is itself
                multi-dimensional.
        """
        return PartitionsDefinition.Multi(dimensions)

    @staticmethod
    def dynamic(name: str) -> lists.DynamicPartitions:
        """Keys that are added to the storage as they come, under a name."""
        return PartitionsDefinition.Dynamic(name)

    @property
    def is_dynamic(self) -> bool:
        """Whether keys live in storage, so that `dynamic_keys` are needed to list them."""
        return False

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Every key, in order.

        Args:
            dynamic_keys: For dynamic partitions, the keys that the storage holds, or a dictionary of them by
                the definition's name.

        Raises:
            PartitionValidationError: The partitions are dynamic, and no `dynamic_keys` were given.
        """
        raise TypeError(f"{type(self).__qualname__} does not say which keys it has")

    def validate_partition_key(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> bool:
        """Whether a key (each of several) is one of this definition.

        Args:
            key: The key, or its display form.
            dynamic_keys: As for `get_partition_keys`; without them, dynamic partitions accept any key of
                their shape.
        """
        return self.fault_of(key, dynamic_keys) is None

    def check_partition_key(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> None:
        """Refuse a key that `validate_partition_key` would not accept.

        Raises:
            PartitionValidationError: It says what the keys are and which comes nearest.
        """
        fault = self.fault_of(key, dynamic_keys)
        if fault is not None:
            raise PartitionValidationError(fault)

    def fault_of(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> str | None:
        """Why a key (one of several) is not one of this definition, in a sentence; None if it is.

        Args:
            key: The key, or its display form.
            dynamic_keys: As for `validate_partition_key`.
        """
        try:
            return self._fault(self._read(key), dynamic_keys)
        except PartitionDefinitionError as error:
            return str(error)

    def parse_partition_key(self, text: str) -> PartitionKey:
        """The key whose display form this is: `a,b`, or `date=a|region=b,c` with dimensions.

        Raises:
            PartitionDefinitionError: It is no display form of a key.
        """
        return PartitionKey.single(text.split(","))

    def ordered(
        self, keys: Iterable[PartitionKey | str], dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """The given keys one by one in the definition's order, each once.

        Raises:
            PartitionValidationError: One of them is not of this definition.
        """
        single = list(dict.fromkeys(one for key in keys for one in self._read(key).split()))
        for key in single:
            self.check_partition_key(key, dynamic_keys)
        return sorted(single, key=self.sort_key(dynamic_keys))

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], Any]:
        """What to sort keys of this definition by, so that they come in its order.

        Args:
            dynamic_keys: As for `get_partition_keys`; without them, dynamic keys stay as they are.
        """
        raise TypeError(f"{type(self).__qualname__} does not say which keys it has")

    def window_of(self, key: PartitionKey | str) -> tuple[datetime, datetime] | None:
        """From when (inclusive) until when (exclusive) a key reaches; None if it is no window of time.

        With dimensions it is the window of the one that is of time, if exactly one is.

        Raises:
            PartitionValidationError: The key is not of this definition.
        """
        read = self._read(key)
        self.check_partition_key(read)
        return self._window(read)

    def _read(self, key: PartitionKey | str) -> PartitionKey:
        given: object = key
        if isinstance(given, PartitionKey):
            return given
        if isinstance(given, str):
            return self.parse_partition_key(given)
        raise PartitionDefinitionError(
            f"A partition key is a PartitionKey or text, got {given!r} ({type(given).__name__})."
        )

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        raise TypeError(f"{type(self).__qualname__} does not say which keys it has")

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        return None
