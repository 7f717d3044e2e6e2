"""Partitions definitions: which partition keys an asset has."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice, product
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from rivers.exceptions import DynamicKeysError
from rivers.partitions.time_windows import (
    CronGrid,
    IntervalGrid,
    default_format,
    identifies_windows,
    parse_moment,
    repeats_yearly,
)
from rivers_core._messages import did_you_mean, shown_keys
from rivers_core._values import Value, source
from rivers_core.exceptions import (
    NoPartitionKeysError,
    PartitionDefinitionError,
    PartitionTypeError,
    PartitionValidationError,
)
from rivers_core.partitions import Partitioning
from rivers_core.partitions.keys import (
    MultiPartitionKey,
    PartitionKey,
    SinglePartitionKey,
    check_dimension_name,
    check_key_value,
    check_unique,
    unique_dimensions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import TypeAlias

    from rivers.partitions.time_windows import Grid

    DynamicKeys: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]] | None
    Moment: TypeAlias = datetime | date | str


class PartitionsDefinition(Value, Partitioning):
    """The partition keys of an asset.

    Examples:
        >>> days = PartitionsDefinition.daily("2024-02-28", end="2024-03-02")
        >>> [str(key) for key in days.get_partition_keys()]
        ['2024-02-28', '2024-02-29', '2024-03-01']
    """

    __slots__ = ()

    if TYPE_CHECKING:
        Static: TypeAlias = "StaticPartitions"
        Dynamic: TypeAlias = "DynamicPartitions"
        TimeWindow: TypeAlias = "TimeWindowPartitions"
        Multi: TypeAlias = "MultiPartitions"

    @staticmethod
    def static_(keys: Sequence[str]) -> StaticPartitions:
        """Return a fixed list of keys, in this order.

        Raises:
            PartitionDefinitionError: There is no key, an empty or duplicate key, or a reserved character (`|`, `,`).
        """
        return StaticPartitions(keys)

    @staticmethod
    def daily(start: Moment, end: Moment | None = None, fmt: str | None = None) -> TimeWindowPartitions:
        """Return one key per day, formatted as `2024-01-31` by default.

        Args:
            start: Start of the first day; a datetime, a date, or text (ISO, or in the format `fmt`).
            end: No day starts at or after it. None: now; the last key is that of the last complete day.
            fmt: The format of the keys, as for `datetime.strftime`.

        Raises:
            PartitionDefinitionError: A time has a zone or cannot be parsed, there is no day between the two, or
                `fmt` gives two days the same key.
        """
        return TimeWindowPartitions(start, None, 86_400, end, "%Y-%m-%d" if fmt is None else fmt)

    @staticmethod
    def hourly(start: Moment, end: Moment | None = None, fmt: str | None = None) -> TimeWindowPartitions:
        """Return one key per hour, formatted as `2024-01-31T12:00` by default; arguments as for `daily`."""
        return TimeWindowPartitions(start, None, 3_600, end, "%Y-%m-%dT%H:00" if fmt is None else fmt)

    @staticmethod
    def weekly(start: Moment, end: Moment | None = None, fmt: str | None = None) -> TimeWindowPartitions:
        """Return one key per week, each from the weekday of `start` on; arguments as for `daily`."""
        return TimeWindowPartitions(start, None, 7 * 86_400, end, "%Y-%m-%d" if fmt is None else fmt)

    @staticmethod
    def monthly(start: Moment, end: Moment | None = None, fmt: str | None = None) -> TimeWindowPartitions:
        """Return one key per calendar month, formatted as `2024-01` by default; arguments as for `daily`.

        The first month is that of `start`, which may be written as `2024-01`; the start must be its first day.
        """
        form = "%Y-%m" if fmt is None else fmt
        first = parse_moment(start, "start", form)
        if first != first.replace(day=1, hour=0, minute=0, second=0, microsecond=0):
            raise PartitionDefinitionError(
                f"The start of monthly partitions must be the first day of a month, got {first.isoformat()}. "
                f"Use {first:%Y-%m}-01."
            )
        return TimeWindowPartitions(first, "0 0 1 * *", None, end, form)

    @staticmethod
    def time_window(
        start: Moment,
        cron_schedule: str | None = None,
        interval_seconds: float | None = None,
        end: Moment | None = None,
        fmt: str | None = None,
    ) -> TimeWindowPartitions:
        """Return one key per time window; exactly one of `cron_schedule` and `interval_seconds` is required.

        Args:
            start: No window starts before it; a datetime, a date, or text (ISO, or in the format `fmt`).
            cron_schedule: When windows start: five fields (minute, hour, day of month, month, day of week),
                or six with the second first. Each window ends where the next one starts.
            interval_seconds: Length of each window, counted from `start`.
            end: No window starts at or after it. None: now; the last key is that of the last complete window.
            fmt: The format of the keys, as for `datetime.strftime`. None: `%Y-%m-%d`, `%Y-%m-%dT%H:00`,
                `%Y-%m-%dT%H:%M` or finer, the shortest that distinguishes the windows.

        Raises:
            PartitionDefinitionError: Both or neither of the two are given, a schedule or time cannot be parsed, there
                is no window between start and end, or `fmt` gives two windows the same key.
        """
        return TimeWindowPartitions(start, cron_schedule, interval_seconds, end, fmt)

    @staticmethod
    def multi(dimensions: Mapping[str, PartitionsDefinition]) -> MultiPartitions:
        """Return all combinations of the keys of named dimensions.

        Raises:
            PartitionDefinitionError: There is no dimension, a name contains `|`, `,` or `=`, or a dimension is
                multi-dimensional.
        """
        return MultiPartitions(dimensions)

    @staticmethod
    def dynamic(name: str) -> DynamicPartitions:
        """Return a definition whose keys are added to the event storage at run time, under a name."""
        return DynamicPartitions(name)

    @property
    def is_dynamic(self) -> bool:
        """True if keys live in the event storage, so that listing them needs `dynamic_keys`."""
        return False

    @abstractmethod
    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Return all keys, in order.

        Args:
            dynamic_keys: For dynamic partitions, the keys in the event storage, or a dictionary of them by the name
                of the definition.

        Raises:
            DynamicKeysError: The partitions are dynamic, and `dynamic_keys` is missing.
        """

    def validate_partition_key(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> bool:
        """Return True if a key (each of several) belongs to this definition.

        Args:
            key: The key, or its display form.
            dynamic_keys: As for `get_partition_keys`; without them, dynamic partitions accept any key of
                their shape.
        """
        return self.fault_of(key, dynamic_keys) is None

    def check_partition_key(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> None:
        """Reject a key that `validate_partition_key` would not accept.

        Raises:
            PartitionValidationError: The key does not belong to this definition; the message suggests the nearest key.
        """
        fault = self.fault_of(key, dynamic_keys)
        if fault is not None:
            raise PartitionValidationError(fault)

    def fault_of(self, key: PartitionKey | str, dynamic_keys: DynamicKeys = None) -> str | None:
        """Return why a key (one of several) does not belong to this definition; None if it does.

        Args:
            key: The key, or its display form.
            dynamic_keys: As for `validate_partition_key`.
        """
        try:
            return self._fault(self._parsed(key), dynamic_keys)
        except PartitionDefinitionError as error:
            return str(error)

    def parse_partition_key(self, text: str) -> PartitionKey:
        """Return the key with this display form: `a,b`, or `date=a|region=b,c` with dimensions.

        Raises:
            PartitionDefinitionError: `text` is not the display form of a key.
        """
        return SinglePartitionKey(text.split(","))

    def ordered(
        self, keys: Iterable[PartitionKey | str], dynamic_keys: DynamicKeys = None
    ) -> list[PartitionKey]:
        """Return the given keys, split and without duplicates, in the order of the definition.

        Raises:
            PartitionValidationError: A key does not belong to this definition.
        """
        single = list(dict.fromkeys(part for key in keys for part in self._parsed(key).split()))
        known = self._indexed(dynamic_keys)
        for key in single:
            self.check_partition_key(key, known)
        return sorted(single, key=self.sort_key(known))

    def _indexed(self, dynamic_keys: DynamicKeys) -> DynamicKeys:
        """Return dynamic keys in a form that many keys can be looked up in."""
        if not isinstance(dynamic_keys, Mapping):
            return dynamic_keys
        return {name: _Keys(keys) for name, keys in dynamic_keys.items()}

    @abstractmethod
    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], Any]:
        """Return a key function that sorts keys in the order of the definition.

        Args:
            dynamic_keys: As for `get_partition_keys`; without them, dynamic keys keep their order.
        """

    def window_of(self, key: PartitionKey | str) -> tuple[datetime, datetime] | None:
        """Return the time window of a key; see `Partitioning.window_of`."""
        parsed = self._parsed(key)
        self.check_partition_key(parsed)
        return self._window(parsed)

    def _parsed(self, key: PartitionKey | str) -> PartitionKey:
        given: object = key
        if isinstance(given, PartitionKey):
            return given
        if isinstance(given, str):
            return self.parse_partition_key(given)
        raise PartitionTypeError(
            f"A partition key must be a PartitionKey or text, got {given!r} ({type(given).__name__})."
        )

    @abstractmethod
    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        """Return why a key does not belong here; None if it does."""

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        return None


