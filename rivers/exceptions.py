"""All errors of rivers: those of `rivers_core.exceptions`, and those that only the engine raises."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from inspect import isgetsetdescriptor, ismemberdescriptor
from typing import Any, Final, Self

from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConfigurationError,
    ConflictError,
    FindingsError,
    HandlerNotFoundError,
    IntegrityError,
    InvalidMetadataError,
    MetadataTypeError,
    NotMaterializedError,
    OneShotValueError,
    PartitionDefinitionError,
    PartitionValidationError,
    PluginLoadError,
    RiversError,
    VersionNotFoundError,
)

__all__ = [
    "AssetDefinitionError",
    "AssetNotFoundError",
    "AssetOutputValidationError",
    "ConfigurationError",
    "ConflictError",
    "ExecutionError",
    "FindingsError",
    "GraphValidationError",
    "HandlerNotFoundError",
    "IntegrityError",
    "InvalidMetadataError",
    "MetadataTypeError",
    "NodeNotFoundError",
    "NotMaterializedError",
    "OneShotValueError",
    "PartitionDefinitionError",
    "PartitionValidationError",
    "PluginLoadError",
    "ResultDefinitionError",
    "RiversError",
    "StorageError",
    "TaskDefinitionError",
    "VersionNotFoundError",
]


class ConfigurationTypeError(ConfigurationError, TypeError):
    """A setting or an argument has the wrong type."""


class AssetDefinitionError(RiversError, ValueError):
    """An asset definition is invalid."""


class TaskDefinitionError(RiversError, ValueError):
    """A task definition is invalid."""


class AssetTypeError(AssetDefinitionError, TypeError):
    """An argument of an asset has the wrong type."""


class AssetPartitionsError(AssetDefinitionError, PartitionValidationError):
    """The outputs of a multi-asset have no partition key in common."""


class TaskTypeError(TaskDefinitionError, TypeError):
    """An argument of a task has the wrong type."""


class DynamicKeysError(PartitionValidationError, NotImplementedError):
    """The keys of dynamic partitions were requested from their definition; they live in the event storage."""


class ResultDefinitionError(RiversError, ValueError):
    """An `Output`, `Materialization`, `Observation` or `PartitionedOutput` is invalid."""


class ResultTypeError(ResultDefinitionError, TypeError):
    """An argument of a result has the wrong type."""


class GraphValidationError(FindingsError):
    """Assets, tasks and jobs do not form a valid graph."""


class GraphTypeError(GraphValidationError, TypeError):
    """An argument of a job or a repository has the wrong type."""


class NodeNotFoundError(RiversError, LookupError):
    """No asset, job, output or inner node has that name."""


class AssetNotFoundError(NodeNotFoundError):
    """No asset has that name."""


class SelectionTypeError(AssetNotFoundError, TypeError):
    """A selection contains something that is neither an asset nor text."""


class ExecutionError(RiversError, RuntimeError):
    """A run failed; the error of the step is chained as the cause."""


class StorageError(RiversError, RuntimeError):
    """The event storage cannot be opened, read or written."""


class CommandError(ExecutionError, OSError):
    """The command of a `BashTask` cannot be started, fails, or does not write text."""

    def __new__(cls, *arguments: object) -> Self:
        """Create the error with the layout of `OSError`.

        tblib, which `distributed` installs for all exceptions, calls `__new__` to unpickle one, and would find the
        one of `RuntimeError`, which refuses this class.
        """
        return OSError.__new__(cls, *arguments)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class StorageTypeError(StorageError, TypeError):
    """An argument of the event storage has a wrong type."""


class DynamicPartitionError(StorageError, PartitionDefinitionError):
    """A dynamic partition key cannot be stored."""


class DynamicPartitionTypeError(DynamicPartitionError, TypeError):
    """A dynamic partition key, or the name of its definition, has a wrong type."""


class UnknownPartitionError(PartitionValidationError, ExecutionError):
    """A run has no partition key where one is required, or one that does not exist."""


TYPE_ERRORS: Final[dict[type[RiversError], type[RiversError]]] = {
    AssetDefinitionError: AssetTypeError,
    ConfigurationError: ConfigurationTypeError,
    GraphValidationError: GraphTypeError,
    ResultDefinitionError: ResultTypeError,
    TaskDefinitionError: TaskTypeError,
}
"""For an error of definitions, the class for arguments of a wrong type."""


def setting_error(value: object, *types: type) -> type[ConfigurationError]:
    """Return the class of the error for a setting, which is also a TypeError if its value has none of the types."""
    return ConfigurationError if isinstance(value, types) else ConfigurationTypeError


_NEVER_JOINED: Final = (StopIteration, StopAsyncIteration)
"""Exceptions with a meaning for the interpreter, which the error of a run must not have."""
_HEAP_TYPE: Final = 1 << 9
"""Flag of classes that are defined in Python (`Py_TPFLAGS_HEAPTYPE`)."""


class _JoinedError(RiversError):
    """Base of the errors of runs that are also instances of the class of their cause."""

    _run_message: str

    def __str__(self) -> str:
        return self._run_message

    def __repr__(self) -> str:
        return f"ExecutionError({self._run_message!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return step_error, (self._run_message, self.__cause__)


def step_error(message: str, cause: BaseException) -> ExecutionError:
    """Return an `ExecutionError` that is also an instance of the class of its cause.

    Where that class cannot be joined (it is final, or has another memory layout), it is an instance of the nearest base
    that can. It is never a `StopIteration`, nor of a class that is not an `Exception`. The attributes of the cause are
    copied, without calling its `__init__`.

    Args:
        message: Message of the error.
        cause: Error of the step, which is chained.
    """
    joined = _joined_class(type(cause))  # type: ignore[arg-type]  # typeshed takes the `__hash__` of instances
    if joined is ExecutionError:
        error = ExecutionError(message)
    else:
        members = (cause.message, cause.exceptions) if isinstance(cause, BaseExceptionGroup) else ()
        error = _blank(joined, *members)
        _copy_attributes(cause, error)
        error.__dict__["_run_message"] = message
    error.__cause__ = cause
    return error


@cache
def _joined_class(cause: type[BaseException]) -> type[ExecutionError]:
    """Return the class of the errors with causes of this class; it is made once."""
    for base in cause.__mro__:
        if issubclass(ExecutionError, base):
            break
        if not issubclass(base, Exception) or issubclass(base, _NEVER_JOINED):
            continue
        if issubclass(base, _JoinedError) and issubclass(base, ExecutionError):  # from a run within a step
            return base
        own = () if issubclass(base, ExecutionError) else (ExecutionError,)
        with suppress(Exception):  # a final class, another layout, or one whose `__init_subclass__` refuses
            # a class with the name that tracebacks and events should show
            joined = type("ExecutionError", (_JoinedError, *own, base), {"__module__": __name__})
            _blank(joined, *(("", [ValueError()]) if issubclass(base, BaseExceptionGroup) else ()))
            return joined
    return ExecutionError


def _blank(joined: type[ExecutionError], *arguments: object) -> ExecutionError:
    """Return an instance without calling any `__init__`, or a `__new__` in Python, which may require arguments."""
    in_c: Any = joined
    while in_c.__flags__ & _HEAP_TYPE:
        in_c = in_c.__base__
    error: ExecutionError = in_c.__new__(joined, *arguments)
    return error


def _copy_attributes(cause: BaseException, error: BaseException) -> None:
    error.__dict__.update(cause.__dict__)
    error.__dict__.pop("__notes__", None)  # the message has them
    for base in type(cause).__mro__:
        for name, slot in vars(base).items():
            is_slot = ismemberdescriptor(slot) or isgetsetdescriptor(slot)
            if is_slot and not (name.startswith("__") and name.endswith("__")):
                with suppress(AttributeError, TypeError, ValueError):  # not set, or read-only
                    object.__setattr__(error, name, getattr(cause, name))
