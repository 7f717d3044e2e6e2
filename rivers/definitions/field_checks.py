"""Checks of the arguments of assets, outputs, tasks and jobs, with errors that name the definition."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from rivers.definitions.hook import Hook
from rivers.definitions.retry import Compute, RetryPolicy
from rivers.exceptions import TYPE_ERRORS
from rivers.mappings import PartitionMapping
from rivers.partitions import PartitionsDefinition
from rivers_core.authoring import plain_text

if TYPE_CHECKING:
    from rivers.exceptions import RiversError
    from rivers_core.handler import BaseIOHandler

__all__ = ["FieldChecks"]

_RESERVED_NAMES = frozenset({".", ".."})
# Unicode categories of control characters, surrogates, and separators of lines and paragraphs.
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})


class FieldChecks:
    """Checks of the arguments of one definition.

    Each check takes the name of the argument and its value, and returns the value in the form that the definition
    keeps.

    Args:
        subject: The definition as messages name it: `asset 'orders'`.
        error: The class of the errors.
    """

    def __init__(self, subject: str, error: type[RiversError]) -> None:
        self.subject = subject
        self._error = error

    def refuse(self, problem: str) -> RiversError:
        """Return the error to raise."""
        return self._error(f"{self.subject[:1].upper()}{self.subject[1:]}: {problem}")

    def refuse_type(self, problem: str) -> RiversError:
        """Return the error to raise for an argument of a wrong type, which is also a TypeError."""
        return FieldChecks(self.subject, TYPE_ERRORS.get(self._error, self._error)).refuse(problem)

    def refuse_unless(self, problem: str, value: object, *types: type) -> RiversError:
        """Return the error to raise for a value, which is also a TypeError if it has none of the types."""
        return self.refuse(problem) if isinstance(value, types) else self.refuse_type(problem)

    def name(self, field: str, name: object) -> str:
        """Return a name that people can read and every storage can hold."""
        if not isinstance(name, str):
            raise self.refuse_type(f"{field} must be a string, got {name!r}.")
        if not name or name != name.strip():
            raise self.refuse(f"{field} must not be empty or start or end with a space, got {name!r}.")
        if not name.isprintable() and any(unicodedata.category(item) in _CONTROL for item in name):
            raise self.refuse(f"{field} must not contain control characters, got {name!r}.")
        if name in _RESERVED_NAMES:
            raise self.refuse(f"{field} {name!r} is reserved. Use another name.")
        return plain_text(name)

    def function(self, function: object) -> Callable[..., Any]:
        """Return a function, or another callable that is neither a class nor a method."""
        if isinstance(function, type):
            raise self.refuse_type(f"wraps must be a function, got the class {function.__name__!r}.")
        if isinstance(function, (staticmethod, classmethod)):
            raise self.refuse_type("wraps must be a function of a module, got a method.")
        if isinstance(function, str):
            raise self.refuse_type(
                f'wraps must be a function, got {function!r}. For a name use name="{function}".'
            )
        if not callable(function):
            raise self.refuse_type(f"wraps must be a function, got {function!r}.")
        return function

    def text(self, field: str, value: object) -> str | None:
        """Return a string, or None."""
        if value is not None and (not isinstance(value, str) or not value):
            raise self.refuse_unless(f"{field} must be a non-empty string, got {value!r}.", value, str)
        return None if value is None else plain_text(value)

    def texts(self, field: str, value: object) -> list[str] | None:
        """Return a list of different strings, or None."""
        if value is None:
            return None
        if isinstance(value, str):
            raise self.refuse_type(
                f"{field} must be a list of strings, got {value!r}. Use {field}=[{value!r}]."
            )
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise self.refuse_type(f"{field} must be a list of strings, got {value!r}.")
        items = list(value)
        for item in items:
            if not isinstance(item, str) or not item:
                raise self.refuse_unless(f"{field} must contain non-empty strings, got {item!r}.", item, str)
        return list(dict.fromkeys(map(plain_text, items)))

    def text_or_texts(self, field: str, value: object) -> list[str]:
        """Return a list of different strings; a single string counts as a list."""
        return self.texts(field, [value] if isinstance(value, str) else value) or []

    def metadata(self, field: str, value: object) -> dict[str, Any] | None:
        """Return a deep copy of a dictionary of JSON values, or None."""
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.refuse_type(f"{field} must be a dictionary of JSON values, got {value!r}.")
        return self._json_object(field, value)

    def _json_object(self, place: str, value: Mapping[Any, Any]) -> dict[str, Any]:
        for key in value:
            if not isinstance(key, str):
                raise self.refuse_type(f"{place}: keys must be strings, got {key!r}.")
        return {plain_text(key): self._json(f"{place}[{key!r}]", item) for key, item in value.items()}

    def _json(self, place: str, value: object) -> object:
        if isinstance(value, str):
            return plain_text(value)
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, Mapping):
            return self._json_object(place, value)
        if isinstance(value, (list, tuple)):
            return [self._json(f"{place}[{index}]", item) for index, item in enumerate(value)]
        raise self.refuse_type(
            f"{place} must be a JSON value, got {value!r} ({type(value).__name__}). "
            "Use Output(metadata=...) for typed values."
        )

    def io_handler(self, field: str, value: object) -> BaseIOHandler | str | None:
        """Return a handler instance, the name of a handler, or None."""
        if value is None:
            return None
        if isinstance(value, str):
            if not value.strip():
                raise self.refuse(f"{field} must not be an empty name, got {value!r}.")
            return plain_text(value)
        # imports pydantic-settings, so only if a handler is given
        from rivers_core.handler import BaseIOHandler

        if isinstance(value, BaseIOHandler):
            return value
        kind = value.__name__ if isinstance(value, type) else type(value).__name__
        if isinstance(value, type) and issubclass(value, BaseIOHandler):
            raise self.refuse_type(f"{field} must be an instance, got the class {kind}. Use {kind}(...).")
        if isinstance(value, type) or not (hasattr(value, "handle_output") or hasattr(value, "load_input")):
            raise self.refuse_type(
                f"{field} must be a BaseIOHandler or the name of a handler, got {value!r}."
            )
        raise self.refuse_type(
            f"{field} must be a BaseIOHandler, got a {kind}, which only has the same methods. "
            f"Use `class {kind}(BaseIOHandler)`."
        )

    def partitions_def(self, field: str, value: object) -> PartitionsDefinition | str | None:
        """Return a partitions definition, the name of one, or None."""
        if value is None or isinstance(value, PartitionsDefinition):
            return value
        if isinstance(value, str) and value:
            return plain_text(value)
        raise self.refuse_type(
            f"{field} must be a PartitionsDefinition or the name of one in `partition_defs`, got {value!r}. "
            "Use e.g. PartitionsDefinition.daily('2024-01-01')."
        )

    def partition_batches(self, field: str, value: object) -> bool | Literal["allow_empty"]:
        """Return whether one call handles several keys, and whether it may store nothing for some of them."""
        if value is None or value is False:
            return False
        if value is True:
            return True
        if isinstance(value, str) and value == "allow_empty":
            return "allow_empty"
        raise self.refuse_unless(f"{field} must be True, False or 'allow_empty', got {value!r}.", value, str)

    def partition_mappings(
        self, field: str, value: object
    ) -> dict[str, PartitionMapping] | PartitionMapping | None:
        """Return a partition mapping for all upstreams, one by name of the upstream, or None."""
        if not isinstance(value, Mapping):
            return self.partition_mapping(field, value)
        mappings: dict[str, PartitionMapping] = {}
        for upstream, item in value.items():
            name = self.name(f"{field}: the name of an upstream", getattr(upstream, "name", upstream))
            mapping = self.partition_mapping(f"{field}[{name!r}]", item)
            if mapping is not None:
                mappings[name] = mapping
        return mappings or None

    def partition_mapping(self, field: str, value: object) -> PartitionMapping | None:
        """Return a partition mapping, or None."""
        if value is not None and not isinstance(value, PartitionMapping):
            raise self.refuse_type(
                f"{field} must be a PartitionMapping, got {value!r}. Use e.g. PartitionMapping.identity()."
            )
        return value

    def hooks(self, field: str, value: object) -> list[Hook] | None:
        """Return a list of hooks, or None."""
        if value is None:
            return None
        if isinstance(value, Hook):
            raise self.refuse_type(f"{field} must be a list, got {value!r}. Use {field}=[...].")
        is_list = isinstance(value, Iterable) and not isinstance(value, (str, Mapping))
        items: list[Any] = list(value) if is_list else [value]  # type: ignore[call-overload]
        for item in items:
            if not isinstance(item, Hook):
                raise self.refuse_type(
                    f"{field} must contain hooks, got {item!r}. Decorate a function with Hook.success or Hook.failure."
                )
        return items

    def retry(self, field: str, value: object) -> RetryPolicy | str | None:
        """Return a retry policy, the name of one, or None."""
        if value is None or isinstance(value, RetryPolicy):
            return value
        if isinstance(value, str) and value:
            return plain_text(value)
        raise self.refuse_type(
            f"{field} must be a RetryPolicy or the name of one in `retries`, got {value!r}. Use e.g. RetryPolicy(3)."
        )

    def type_hint(self, field: str, value: object) -> Any:
        """Return a type hint, or None."""
        if isinstance(value, str):
            raise self.refuse_type(
                f"{field} must be a type, got {value!r}. Use the type itself, without quotes."
            )
        return value

    def timeout(self, field: str, value: object) -> float | None:
        """Return a number of seconds, given as such or as a `timedelta`, or None."""
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if seconds is None:
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise self.refuse_type(f"{field} must be a number of seconds or a timedelta, got {value!r}.")
        if not 0 < seconds < math.inf:
            raise self.refuse(f"{field} must be positive and finite, got {value!r}.")
        return float(seconds)

    def compute(self, field: str, value: object) -> Compute | None:
        """Return a `Compute`, or None."""
        if value is None or isinstance(value, Compute):
            return value
        raise self.refuse_type(
            f"{field} must be a Compute, got {value!r}. Use e.g. Compute(cpu=2, memory='4Gi')."
        )