class _FlatPartitions(PartitionsDefinition):
    """Base class of definitions without dimensions."""

    __slots__ = ()

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        if isinstance(key, SinglePartitionKey):
            return self._fault_of_values(key.values, dynamic_keys)
        return f"{key!r} has dimensions, and these partitions have none. Use PartitionKey.single(...)."

    @abstractmethod
    def _fault_of_values(self, values: tuple[str, ...], dynamic_keys: DynamicKeys) -> str | None:
        """Return why one of the values is not a key of this definition; None if all are."""


class StaticPartitions(_FlatPartitions, variant="Static"):
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
            raise PartitionTypeError(f"Static partitions must be a list of keys, got {given!r}.")
        checked = tuple([check_key_value(key) for key in given])
        if not checked:
            raise NoPartitionKeysError("Static partitions have no keys; list at least one.")
        check_unique(checked, "Static partitions")
        order = {key: index for index, key in enumerate(checked)}
        self._set(keys=checked, _order=order, _listed=tuple([SinglePartitionKey(key) for key in checked]))

    @property
    def listed_keys(self) -> tuple[str, ...]:
        """All keys, in order."""
        return self.keys

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Return all keys, in order."""
        return list(self._listed)

    def _fault_of_values(self, values: tuple[str, ...], dynamic_keys: DynamicKeys) -> str | None:
        return _unknown_keys(values, self._order)

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], int]:
        """Return a key function that sorts keys in the order of the definition."""
        return lambda key: self._order[str(key)]

    def __repr__(self) -> str:
        return f"PartitionsDefinition.static_({source(list(self.keys))})"


class DynamicPartitions(_FlatPartitions, variant="Dynamic"):
    """Keys that are added to the event storage at run time."""

    __slots__ = ("name",)
    _fields = ("name",)
    name: str
    """Name of the key list in the event storage."""

    def __init__(self, name: str) -> None:
        check_dimension_name(name)
        self._set(name=name)

    @property
    def is_dynamic(self) -> bool:
        """True: keys live in the event storage."""
        return True

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Return all keys, in order."""
        keys = self._select(dynamic_keys)
        if keys is None:
            raise DynamicKeysError(
                f"The keys of the dynamic partitions {self.name!r} live in the storage. Pass the result of "
                f"storage.get_dynamic_partitions({self.name!r}) as dynamic_keys."
            )
        return [SinglePartitionKey(key) for key in keys]

    def _indexed(self, dynamic_keys: DynamicKeys) -> DynamicKeys:
        keys = self._select(dynamic_keys)
        return None if keys is None else {self.name: _Keys(keys)}

    def _select(self, dynamic_keys: DynamicKeys) -> Sequence[str] | None:
        keys = dynamic_keys.get(self.name) if isinstance(dynamic_keys, Mapping) else dynamic_keys
        if keys is None or isinstance(keys, _Keys):
            return keys
        return [str(key) for key in keys]

    def _fault_of_values(self, values: tuple[str, ...], dynamic_keys: DynamicKeys) -> str | None:
        keys = self._select(dynamic_keys)
        fault = None if keys is None else _unknown_keys(values, keys)
        return fault and f"{fault} Add it with storage.add_dynamic_partitions({self.name!r}, [...])."

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], int]:
        """Return a key function that sorts keys in the order of the definition."""
        order = {key: index for index, key in enumerate(self._select(dynamic_keys) or ())}
        return lambda key: order.get(str(key), 0)

    def __repr__(self) -> str:
        return f"PartitionsDefinition.dynamic({source(self.name)})"


