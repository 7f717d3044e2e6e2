"""Partition keys: identify one partition of an asset, or several."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from rivers_core._values import Value, plain_text, source
from rivers_core.exceptions import NoPartitionKeysError, PartitionDefinitionError, PartitionTypeError

if TYPE_CHECKING:
    from typing import TypeAlias


T = TypeVar("T")

_RESERVED_IN_VALUES: Final = "|,"
_RESERVED_IN_NAMES: Final = "|,="
_LONE_SURROGATE: Final = (
    "contains a lone surrogate, which cannot be stored as UTF-8; check how the text was decoded"
)


class PartitionKey(Value):
    """One key of a partitioned asset, or several at once.

    `PartitionKey("2024-01-01")` is a `PartitionKey.Single`; `PartitionKey({"date": "2024-01-01", "region": "us"})` is
    a `PartitionKey.Multi`. A list of values identifies several keys.

    Keys are compared by structure. A key also equals its display form, so that a dictionary of partition keys accepts
    text: `values["2024-01-01"]`.

    Examples:
        >>> PartitionKey.multi({"region": "us", "date": "2024-01-01"})
        PartitionKey({"date": "2024-01-01", "region": "us"})
    """

    __slots__ = ("_display",)
    _display: str
    _json: ClassVar[tuple[str, str]]
    """Tag in JSON, and the attribute with the data."""

    if TYPE_CHECKING:
        Single: TypeAlias = "SinglePartitionKey"
        Multi: TypeAlias = "MultiPartitionKey"

    def __new__(cls, key: str | Sequence[str] | Mapping[str, str | Sequence[str]], /) -> PartitionKey:
        """Return a `.Multi` for a mapping, a `.Single` for anything else."""
        if isinstance(key, Mapping):
            return MultiPartitionKey(key)
        return SinglePartitionKey(key)

    @staticmethod
    def single(key: str | Sequence[str]) -> SinglePartitionKey:
        """Return a key of an asset with one dimension of partitions.

        Args:
            key: One key, or a list of several.

        Raises:
            PartitionDefinitionError: There is no key, an empty or duplicate key, or a reserved character (`|`, `,`).
        """
        return SinglePartitionKey(key)

    @staticmethod
    def multi(keys: Mapping[str, str | Sequence[str]]) -> MultiPartitionKey:
        """Return a key of an asset with named dimensions of partitions.

        Args:
            keys: One key, or a list of several, per dimension; several identify all combinations.

        Raises:
            PartitionDefinitionError: There is no dimension, no key, an empty or duplicate key, or a reserved character
                (`|`, `,`; in names of dimensions also `=`).
        """
        return MultiPartitionKey(keys)

    @property
    def is_single(self) -> bool:
        """True if this identifies exactly one key."""
        return "," not in self._display

    def split(self) -> list[PartitionKey]:
        """Return one partition key per identified key; all combinations for `.Multi`."""
        return [self]

    def to_json(self) -> str:
        """Return this key as JSON: `{"single":["a"]}` or `{"multi":{"region":["us"]}}`."""
        tag, attribute = self._json
        return json.dumps({tag: getattr(self, attribute)}, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> PartitionKey:
        """Read a key from the result of `to_json`, or from its plain form: text, a list of texts, or an object of them.

        Raises:
            PartitionDefinitionError: `text` is not valid JSON, or not a partition key.
        """
        try:
            plain = json.loads(text, object_pairs_hook=unique_dimensions)
        except PartitionDefinitionError:
            raise
        except (ValueError, RecursionError) as error:
            raise PartitionDefinitionError(f"Not a partition key in JSON: {text!r} ({error}).") from error
        match plain:
            case {"single": list(keys), **rest} if not rest:
                return SinglePartitionKey(keys)
            case {"multi": dict(dimensions), **rest} if not rest:
                return MultiPartitionKey(dimensions)
        return PartitionKey(plain)

    def __str__(self) -> str:
        return self._display

    def __eq__(self, other: object) -> bool:
        if type(other) is str:
            return self._display == other
        if type(other) is not type(self):
            return NotImplemented
        return self._display == other._display

    def __hash__(self) -> int:
        return hash(self._display)


class SinglePartitionKey(PartitionKey, variant="Single"):
    """A key (or several) of an asset with one dimension of partitions."""

    __slots__ = ("values",)
    _fields = ("values",)
    _json = ("single", "key")
    values: tuple[str, ...]
    """The identified keys."""

    def __new__(cls, key: str | Sequence[str], /) -> SinglePartitionKey:
        """Validate the keys."""
        values = _checked(key)
        self = object.__new__(cls)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_display", values[0] if len(values) == 1 else ",".join(values))
        return self

    @property
    def key(self) -> list[str]:
        """The identified keys."""
        return list(self.values)

    def split(self) -> list[PartitionKey]:
        """Return one partition key per value."""
        if len(self.values) == 1:
            return [self]
        return [SinglePartitionKey(value) for value in self.values]

    def __repr__(self) -> str:
        return f"PartitionKey({source(_plain(self.values))})"


class MultiPartitionKey(PartitionKey, variant="Multi"):
    """A key (or all combinations of several) of an asset with named dimensions of partitions."""

    __slots__ = ("dimensions",)
    _fields = ("dimensions",)
    _json = ("multi", "keys")
    dimensions: tuple[tuple[str, tuple[str, ...]], ...]
    """The keys per dimension, sorted by its name."""

    def __new__(cls, keys: Mapping[str, str | Sequence[str]], /) -> MultiPartitionKey:
        """Validate the keys of each dimension."""
        given: object = keys
        if not isinstance(given, Mapping) or not given:
            error = NoPartitionKeysError if isinstance(given, Mapping) else PartitionTypeError
            raise error(
                f"A multi-dimensional partition key must be a dictionary of at least one dimension, got {given!r}."
            )
        for name in keys:
            check_dimension_name(name)
        dimensions = tuple([(plain_text(name), _checked(keys[name], name)) for name in sorted(keys)])
        self = object.__new__(cls)
        display = "|".join([f"{name}={','.join(values)}" for name, values in dimensions])
        self._set(dimensions=dimensions, _display=display)
        return self

    @property
    def keys(self) -> dict[str, list[str]]:
        """The keys per dimension, sorted by its name."""
        return {name: list(values) for name, values in self.dimensions}

    def split(self) -> list[PartitionKey]:
        """Return one partition key per combination; the last dimension changes fastest."""
        if self.is_single:
            return [self]
        names = [name for name, _ in self.dimensions]
        combinations = product(*(values for _, values in self.dimensions))
        return [MultiPartitionKey(dict(zip(names, values, strict=True))) for values in combinations]

    def __repr__(self) -> str:
        return f"PartitionKey({source({name: _plain(values) for name, values in self.dimensions})})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.dimensions),)


def check_dimension_name(name: object) -> None:
    """Reject a dimension's name that the display form cannot represent.

    Raises:
        PartitionDefinitionError: `name` is not text, is empty, or has a lone surrogate or one of `|`, `,` and `=`.
    """
    if type(name) is str and _is_plain(name) and "=" not in name:
        return
    if not isinstance(name, str) or not name:
        error = PartitionDefinitionError if isinstance(name, str) else PartitionTypeError
        raise error(f"The name of a partition dimension must be non-empty text, got {name!r}.")
    _check_characters(name, f"The partition dimension {name!r}", _RESERVED_IN_NAMES, "choose another name")


def check_key_value(value: object, dimension: str | None = None) -> str:
    """Return the text of one key, or reject it.

    Args:
        value: The key.
        dimension: The dimension it belongs to, for the message.

    Raises:
        PartitionDefinitionError: `value` is not text, is empty, or has a lone surrogate or one of `|` and `,`.
    """
    where = f" of dimension {dimension!r}" if dimension is not None else ""
    if not isinstance(value, str):
        fix = f" Write {str(value)!r}." if isinstance(value, (int, date)) else ""
        raise PartitionTypeError(
            f"A partition key{where} must be text, got {value!r} ({type(value).__name__}).{fix}"
        )
    if not value:
        raise PartitionDefinitionError(f"A partition key{where} must not be empty.")
    _check_characters(
        value, f"The partition key {value!r}{where}", _RESERVED_IN_VALUES, "pass several keys as a list"
    )
    return plain_text(value)


def unique_dimensions(dimensions: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Return the keys per dimension as a dictionary; a repeated dimension would lose its first keys.

    Args:
        dimensions: Pairs of name and keys, as parsed.

    Raises:
        PartitionDefinitionError: A dimension occurs twice.
    """
    result: dict[str, T] = {}
    for name, keys in dimensions:
        if name in result:
            raise PartitionDefinitionError(
                f"The dimension {name!r} is given twice, as {result[name]!r} and as {keys!r}. Name it once, "
                f"with all its keys: {name}=a,b."
            )
        result[name] = keys
    return result


