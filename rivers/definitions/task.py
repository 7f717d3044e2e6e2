"""Task: a function inside a graph asset, or on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, overload

from rivers.definitions.composition import current_recorder
from rivers.definitions.contexts import TaskExecutionContext
from rivers.definitions.definition import Decorator, Definition
from rivers.exceptions import TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, Unpack

    from rivers.definitions.options import TaskOptions
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.signature import ContextType
    from rivers.mappings import PartitionMapping
    from rivers_core.exceptions import RiversError
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionsDefinition

__all__ = ["Task"]

Function = Callable[..., Any]


class Task(Definition):
    """A function that is a node of graph assets, or a step on its own; a decorator, bare or with arguments, or a call.

    Called in the body of a graph asset it becomes a node of it; called anywhere else it calls its function.

    Args:
        wraps: The function.
        name: The task's name; the function's by default.
        tags: Tags.
        partitions_def: Its partitions when it runs on its own; inside a graph asset it has the graph's.
        partition_mapping: How its partitions map to those of its inputs.
        io_handler: The handler of its value, or the name of one.
        retry: How it is tried again; a policy, or the name of one of the repository's retries.

    Raises:
        TaskDefinitionError: If an argument is not what it has to be, or the context is not the first
            parameter.

    Examples:
        >>> @Task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> double(4)
        8
    """

    _noun: ClassVar[str] = "task"
    _error: ClassVar[type[RiversError]] = TaskDefinitionError
    _context: ClassVar[ContextType] = TaskExecutionContext

    is_order_only: ClassVar[bool] = False
    """Whether values given to it in the body of a graph asset are only waited for."""

    function: Callable[..., Any]
    tags: list[str]
    partitions_def: PartitionsDefinition | str | None
    partition_mapping: PartitionMapping | None
    io_handler: BaseIOHandler | str | None
    retry: RetryPolicy | str | None

    @overload
    def __new__(cls, wraps: Function, **options: Unpack[TaskOptions]) -> Task: ...
    @overload
    def __new__(  # type: ignore[misc]
        cls, wraps: None = None, **options: Unpack[TaskOptions]
    ) -> Callable[[Function], Task]: ...
    def __new__(
        cls,
        wraps: Function | None = None,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
        partition_mapping: PartitionMapping | None = None,
        io_handler: BaseIOHandler | str | None = None,
        retry: RetryPolicy | str | None = None,
    ) -> Any:
        """Makes the task, or a decorator if there is no function yet."""

        def make(function: Function) -> Task:
            return cls.define(
                function,
                name=name,
                tags=tags,
                partitions_def=partitions_def,
                partition_mapping=partition_mapping,
                io_handler=io_handler,
                retry=retry,
            )

        return Decorator("Task", make) if wraps is None else make(wraps)

    @classmethod
    def define(cls, function: Function, **options: Any) -> Self:
        """Makes a task, after checking each option."""
        get = options.get
        checks, fields = cls._named(function, get("name"))
        fields |= {
            "tags": checks.texts("tags", get("tags")),
            "partitions_def": checks.partitions_def(get("partitions_def")),
            "partition_mapping": checks.partition_mapping(get("partition_mapping")),
            "io_handler": checks.io_handler(get("io_handler")),
            "retry": checks.retry(get("retry")),
        }
        return cls._make(fields)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function; inside the body of a graph asset it adds a node."""
        recorder = current_recorder()
        if recorder is not None:
            return recorder.call_task(self, args, kwargs)
        return self.function(*args, **kwargs)
