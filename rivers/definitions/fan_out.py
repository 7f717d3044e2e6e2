"""Fan-out: run a task of a graph asset once per element of a value, and collect the results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rivers.definitions.results import Output
from rivers.definitions.signature import is_async_function
from rivers.exceptions import ResultDefinitionError, ResultTypeError
from rivers_core.authoring import plain_text
from rivers_core.metadata import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Concatenate, overload

    import typing_extensions

    from rivers.definitions.contexts import TaskExecutionContext
    from rivers.definitions.task import Task

    # the default makes a bare `DynamicOutput` a complete annotation
    T = typing_extensions.TypeVar("T", default=Any)
    U = TypeVar("U")
    Context = TaskExecutionContext[Any]
else:
    T = TypeVar("T")

__all__ = ["DynamicOutput", "dynamic_items"]

DYNAMIC_KEYS = "rivers/dynamic_keys"
ENDED_KEYS = "rivers/ended_keys"
"""Metadata of a source and of a mapped node: the keys of the instances, a JSON list."""


@dataclass(frozen=True, repr=False)
class DynamicOutput(Generic[T]):
    """One element of a fan-out with a key, which names the instance that handles it: `graph/task__key`.

    Args:
        key: Unique among the elements.
        value: The element.

    Raises:
        ResultDefinitionError: The key is not a non-empty string.
    """

    key: str
    value: T

    def __post_init__(self) -> None:
        key: object = self.key
        if not isinstance(key, str):
            raise ResultTypeError(f"DynamicOutput: key must be a non-empty string, got {key!r}.")
        if not key:
            raise ResultDefinitionError("DynamicOutput: key must be a non-empty string, got ''.")
        object.__setattr__(self, "key", plain_text(key))

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"DynamicOutput(key={self.key!r})"


def dynamic_items(items: Iterable[Any]) -> tuple[list[Any], list[str] | None]:
    """Return the bare elements of a source, and their keys if they are `DynamicOutput`s.

    Raises:
        ResultDefinitionError: Only some elements are `DynamicOutput`s, or two have the same key.
    """
    elements = list(items)
    dynamic = [item for item in elements if isinstance(item, DynamicOutput)]
    if not dynamic:
        return elements, None
    if len(dynamic) != len(elements):
        raise ResultDefinitionError(
            f"A list for .map() must contain DynamicOutputs only, or none: {len(dynamic)} of {len(elements)} are."
        )
    keys = [item.key for item in dynamic]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ResultDefinitionError(
            f"Two DynamicOutputs have the key {twice[0]!r}; one would overwrite the other. Give each another key."
        )
    return [item.value for item in dynamic], keys


def storing_elements(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for a source: its value is the bare elements, with the keys of `DynamicOutput`s as metadata.

    Args:
        function: The function of the source, to which arguments are given by keyword.
    """
    plain = inspect.unwrap(function)
    if is_async_function(plain) and not inspect.isasyncgenfunction(plain):

        @functools.wraps(function)
        async def call_async(**arguments: Any) -> Any:
            return _with_keys(await function(**arguments))

        return call_async

    @functools.wraps(function)
    def call(**arguments: Any) -> Any:
        return _with_keys(function(**arguments))

    return call


def _with_keys(value: Any) -> Any:
    result = value.value if isinstance(value, Output) else value
    if not isinstance(result, (list, Iterator)):
        return value
    elements, keys = dynamic_items(result)
    if keys is None:
        return Output(elements, **_options(value)) if isinstance(value, Output) else elements
    options = _options(value)
    options["metadata"] = {**(options.get("metadata") or {}), DYNAMIC_KEYS: MetadataValue.json(keys)}
    return Output(elements, **options)


def _options(value: Any) -> dict[str, Any]:
    names = ("output_name", "metadata", "data_version", "tags")
    return {name: getattr(value, name) for name in names} if isinstance(value, Output) else {}


if TYPE_CHECKING:
    # What type checkers see of the values of tasks that return a list or yield DynamicOutputs; in the body of a graph
    # asset these are `InvokedNodeOutput`s.

    class CollectedStream(Iterator[U], AsyncIterator[U]):
        """The result of `.collect_stream()`: an iterator for the annotation of the parameter that receives it."""

    class Mapped(Generic[U]):
        """The result of `.map(task)`."""

        node_name: str
        output_name: str

        def collect(self) -> list[U]: ...

        def collect_stream(self, *, ordered: bool = False) -> CollectedStream[U]: ...

    class Mappable(Generic[T]):
        """The value of a task that can be mapped."""

        @overload
        def map(
            self, task: Task[Concatenate[Context, T, ...], U], *, max_concurrency: int | None = None
        ) -> Mapped[U]: ...
        @overload
        def map(
            self, task: Task[Concatenate[T, ...], U], *, max_concurrency: int | None = None
        ) -> Mapped[U]: ...
        def map(self, task: Any, *, max_concurrency: int | None = None) -> Any: ...

    class MappableItems(list[T], Mappable[T]):
        """The value of a task that returns a list."""

    class MappableOutputList(list[DynamicOutput[T]], Mappable[T]):
        """The value of a task that returns a list of DynamicOutputs."""

    class MappableOutputs(Iterator[DynamicOutput[T]], Mappable[T]):
        """The value of a task that yields DynamicOutputs."""
