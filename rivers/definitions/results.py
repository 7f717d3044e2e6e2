"""Results: what a function may return besides the bare value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rivers.exceptions import ResultDefinitionError
from rivers.mappings.key_parsing import parse_key
from rivers_core.metadata import coerce_mapping
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    import typing_extensions

    from rivers_core.metadata import MetadataValue

    # the default makes a bare `Output` a complete annotation
    V = typing_extensions.TypeVar("V", default=Any)

    Metadata = Mapping[str, str | int | float | bool | MetadataValue | None]
    Tags = Mapping[str, str] | Iterable[tuple[str, str]]
else:
    V = TypeVar("V")

K = TypeVar("K", bound="str | PartitionKey")

__all__ = ["Materialization", "Observation", "Output", "PartitionedOutput"]


class Result:
    """What the results share: checked fields, set once."""

    __slots__ = ()

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _describe(
        self,
        output_name: object,
        metadata: Metadata | None,
        data_version: object,
        tags: Tags | None = None,
    ) -> None:
        given: object = metadata
        kind = type(self).__name__
        for field, text in (("output_name", output_name), ("data_version", data_version)):
            if text is not None and (not isinstance(text, str) or not text):
                raise ResultDefinitionError(
                    f"{kind}({field}={text!r}): give non-empty text, or leave it out."
                )
        if given is not None and not isinstance(given, Mapping):
            raise ResultDefinitionError(
                f"{kind}(metadata={given!r}): give a dictionary from names to values."
            )
        self._set(
            output_name=output_name,
            metadata=None if metadata is None else coerce_mapping(metadata),
            data_version=data_version,
        )
        if tags is not None:
            self._set(tags=_pairs(kind, tags))


@dataclass(frozen=True, init=False)
class Output(Result, Generic[V]):
    """A value with more to say about it; the handler gets the bare value.

    As an annotation it may say what the value is: `-> Output[int]`.

    Args:
        value: What is stored.
        output_name: Which output of a multi-asset this is.
        metadata: Recorded with the event; wins over the handler's and the context's on the same key.
        data_version: The version of the value; wins over every other.
        tags: Recorded with the event: a dictionary or pairs of text.

    Raises:
        ResultDefinitionError: If an argument has the wrong shape, or the value is itself a result.
        TypeError: If a metadata value cannot be stored.
    """

    value: V
    output_name: str | None
    metadata: dict[str, MetadataValue] | None
    data_version: str | None
    tags: list[tuple[str, str]] | None

    def __init__(
        self,
        value: V = None,  # type: ignore[assignment]
        *,
        output_name: str | None = None,
        metadata: Metadata | None = None,
        data_version: str | None = None,
        tags: Tags | None = None,
    ) -> None:
        if isinstance(value, (Output, Materialization, Observation)):
            raise ResultDefinitionError(
                f"Output({type(value).__name__}(...)): the value is itself a result; return one of the two."
            )
        self._set(value=value, tags=None)
        self._describe(output_name, metadata, data_version, tags)

    def __hash__(self) -> int:
        return hash((self.output_name, self.data_version))


@dataclass(frozen=True, init=False)
class Materialization(Result):
    """Says that the function stored its result itself; the handler is never called.

    Args:
        output_name: Which output of a multi-asset this is.
        metadata: Recorded with the event.
        data_version: The version of what was stored.
        tags: Recorded with the event: a dictionary or pairs of text.

    Raises:
        ResultDefinitionError: If an argument has the wrong shape.
        TypeError: If a metadata value cannot be stored.
    """

    output_name: str | None
    metadata: dict[str, MetadataValue] | None
    data_version: str | None
    tags: list[tuple[str, str]] | None

    def __init__(
        self,
        *,
        output_name: str | None = None,
        metadata: Metadata | None = None,
        data_version: str | None = None,
        tags: Tags | None = None,
    ) -> None:
        self._set(tags=None)
        self._describe(output_name, metadata, data_version, tags)

    def __hash__(self) -> int:
        return hash((self.output_name, self.data_version))


@dataclass(frozen=True, init=False)
class Observation(Result):
    """Something seen about an asset without storing it anew.

    Args:
        output_name: Which asset or output was looked at.
        metadata: Recorded with the event.
        data_version: The version that was found.

    Raises:
        ResultDefinitionError: If an argument has the wrong shape.
        TypeError: If a metadata value cannot be stored.
    """

    output_name: str | None
    metadata: dict[str, MetadataValue] | None
    data_version: str | None

    def __init__(
        self,
        *,
        output_name: str | None = None,
        metadata: Metadata | None = None,
        data_version: str | None = None,
    ) -> None:
        self._describe(output_name, metadata, data_version)

    def __hash__(self) -> int:
        return hash((self.output_name, self.data_version))


@dataclass(frozen=True, init=False, repr=False)
class PartitionedOutput(Result):
    """One value per partition key, from a step over several keys.

    Args:
        values: `{key: value}`; a key is a `PartitionKey` for exactly one partition, or its text.

    Raises:
        ResultDefinitionError: If there is no value, or a key stands for several partitions or comes twice.
    """

    values: dict[PartitionKey, Any]

    def __init__(self, values: Mapping[K, Any]) -> None:
        given_values: object = values
        if not isinstance(given_values, Mapping) or not given_values:
            raise ResultDefinitionError(
                f"PartitionedOutput({values!r}): give {{partition key: value}}, at least one."
            )
        by_key: dict[PartitionKey, Any] = {}
        for given, value in values.items():
            key = _single_key(given)
            if key in by_key:
                raise ResultDefinitionError(f"PartitionedOutput: the partition {str(key)!r} is given twice.")
            by_key[key] = value
        self._set(values=by_key)

    def __hash__(self) -> int:
        return hash(tuple(self.values))

    def __repr__(self) -> str:
        return f"PartitionedOutput({self.values!r})"


def _single_key(given: object) -> PartitionKey:
    if isinstance(given, str):
        return parse_key(given)
    if not isinstance(given, PartitionKey):
        raise ResultDefinitionError(
            f"PartitionedOutput: {given!r} is not a partition key; write PartitionKey.single(...)."
        )
    if not given.is_single:
        raise ResultDefinitionError(
            f"PartitionedOutput: {str(given)!r} stands for several partitions; give each its own value."
        )
    return given


def _pairs(kind: str, tags: Tags) -> list[tuple[str, str]]:
    given: object = tags
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ResultDefinitionError(
            f"{kind}(tags={given!r}): give pairs of texts, e.g. {{'quality': 'checked'}}."
        )
    found: list[Any] = list(given.items()) if isinstance(given, Mapping) else list(given)
    for pair in found:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise ResultDefinitionError(
                f"{kind}(tags=...): {pair!r} is not a pair of texts; write tags={{'quality': 'checked'}}."
            )
    return found