def _check_characters(text: str, subject: str, reserved: str, fix: str) -> None:
    if not _is_encodable(text):
        raise PartitionDefinitionError(f"{subject} {_LONE_SURROGATE}.")
    for character in reserved:
        if character in text:
            listed = ", ".join(map(repr, reserved))
            raise PartitionDefinitionError(
                f"{subject} contains {character!r}. The characters {listed} are reserved; {fix}."
            )


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
    if type(keys) is str and _is_plain(keys):
        return (keys,)
    if not isinstance(keys, Sequence) or isinstance(keys, (str, bytes)):
        return (check_key_value(keys, dimension),)
    values = tuple([check_key_value(key, dimension) for key in keys])
    if not values:
        where = f" for dimension {dimension!r}" if dimension is not None else ""
        raise NoPartitionKeysError(f"No partition key was given{where}; name at least one.")
    check_unique(values, "Partition keys")
    return values


def check_unique(keys: Sequence[str], subject: str) -> None:
    """Reject a list with duplicate keys.

    Raises:
        PartitionDefinitionError: A key occurs twice.
    """
    if len(set(keys)) != len(keys):
        duplicates = sorted({key for key in keys if keys.count(key) > 1})
        raise PartitionDefinitionError(f"{subject} are given twice: {duplicates}. Name each key once.")


def _plain(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
