"""Results: return values of a function that carry more than the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rivers.exceptions import ResultDefinitionError, ResultTypeError
from rivers.mappings.key_parsing import parse_key
from rivers_core.authoring import plain_text
from rivers_core.metadata import coerce_mapping
from rivers_core.partitions import PartitionKey

if TYPE_CHECKING:
    import typing_extensions

    from rivers_core.metadata import MetadataValue
    from rivers_core.schema import ExportsArrowSchema

    # the default makes a bare `Output` a complete annotation
    V = typing_extensions.TypeVar("V", default=Any)

    Metadata = Mapping[str, str | int | float | bool | MetadataValue | ExportsArrowSchema | None]
    ResultTags = list[str] | list[tuple[str, str]] | dict[str, str]
    Tags = Mapping[str, str] | Iterable[str] | Iterable[tuple[str, str]]
else:
    V = TypeVar("V")

K = TypeVar("K", bound="str | PartitionKey")

__all__ = ["Materialization", "Observation", "Output", "PartitionedOutput"]


class Result:
    """Base of the results, with immutable, checked fields."""

    __slots__ = ()

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _describe(
        self,
        output_name: object,
        metadata: Metadata | None,
        data_version: object,
        tags: Tags | None = None,
    ) -> None:
        value: object = metadata
        kind = type(self).__name__
        for field, text in (("output_name", output_name), ("data_version", data_version)):
            if text is not None and (not isinstance(text, str) or not text):
                raise ResultTypeError(f"{kind}: {field} must be a non-empty string, got {text!r}.")
        if value is not None and not isinstance(value, Mapping):
            raise ResultTypeError(f"{kind}: metadata must be a dictionary, got {value!r}.")
        self._set(
            output_name=output_name,
            metadata=None if metadata is None else coerce_mapping(metadata),
            data_version=plain_text(data_version) if isinstance(data_version, str) else None,
        )
        if tags is not None:
            self._set(tags=_check_tags(kind, tags))

    def __repr__(self) -> str:
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]
        arguments = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({arguments})"


@dataclass(frozen=True, init=False, repr=False)
class Output(Result, Generic[V]):
    """A value with metadata, data version or tags; the handler gets the bare value.

    An annotation may name the type of the value: `-> Output[int]`.

    Args:
        value: The value to store.
        output_name: Name of the output of a multi-asset.
        metadata: Metadata of the event; takes precedence over the handler's and the context's.
        data_version: Version of the value; takes precedence over every other.
        tags: Tags of the event: strings, or a dictionary or pairs of strings.

    Raises:
        ResultDefinitionError: An argument is not valid, or the value is itself a result.
        TypeError: A metadata value cannot be stored.
    """

    value: V
    output_name: str | None
    metadata: dict[str, MetadataValue] | None
    data_version: str | None
    tags: ResultTags | None

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
                f"Output: value must not be a result, got {type(value).__name__}. Return one of the two."
            )
        self._set(value=value, tags=None)
        self._describe(output_name, metadata, data_version, tags)

    def __hash__(self) -> int:
        return hash((self.output_name, self.data_version))


@dataclass(frozen=True, init=False, repr=False)
class Materialization(Result):
    """Reports that the function stored its result itself; the engine does not call the handler.

    Args:
        output_name: Name of the output of a multi-asset.
        metadata: Metadata of the event.
        data_version: Version of the stored value.
        tags: Tags of the event: strings, or a dictionary or pairs of strings.

    Raises:
        ResultDefinitionError: An argument is not valid.
        TypeError: A metadata value cannot be stored.
    """

    output_name: str | None
    metadata: dict[str, MetadataValue] | None
    data_version: str | None
    tags: ResultTags | None

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


@dataclass(frozen=True, init=False, repr=False)
class Observation(Result):
    """Reports metadata or the data version of an asset without storing it.

    Args:
        output_name: Name of the observed asset or output.
        metadata: Metadata of the event.
        data_version: The observed version.

    Raises:
        ResultDefinitionError: An argument is not valid.
        TypeError: A metadata value cannot be stored.
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
        values: `{key: value}`; a key is a `PartitionKey` of one partition, or its display form.

    Raises:
        ResultDefinitionError: There is no value, or a key identifies several partitions or is given twice.
    """

    values: dict[PartitionKey, Any]

    def __init__(self, values: Mapping[K, Any]) -> None:
        argument: object = values
        if not isinstance(argument, Mapping) or not argument:
            raise ResultDefinitionError(
                f"PartitionedOutput: values must be a non-empty {{partition key: value}}, got {values!r}."
            )
        by_key: dict[PartitionKey, Any] = {}
        for item, value in values.items():
            key = _single_key(item)
            if key in by_key:
                raise ResultDefinitionError(f"PartitionedOutput: partition {str(key)!r} is given twice.")
            by_key[key] = value
        self._set(values=by_key)

    def __hash__(self) -> int:
        return hash(tuple(self.values))

    def __repr__(self) -> str:
        return f"PartitionedOutput({self.values!r})"


def _single_key(key: object) -> PartitionKey:
    if isinstance(key, str):
        return parse_key(key)
    if not isinstance(key, PartitionKey):
        raise ResultDefinitionError(
            f"PartitionedOutput: keys must be partition keys, got {key!r}. Use PartitionKey.single(...)."
        )
    if not key.is_single:
        raise ResultDefinitionError(
            f"PartitionedOutput: key {str(key)!r} identifies several partitions. Use one key for each value."
        )
    return key


def _check_tags(kind: str, tags: Tags) -> ResultTags:
    """Return tags in the form in which they were given."""
    value: object = tags
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ResultTypeError(
            f"{kind}: tags must be strings, or a dictionary or pairs of strings, got {value!r}. Use e.g. ['raw']."
        )
    items: list[Any] = list(value.items()) if isinstance(value, Mapping) else list(value)
    if items and all(isinstance(item, str) for item in items):
        return [plain_text(item) for item in items]
    for pair in items:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise ResultTypeError(
                f"{kind}: tags must be strings, or pairs of strings, got {pair!r}. Use e.g. ['raw'] or "
                "{'quality': 'checked'}."
            )
    pairs = [(plain_text(name), plain_text(text)) for name, text in items]
    return dict(pairs) if isinstance(value, Mapping) else pairs


def tag_items(tags: ResultTags | None) -> list[str | tuple[str, str]]:
    """Return the tags of a result one by one: strings, or pairs of name and value."""
    return list(tags.items() if isinstance(tags, dict) else tags or ())