class MultiPartitions(PartitionsDefinition, variant="Multi"):
    """All combinations of the keys of named dimensions; the last dimension (by name) changes fastest."""

    __slots__ = ("_listed", "_sorted")
    _fields = ("dimensions",)
    _sorted: tuple[tuple[str, PartitionsDefinition], ...]
    _listed: tuple[list[list[PartitionKey]], list[PartitionKey]]
    """Keys per dimension, and the combinations that were built from them."""

    def __init__(self, dimensions: Mapping[str, PartitionsDefinition]) -> None:
        given: object = dimensions
        if not isinstance(given, Mapping) or not given:
            error = NoPartitionKeysError if isinstance(given, Mapping) else PartitionTypeError
            raise error(
                f"Multi-dimensional partitions must be a dictionary of at least one dimension, got {given!r}."
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
        """True if a dimension is dynamic."""
        return any(definition.is_dynamic for _, definition in self._sorted)

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Return all keys, in order."""
        per_dimension = [definition.get_partition_keys(dynamic_keys) for _, definition in self._sorted]
        if self._listed[0] != per_dimension:
            names = [name for name, _ in self._sorted]
            self._set(_listed=(per_dimension, combine_keys(names, per_dimension)))
        return list(self._listed[1])

    def parse_partition_key(self, text: str) -> PartitionKey:
        """Return the key with this display form: `date=a|region=b,c`."""
        parts = [part.partition("=") for part in text.split("|")]
        if not all(separator for _, separator, _ in parts):
            shape = "|".join(f"{name}=..." for name, _ in self._sorted)
            raise PartitionDefinitionError(f"Not a key of these partitions: {text!r}; write it as {shape}.")
        return MultiPartitionKey(unique_dimensions((name, values.split(",")) for name, _, values in parts))

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        windows = [definition.window_of(part) for definition, part in self._parts(key)]
        known = [window for window in windows if window is not None]
        return known[0] if len(known) == 1 else None

    def _parts(self, key: PartitionKey) -> list[tuple[PartitionsDefinition, PartitionKey]]:
        """Return definition and key of each dimension."""
        dimensions = key.dimensions if isinstance(key, MultiPartitionKey) else ()
        return [
            (definition, SinglePartitionKey(values))
            for (_, definition), (_, values) in zip(self._sorted, dimensions, strict=True)
        ]

    def _fault(self, key: PartitionKey, dynamic_keys: DynamicKeys) -> str | None:
        names = list(self.dimensions)
        if not isinstance(key, MultiPartitionKey):
            return f"{key!r} has no dimensions. Use PartitionKey.multi with the dimensions {names}."
        if list(key.keys) != names:
            return f"{key!r} has the dimensions {list(key.keys)}; these partitions have {names}."
        for name, (definition, part) in zip(names, self._parts(key), strict=True):
            fault = definition.fault_of(part, dynamic_keys)
            if fault is not None:
                return f"In dimension {name!r}: {fault}"
        return None

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], tuple[Any, ...]]:
        """Return a key function that sorts keys in the order of the definition."""
        sort_keys = [definition.sort_key(dynamic_keys) for _, definition in self._sorted]
        return lambda key: tuple(
            sort_key(part) for sort_key, (_, part) in zip(sort_keys, self._parts(key), strict=True)
        )

    def __repr__(self) -> str:
        return f"PartitionsDefinition.multi({source(self.dimensions)})"

    def __hash__(self) -> int:
        return hash(self._sorted)


# An open-ended grid is checked this far: a format with a year that distinguishes these windows distinguishes all.
_HORIZON: Final = timedelta(days=400)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_WINDOWS_CHECKED: Final = 100_000


class _Listing:
    """Windows of a definition, listed once and cached until another window is complete."""

    __slots__ = ("keys", "start_by_value", "starts", "valid_until")

    def __init__(self, starts: Iterable[datetime], fmt: str, valid_until: datetime = datetime.max) -> None:
        self.starts = list(starts)
        self.keys: list[PartitionKey] = []
        self.start_by_value: dict[str, datetime] = {}
        self.valid_until = valid_until
        for start in self.starts:
            value = start.strftime(fmt)
            if value in self.start_by_value:
                raise PartitionDefinitionError(
                    f"The fmt {fmt!r} cannot tell windows apart: the windows from {self.start_by_value[value]} "
                    f"and from {start} would both have the key {value!r}. Use a finer fmt, such as "
                    "'%Y-%m-%dT%H:%M:%S'."
                )
            self.start_by_value[value] = start
            self.keys.append(SinglePartitionKey(value))


_EMPTY_LISTING: Final = _Listing((), "", datetime.min)


class TimeWindowPartitions(_FlatPartitions, variant="TimeWindow"):
    """One key per time window; `PartitionsDefinition.time_window` explains the arguments.

    Without an end the keys grow with the clock: each call lists the windows that are complete by then.
    """

    __slots__ = (
        "_is_parsed",
        "_listed",
        "cron_schedule",
        "end",
        "fmt",
        "grid",
        "interval_seconds",
        "start",
    )
    _fields = ("start", "cron_schedule", "interval_seconds", "end", "fmt")
    start: datetime
    """No window starts before it."""
    cron_schedule: str | None
    """Start times of the windows; None if they have a fixed length."""
    interval_seconds: float | None
    """Length of each window; None if a schedule defines them."""
    end: datetime | None
    """No window starts at or after it; None: the keys end with the last complete window."""
    fmt: str
    """The format of the keys."""
    grid: Grid
    """Start times of the windows, for arithmetic; it does not know the end."""
    _is_parsed: bool
    """True if a key is parsed with `fmt`; False if it is looked up in the listing."""
    _listed: _Listing

    def __init__(
        self,
        start: Moment,
        cron_schedule: str | None = None,
        interval_seconds: float | None = None,
        end: Moment | None = None,
        fmt: str | None = None,
    ) -> None:
        given: object = fmt
        if given is not None and not isinstance(given, str):
            raise PartitionTypeError(
                f"The fmt of time partitions must be text such as '%Y-%m-%d', got {given!r}."
            )
        first = parse_moment(start, "start", fmt)
        last = None if end is None else parse_moment(end, "end", fmt)
        grid = _grid(first, cron_schedule, interval_seconds)
        self._set(start=first, cron_schedule=cron_schedule, interval_seconds=interval_seconds, end=last)
        if fmt is not None and "%." in fmt:  # a fraction of a second in the formats of chrono
            raise PartitionDefinitionError(f"The fmt {fmt!r} contains '%.'. Use '%f' for microseconds.")
        self._set(fmt=default_format(grid) if fmt is None else fmt, grid=grid)
        self._set(_is_parsed=False, _listed=_EMPTY_LISTING)
        self._check()

    def _check(self) -> None:
        first = self.grid.first(self.start)
        if first is None or (self.end is not None and first >= self.end):
            until = f" and before {self.end}" if self.end is not None else ""
            raise PartitionDefinitionError(
                f"Time partitions have no keys: no window starts at or after {self.start}{until}."
            )
        key = check_key_value(first.strftime(self.fmt))
        if identifies_windows(self.fmt, self.grid):
            self._set(_is_parsed=_parse_start(key, self.fmt, self.grid) == first)
        elif self.end is not None:
            self._listing()
        elif repeats_yearly(self.fmt):
            raise PartitionDefinitionError(
                f"The fmt {self.fmt!r} has no year, so its keys would repeat every year. Add %Y, or set an end."
            )
        else:
            windows = self.grid.starts(self.start + _HORIZON)
            _Listing(islice(windows, _MOST_WINDOWS_CHECKED), self.fmt)

    def get_partition_keys(self, dynamic_keys: DynamicKeys = None) -> list[PartitionKey]:
        """Return all keys, in order."""
        return list(self._listing().keys)

    def _window(self, key: PartitionKey) -> tuple[datetime, datetime] | None:
        values = key.values if isinstance(key, SinglePartitionKey) else ()
        starts = [start for start in map(self._start_of, values) if start is not None]
        return min(starts), self._after(max(starts))

    def _fault_of_values(self, values: tuple[str, ...], dynamic_keys: DynamicKeys) -> str | None:
        for value in values:
            if self._start_of(value) is None:
                return self._unknown(value)
        return None

    def _unknown(self, value: str) -> str:
        first, last = self.grid.first(self.start), self._last()
        if first is None or last is None:
            return f"There is no partition key {value!r}: no window since {self.start} is complete yet."
        until = "" if self.end is not None else " (the last complete window)"
        return (
            f"There is no partition key {value!r}. The keys are {first.strftime(self.fmt)!r} to "
            f"{last.strftime(self.fmt)!r}{until}, in the format {self.fmt!r}."
        )

    def _last(self) -> datetime | None:
        """Return the start of the last window; without listing the windows, of which there may be millions."""
        if self.end is not None:
            return self.grid.last(self.end)
        current = self.grid.last(datetime.now() + _MICROSECOND)
        return None if current is None else self.grid.last(current)

    def sort_key(self, dynamic_keys: DynamicKeys = None) -> Callable[[PartitionKey], datetime]:
        """Return a key function that sorts keys in the order of the definition."""
        return lambda key: self._start_of(str(key)) or self.start

    def _start_of(self, value: str) -> datetime | None:
        if not self._is_parsed:
            return self._listing().start_by_value.get(value)
        start = _parse_start(value, self.fmt, self.grid)
        if start is None or (self.end is not None and start >= self.end):
            return None
        if self.end is None and self._after(start) > datetime.now():
            return None
        return start

    def next_key_at(self) -> datetime | None:
        """Return when the keys grow by the next one, in local time; None if they have an end."""
        until = self._listing().valid_until
        return None if self.end is not None or until == datetime.max else until

    def _after(self, start: datetime) -> datetime:
        return self.grid.first(start + _MICROSECOND) or datetime.max

    def _listing(self) -> _Listing:
        if self.end is not None:
            if not self._listed.starts:
                self._set(_listed=_Listing(self.grid.starts(self.end), self.fmt))
            return self._listed
        now = datetime.now()
        if now >= self._listed.valid_until:
            starts = [*self.grid.starts(now)]
            after = self._after(starts[-1]) if starts else self.grid.first(self.start) or datetime.max
            complete = starts if after <= now else starts[:-1]
            self._set(_listed=_Listing(complete, self.fmt, after))
        return self._listed

    def __repr__(self) -> str:
        options = {"cron_schedule": self.cron_schedule, "interval_seconds": self.interval_seconds}
        given = {name: value for name, value in options.items() if value is not None}
        end = {} if self.end is None else {"end": self.end.isoformat()}
        named = [f"{name}={source(value)}" for name, value in (given | end | {"fmt": self.fmt}).items()]
        return f"PartitionsDefinition.time_window({', '.join([source(self.start.isoformat()), *named])})"


# Cached because each step that receives the key parses it again.
@lru_cache(maxsize=16_384)
def _parse_start(value: str, fmt: str, grid: Grid) -> datetime | None:
    """Return the start of the window with this key; None if there is none."""
    try:
        moment = datetime.strptime(value, fmt)
    except (ValueError, re.error):
        return None
    start = grid.first(moment)
    return start if start is not None and start.strftime(fmt) == value else None


def _grid(start: datetime, cron_schedule: str | None, interval_seconds: float | None) -> Grid:
    if (cron_schedule is None) == (interval_seconds is None):
        given = "none was" if cron_schedule is None else "both were"
        raise PartitionDefinitionError(
            f"Time partitions need exactly one of cron_schedule and interval_seconds; {given} given."
        )
    if cron_schedule is not None:
        if not isinstance(cron_schedule, str):
            raise PartitionTypeError(
                f"The cron_schedule must be text such as '0 0 * * *', got {cron_schedule!r}."
            )
        if start.microsecond:
            raise PartitionDefinitionError(
                f"The start of a cron_schedule must not have a fraction of a second, got {start.isoformat()}: its "
                f"first window would begin one tick late. Use {start.replace(microsecond=0).isoformat()}."
            )
        return CronGrid(start, cron_schedule)
    seconds: object = interval_seconds
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not isinstance(seconds, (int, float)) or not is_number or not isfinite(seconds):
        error = PartitionDefinitionError if is_number else PartitionTypeError
        raise error(f"interval_seconds must be a number of seconds, got {interval_seconds!r}.")
    if not 0.000001 <= seconds <= timedelta.max.total_seconds():
        raise PartitionDefinitionError(
            f"interval_seconds must be above 0 and below the range of the calendar, got {seconds!r}."
        )
    return IntervalGrid(start, timedelta(seconds=seconds))


def combine_keys(names: Sequence[str], keys: Sequence[Sequence[PartitionKey]]) -> list[PartitionKey]:
    """Return all combinations of the keys of each dimension; the last dimension changes fastest."""
    combinations = product(*([str(key) for key in dimension] for dimension in keys))
    return [MultiPartitionKey(dict(zip(names, values, strict=True))) for values in combinations]


class _Keys(list[str]):
    """Keys in order; a lookup does not search all of them."""

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__(map(str, keys))
        self._known = frozenset(self)

    def __contains__(self, key: object) -> bool:
        return key in self._known


def _unknown_keys(values: Iterable[str], known: Collection[str]) -> str | None:
    """Return a sentence about the values that are not known keys; None if all are."""
    unknown = [value for value in values if value not in known]
    if not unknown:
        return None
    keys = shown_keys([repr(key) for key in unknown])
    subject = f"is no partition key {keys}" if len(unknown) == 1 else f"are no partition keys {keys}"
    shown = shown_keys([repr(key) for key in known])
    return f"There {subject}.{did_you_mean(unknown[0], known)} {f'There are: {shown}.' if shown else 'None exists.'}"


def _check_dimension(name: object, definition: object) -> None:
    check_dimension_name(name)
    if isinstance(definition, MultiPartitions):
        raise PartitionDefinitionError(
            f"The dimension {name!r} is multi-dimensional itself; add its dimensions to the others."
        )
    if not isinstance(definition, PartitionsDefinition):
        raise PartitionTypeError(
            f"The dimension {name!r} must be a PartitionsDefinition, got {definition!r} "
            f"({type(definition).__name__})."
        )
