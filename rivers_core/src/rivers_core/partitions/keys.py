"""Partition keys: which part of an asset is meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.values import Value, source, variant_of

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["PartitionKey"]

T = TypeVar("T")

_RESERVED_IN_VALUES: Final = "|,"
_RESERVED_IN_NAMES: Final = "|,="
_HALF_A_CHARACTER: Final = (
    "contains half of a surrogate pair, which is no character and cannot be stored; "
    "what made it was decoded wrongly"
)


class PartitionKey(Value):
    """One key of a partitioned asset, or several at once.

    `PartitionKey("2024-01-01")` and `PartitionKey({"date": "2024-01-01", "region": "us"})` choose the
    variant by their argument; `single` and `multi` name it. A list of values stands for several keys.

    Between keys comparison is structural. A key also equals its display form, so a dictionary whose keys
    are partition keys can be asked with text: `values["2024-01-01"]`.

    Examples:
        >>> PartitionKey.multi({"region": "us", "date": "2024-01-01"})
        PartitionKey({"date": "2024-01-01", "region": "us"})
    """

    __slots__ = ("_display",)
    _display: str

    if TYPE_CHECKING:
        Single: TypeAlias = "SinglePartitionKey"
        Multi: TypeAlias = "MultiPartitionKey"

    def __new__(cls, key: str | Sequence[str] | Mapping[str, str | Sequence[str]], /) -> PartitionKey:
        """Build the variant that fits: a mapping gives `.Multi`, anything else `.Single`."""
        if isinstance(key, Mapping):
            return MultiPartitionKey(key)
        return SinglePartitionKey(key)

    @staticmethod
    def single(key: str | Sequence[str]) -> SinglePartitionKey:
        """A key of an asset with one dimension of partitions.

        Args:
            key: One key, or a list of several.

        Raises:
            PartitionDefinitionError: No key, an empty or doubled one, or a reserved character (`|` or `,`).
        """
        return SinglePartitionKey(key)

    @staticmethod
    def multi(keys: Mapping[str, str | Sequence[str]]) -> MultiPartitionKey:
        """A key of an asset with named dimensions of partitions.

        Args:
            keys: The key, or a list of several, for each dimension; several stand for all combinations.

        Raises:
            PartitionDefinitionError: No dimension, no key, an empty or doubled one, or a reserved character
                (`|` or `,`; in names of dimensions also `=`).
        """
        return MultiPartitionKey(keys)

    @property
    def is_single(self) -> bool:
        """Whether this stands for exactly one key."""
        return "," not in self._display

    def split(self) -> list[PartitionKey]:
        """One partition key for each key that this one stands for; all combinations for `.Multi`."""
        raise TypeError("every partition key is a PartitionKey.Single or a PartitionKey.Multi")

    def to_json(self) -> str:
        """This key as JSON: text, a list of texts, or an object of them."""
        return json.dumps(self._plain(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> PartitionKey:
        """The key that `to_json` wrote.

        Raises:
            PartitionDefinitionError: The text is not JSON or not a partition key.
        """
        try:
            plain = json.loads(text, object_pairs_hook=each_once)
        except PartitionDefinitionError:
            raise
        except ValueError as error:
            raise PartitionDefinitionError(f"Not a partition key in JSON: {text!r} ({error}).") from error
        return PartitionKey(plain)

    def _plain(self) -> Any:
        raise TypeError("every partition key is a PartitionKey.Single or a PartitionKey.Multi")

    def __str__(self) -> str:
        return self._display

    def __repr__(self) -> str:
        return f"PartitionKey({source(self._plain())})"

    def __eq__(self, other: object) -> bool:
        if type(other) is str:
            return self._display == other
        if type(other) is not type(self):
            return NotImplemented
        return self._display == other._display

    def __hash__(self) -> int:
        return hash(self._display)


@variant_of(PartitionKey, "Single")
class SinglePartitionKey(PartitionKey):
    """A key (or several) of an asset with one dimension of partitions."""

    __slots__ = ("values",)
    _fields = ("values",)
    values: tuple[str, ...]
    """The keys it stands for."""

    def __new__(cls, key: str | Sequence[str], /) -> SinglePartitionKey:
        """Check and keep the keys."""
        values = (key,) if type(key) is str and _is_plain(key) else _checked(key)
        self = object.__new__(cls)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_display", values[0] if len(values) == 1 else ",".join(values))
        return self

    @property
    def key(self) -> list[str]:
        """The keys it stands for."""
        return list(self.values)

    def split(self) -> list[PartitionKey]:
        """One partition key for each value."""
        if len(self.values) == 1:
            return [self]
        return [SinglePartitionKey(value) for value in self.values]

    def _plain(self) -> Any:
        return _plain(self.values)


@variant_of(PartitionKey, "Multi")
class MultiPartitionKey(PartitionKey):
    """A key (or all combinations of several) of an asset with named dimensions of partitions."""

    __slots__ = ("dimensions",)
    _fields = ("dimensions",)
    dimensions: tuple[tuple[str, tuple[str, ...]], ...]
    """The keys of each dimension, sorted by its name."""

    def __new__(cls, keys: Mapping[str, str | Sequence[str]], /) -> MultiPartitionKey:
        """Check and keep the keys of each dimension."""
        given: object = keys
        if not isinstance(given, Mapping) or not given:
            raise PartitionDefinitionError(
                f"A multi-dimensional partition key is a dictionary of at least one dimension, got {given!r}."
            )
        for name in keys:
            check_dimension_name(name)
        dimensions = tuple([(name, _checked(keys[name], name)) for name in sorted(keys)])
        self = object.__new__(cls)
        display = "|".join([f"{name}={','.join(values)}" for name, values in dimensions])
        self._set(dimensions=dimensions, _display=display)
        return self

    @property
    def keys(self) -> dict[str, list[str]]:
        """The keys of each dimension, sorted by its name."""
        return {name: list(values) for name, values in self.dimensions}

    def split(self) -> list[PartitionKey]:
        """One partition key for each combination; the last dimension changes fastest."""
        if self.is_single:
            return [self]
        names = [name for name, _ in self.dimensions]
        combinations = product(*(values for _, values in self.dimensions))
        return [MultiPartitionKey(dict(zip(names, values, strict=True))) for values in combinations]

    def _plain(self) -> Any:
        return {name: _plain(values) for name, values in self.dimensions}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.dimensions),)


def check_dimension_name(name: object) -> None:
    """Refuse a dimension's name that the display form could not hold.

    Raises:
        PartitionDefinitionError: It is not text, empty, or has one of `|`, `,` and `=` or half a character.
    """
    if not isinstance(name, str) or not name:
        raise PartitionDefinitionError(f"A partition dimension is named by non-empty text, got {name!r}.")
    if not _is_encodable(name):
        raise PartitionDefinitionError(f"The partition dimension {name!r} {_HALF_A_CHARACTER}.")
    for character in _RESERVED_IN_NAMES:
        if character in name:
            raise PartitionDefinitionError(
                f"The partition dimension {name!r} contains {character!r}, which is reserved "
                "('|', ',' and '=' are); choose another name."
            )


def check_key_value(value: object, dimension: str | None = None) -> str:
    """Give a single key's text back, or refuse it.

    Args:
        value: What is to be a key.
        dimension: The dimension it belongs to, for the message.

    Raises:
        PartitionDefinitionError: It is not text, empty, or has one of `|` and `,` or half a character.
    """
    where = f" of dimension {dimension!r}" if dimension is not None else ""
    if not isinstance(value, str):
        meant = f"; write {str(value)!r}" if isinstance(value, (int, date)) else ""
        raise PartitionDefinitionError(
            f"A partition key{where} is text, got {value!r} ({type(value).__name__}){meant}."
        )
    if not value:
        raise PartitionDefinitionError(f"A partition key{where} is empty; give it at least one character.")
    if not _is_encodable(value):
        raise PartitionDefinitionError(f"The partition key {value!r}{where} {_HALF_A_CHARACTER}.")
    for character in _RESERVED_IN_VALUES:
        if character in value:
            raise PartitionDefinitionError(
                f"The partition key {value!r}{where} contains {character!r}, which is reserved "
                "('|' and ',' are); replace it, and pass several keys as a list."
            )
    return str(value)


def each_once(dimensions: Iterable[tuple[str, T]]) -> dict[str, T]:
    """What a text says of each dimension; one that it names twice would lose what came first.

    Args:
        dimensions: Name and keys, as they were read.

    Raises:
        PartitionDefinitionError: A dimension comes twice.
    """
    found: dict[str, T] = {}
    for name, keys in dimensions:
        if name in found:
            raise PartitionDefinitionError(
                f"The dimension {name!r} is given twice, as {found[name]!r} and as {keys!r}; name it once, "
                f"with all its keys: {name}=a,b."
            )
        found[name] = keys
    return found


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(value: str) -> bool:
    return bool(value) and "," not in value and "|" not in value and _is_encodable(value)


def _checked(keys: object, dimension: str | None = None) -> tuple[str, ...]:
    if isinstance(keys, Sequence) and not isinstance(keys, (str, bytes)):
        values = tuple([check_key_value(key, dimension) for key in keys])
        if not values:
            where = f" for dimension {dimension!r}" if dimension is not None else ""
            raise PartitionDefinitionError(f"No partition key was given{where}; name at least one.")
        if len(set(values)) != len(values):
            twice = sorted({value for value in values if values.count(value) > 1})
            raise PartitionDefinitionError(f"Partition keys are given twice: {twice}; name each key once.")
        return values
    return (check_key_value(keys, dimension),)


def _plain(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
