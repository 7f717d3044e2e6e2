"""Checks of what assets, outputs, tasks and jobs are given, with errors that name them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rivers.definitions.compute import Compute
from rivers.definitions.hook import Hook
from rivers.definitions.retry import RetryPolicy
from rivers.mappings import PartitionMapping
from rivers_core.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from rivers_core.exceptions import RiversError
    from rivers_core.handler import BaseIOHandler

_RESERVED_NAMES = frozenset({".", ".."})


class FieldChecks:
    """Checks the arguments of one definition; every method gives back the argument in the form that is kept.

    Args:
        subject: The definition as a message names it: `asset 'orders'`.
        error: What is raised.
    """

    def __init__(self, subject: str, error: type[RiversError]) -> None:
        self.subject = subject
        self._error = error

    def refuse(self, problem: str) -> RiversError:
        """Returns the error to raise."""
        return self._error(f"{self.subject[:1].upper()}{self.subject[1:]}: {problem}")

    def name(self, name: object) -> str:
        """A name: text that a person can read and every storage can hold."""
        if not isinstance(name, str):
            raise self.refuse(f"name={name!r} is not text.")
        if not name or name != name.strip():
            raise self.refuse(
                f"the name {name!r} is empty or begins or ends with a space; give it a plain name."
            )
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise self.refuse(f"the name {name!r} has control characters in it; give it a plain name.")
        if name in _RESERVED_NAMES:
            raise self.refuse(f"the name {name!r} is reserved; give it a plain name.")
        return name

    def function(self, function: object) -> Callable[..., Any]:
        """A plain function (or another callable that is neither a class nor a definition)."""
        if isinstance(function, type):
            raise self.refuse(f"wraps the class {function.__name__!r}; wrap a function.")
        if isinstance(function, (staticmethod, classmethod)):
            raise self.refuse("wraps a method; wrap a function of the module.")
        if isinstance(function, str):
            raise self.refuse(f'wraps the text {function!r}; for a name write name="{function}".')
        if not callable(function):
            raise self.refuse(f"wraps {function!r}, which is not a function.")
        return function

    def text(self, field: str, value: object) -> str | None:
        """Text, or None."""
        if value is not None and (not isinstance(value, str) or not value):
            raise self.refuse(f"{field}={value!r}: give non-empty text, or leave it out.")
        return value

    def texts(self, field: str, value: object, *, one: bool = False) -> list[str]:
        """A list of text; with `one` also a single text."""
        if value is None:
            return []
        if isinstance(value, str):
            if one and value:
                return [value]
            raise self.refuse(f"{field}={value!r} is a single text; write {field}=[{value!r}].")
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise self.refuse(f"{field}={value!r}: give a list of texts.")
        items = list(value)
        for item in items:
            if not isinstance(item, str) or not item:
                raise self.refuse(f"{field}: {item!r} is not a non-empty text.")
        return list(dict.fromkeys(items))

    def metadata(self, value: object) -> dict[str, Any]:
        """A dictionary of JSON values, copied."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refuse(f"metadata={value!r}: give a dictionary from names to JSON values.")
        copy = self._json("metadata", value)
        assert isinstance(copy, dict)
        return copy

    def _json(self, where: str, value: object) -> Any:
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise self.refuse(f"{where}: the key {key!r} is not text, and JSON keys are.")
            return {key: self._json(f"{where}[{key!r}]", item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._json(f"{where}[{index}]", item) for index, item in enumerate(value)]
        raise self.refuse(
            f"{where} is {value!r} ({type(value).__name__}), which JSON cannot hold; give text, numbers, "
            "booleans, None, lists and dictionaries. Typed values belong to Output(metadata=...)."
        )

    def io_handler(self, value: object, field: str = "io_handler") -> BaseIOHandler | str | None:
        """A handler instance, a handler's name, or None."""
        if value is None:
            return None
        if isinstance(value, str):
            if not value.strip():
                raise self.refuse(f"{field}={value!r}: give the name of a handler.")
            return value
        from rivers_core.handler import (
            BaseIOHandler,
        )  # not before a handler is given: it imports pydantic_settings

        if isinstance(value, BaseIOHandler):
            return value
        kind = value.__name__ if isinstance(value, type) else type(value).__name__
        if isinstance(value, type) and issubclass(value, BaseIOHandler):
            raise self.refuse(
                f"{field}={kind} is a class; give an instance, {kind}(...), or a handler's name."
            )
        if isinstance(value, type) or not (hasattr(value, "handle_output") or hasattr(value, "load_input")):
            raise self.refuse(
                f"{field}={value!r} is no IO handler; give a BaseIOHandler instance or a handler's name."
            )
        raise self.refuse(
            f"{field} is a {kind}, which has the methods of an IO handler but is not a BaseIOHandler; write "
            f"`class {kind}(BaseIOHandler)`."
        )

    def partitions_def(self, value: object) -> PartitionsDefinition | str | None:
        """A definition of partitions, the name of one, or None."""
        if value is None or isinstance(value, PartitionsDefinition):
            return value
        if isinstance(value, str) and value:
            return value
        raise self.refuse(
            f"partitions_def={value!r}: give a PartitionsDefinition, e.g. "
            "PartitionsDefinition.daily('2024-01-01'), or the name of one of the repository's "
            "partition_defs."
        )

    def partition_mapping(self, value: object) -> PartitionMapping | None:
        """A partition mapping or None."""
        if value is not None and not isinstance(value, PartitionMapping):
            raise self.refuse(
                f"partition_mapping={value!r}: give a PartitionMapping, e.g. PartitionMapping.identity()."
            )
        return value

    def hooks(self, value: object) -> list[Hook]:
        """A list of hooks."""
        if value is None:
            return []
        if isinstance(value, Hook):
            raise self.refuse(f"hooks={value!r} is a single hook; write hooks=[...].")
        items: list[Any] = [value]
        if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
            items = list(value)
        for item in items:
            if not isinstance(item, Hook):
                raise self.refuse(
                    f"hooks: {item!r} is no Hook; decorate a function with Hook.success or Hook.failure."
                )
        return items

    def retry(self, value: object) -> RetryPolicy | str | None:
        """A retry policy, the name of one, or None."""
        if value is None or isinstance(value, RetryPolicy) or (isinstance(value, str) and value):
            return value
        raise self.refuse(
            f"retry={value!r}: give a RetryPolicy, e.g. RetryPolicy(3), or the name of one of the "
            "repository's retries."
        )

    def compute(self, value: object) -> Compute | None:
        """A `Compute` or None."""
        if value is None or isinstance(value, Compute):
            return value
        raise self.refuse(f"compute={value!r}: give a Compute, e.g. Compute(cpu=2, memory='4Gi').")
