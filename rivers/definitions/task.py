"""Tasks: functions and commands that are nodes of graph assets, or steps on their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypedDict, overload

from rivers.definitions.composition import current_recorder
from rivers.definitions.contexts import TaskExecutionContext
from rivers.definitions.definition import Definition, Option, accepts
from rivers.definitions.field_checks import FieldChecks
from rivers.exceptions import CommandError, TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Concatenate, Unpack

    from typing_extensions import ParamSpec, TypeVar

    from rivers.definitions.contexts import AssetExecutionContext
    from rivers.definitions.fan_out import (
        DynamicOutput,
        MappableItems,
        MappableOutputList,
        MappableOutputs,
    )
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.signature import ContextType
    from rivers.exceptions import RiversError
    from rivers.mappings import PartitionMapping
    from rivers.partitions import PartitionsDefinition
    from rivers_core.handler import BaseIOHandler

    # the defaults make a bare `Task` a complete annotation
    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
    Q = ParamSpec("Q")
    T = TypeVar("T")
    C = TypeVar("C", bound="AssetExecutionContext[Any] | TaskExecutionContext[Any]")
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["BashTask", "Task"]

Function = Callable[..., Any]


class TaskDecorator(Protocol):
    """Decorator returned by `Task(...)`; it keeps parameters and return type of the function."""

    @overload
    def __call__(self, function: Callable[Concatenate[C, P], R], /) -> ContextTask[C, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class TaskOptions(TypedDict, total=False):
    """Keyword arguments of `Task`."""

    name: str | None
    tags: Sequence[str] | None
    partitions_def: PartitionsDefinition | str | None
    partition_mapping: Mapping[str | Definition, PartitionMapping] | PartitionMapping | None
    io_handler: BaseIOHandler | str | None
    retry: RetryPolicy | str | None


class Task(Definition, Generic[P, R]):
    """A function that is a node of graph assets, or a step on its own; a decorator, bare or with arguments, or a call.

    Called in the body of a graph asset it adds a node; called anywhere else it calls its function.

    Args:
        wraps: The function.
        name: Name of the task; by default the name of the function.
        tags: Tags.
        partitions_def: Partitions when it runs on its own; inside a graph asset it has the graph's.
        partition_mapping: Mapping of its partitions to those of its inputs: one for all, or by name of the input.
        io_handler: Handler of its value, or the name of one.
        retry: Retry policy, or the name of an entry of the repository's `retries`.

    Raises:
        TaskDefinitionError: An argument is not valid, or the context is not the first parameter.

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
    """Whether values passed to it in the body of a graph asset are not loaded, but only have to be stored first."""

    function: Callable[P, R]
    tags = Option(FieldChecks.texts)
    partitions_def = Option(FieldChecks.partitions_def)
    partition_mapping = Option(FieldChecks.partition_mappings)
    io_handler = Option(FieldChecks.io_handler)
    retry = Option(FieldChecks.retry)

    @overload
    def __new__(
        cls, wraps: Callable[Concatenate[C, Q], T], **options: Unpack[TaskOptions]
    ) -> ContextTask[C, Q, T]: ...
    @overload
    def __new__(cls, wraps: Callable[P, R], **options: Unpack[TaskOptions]) -> Task[P, R]: ...
    @overload
    def __new__(  # type: ignore[misc]
        cls, wraps: None = None, **options: Unpack[TaskOptions]
    ) -> TaskDecorator: ...
    @accepts(TaskOptions)
    def __new__(cls, wraps: Function | None = None, *, options: TaskOptions) -> Any:
        """Create the task, or return a decorator if there is no function yet."""
        return cls.decorate("Task", wraps, options)

    @overload
    def __call__(
        self: Task[Q, Iterator[DynamicOutput[T]]], *args: Q.args, **kwargs: Q.kwargs
    ) -> MappableOutputs[T]: ...
    @overload  # a list of DynamicOutputs is a list, too, for which the next overload has another result
    def __call__(  # type: ignore[overload-overlap]
        self: Task[Q, list[DynamicOutput[T]]], *args: Q.args, **kwargs: Q.kwargs
    ) -> MappableOutputList[T]: ...
    @overload
    def __call__(self: Task[Q, list[T]], *args: Q.args, **kwargs: Q.kwargs) -> MappableItems[T]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; in the body of a graph asset add a node."""
        recorder = current_recorder()
        if recorder is not None:
            return recorder.call_task(self, args, kwargs)
        return self.function(*args, **kwargs)


if TYPE_CHECKING:

    class ContextTask(Task[Concatenate[C, P], R], Generic[C, P, R]):
        """Type of a task with a context for type checkers: a call in the body of a graph asset does not pass it."""

        @overload
        def __call__(
            self: ContextTask[C, Q, Iterator[DynamicOutput[T]]], *args: Q.args, **kwargs: Q.kwargs
        ) -> MappableOutputs[T]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self: ContextTask[C, Q, list[DynamicOutput[T]]], *args: Q.args, **kwargs: Q.kwargs
        ) -> MappableOutputList[T]: ...
        @overload
        def __call__(
            self: ContextTask[C, Q, list[T]], *args: Q.args, **kwargs: Q.kwargs
        ) -> MappableItems[T]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        @overload
        def __call__(self, context: C, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...  # type: ignore[misc]


class BashTask(Task[..., str]):
    """A command whose standard output is the value: UTF-8 text, without trailing newlines.

    Values passed to it in the body of a graph asset only have to be stored first: `report(cleaned)`.

    Args:
        name: Name of the task.
        command: Text for the shell (`bash`, or `sh` if there is none), or a list that runs without a shell.
        env: Variables that are added to those of the process.
        cwd: Working folder.
        tags: Tags.
        partition_mapping: Mapping of its partitions to those of its upstreams: one for all, or by name.
        io_handler: Handler of its value, or the name of one.
        retry: Retry policy, or the name of one.

    Raises:
        TaskDefinitionError: An argument is not valid.

    Examples:
        >>> BashTask("greet", ["echo", "hello"])()
        'hello'
    """

    is_order_only: ClassVar[bool] = True

    command: str | list[str]
    env: dict[str, str] | None
    cwd: str | None

    def __new__(
        cls,
        name: str,
        command: str | Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tags: Sequence[str] | None = None,
        partition_mapping: Mapping[str | Definition, PartitionMapping] | PartitionMapping | None = None,
        io_handler: BaseIOHandler | str | None = None,
        retry: RetryPolicy | str | None = None,
    ) -> BashTask:
        """Create the task, after checking every argument."""
        checks = cls._checks(name)
        checks.name("name", name)
        argv, variables, folder = _argv(checks, command), _variables(checks, env), _folder(checks, cwd)
        options: TaskOptions = {
            "name": name,
            "tags": tags,
            "partition_mapping": partition_mapping,
            "io_handler": io_handler,
            "retry": retry,
        }
        task = cls.define(_Command(name, argv, tuple((variables or {}).items()), folder), options)
        task.__dict__.update(command=argv if isinstance(argv, str) else list(argv), env=variables, cwd=folder)
        return task


_SHOWN_STDERR = 2000
_SHOWN_COMMAND = 200


@dataclass(frozen=True, slots=True)
class _Command:
    """The command as a function."""

    name: str
    command: str | tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str | None

    def __call__(self) -> str:
        """Run the command and return its standard output without trailing newlines, as `$(...)` of a shell does.

        Raises:
            CommandError: It cannot be started, exits with a code other than 0, or does not write UTF-8.
        """
        process = self._start()
        with process:
            try:
                out, err = process.communicate()
            except BaseException:
                _kill(process)
                raise
        if process.returncode != 0:
            raise CommandError(self._failure(process.returncode, err.decode("utf-8", "replace")))
        try:
            return out.decode("utf-8").rstrip("\n")
        except UnicodeDecodeError as error:
            raise CommandError(
                f"Task {self.name!r}: the output of command {self._shortened()} is not UTF-8 text: invalid byte at "
                f"position {error.start} of {len(out)}. Write it to a file, or as text (iconv, base64)."
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = self._arguments()
        try:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **dict(self.env)},
                cwd=self.cwd,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            place = f" in {self.cwd!r}" if self.cwd is not None else ""
            raise CommandError(
                f"Task {self.name!r}: could not start {arguments[0]!r}{place}: {error}."
            ) from error

    def _arguments(self) -> list[str]:
        if not isinstance(self.command, str):
            return list(self.command)
        if os.name != "posix":
            return [os.environ.get("COMSPEC", "cmd.exe"), "/c", self.command]
        shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
        return [shell, "-c", self.command]

    def _failure(self, code: int, err: str) -> str:
        outcome = f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
        text = err.strip()
        if len(text) > _SHOWN_STDERR:
            text = f"... {text[-_SHOWN_STDERR:]}"
        stderr = f" Its standard error:\n{text}" if text else " Its standard error is empty."
        return f"Task {self.name!r}: command {self._shortened()} {outcome}.{stderr}"

    def _shortened(self) -> str:
        text = repr(self.command if isinstance(self.command, str) else list(self.command))
        return text if len(text) <= _SHOWN_COMMAND else f"{text[:_SHOWN_COMMAND]}..."


def _argv(checks: FieldChecks, command: object) -> str | tuple[str, ...]:
    if isinstance(command, str):
        argv: str | tuple[str, ...] = command
    elif isinstance(command, Sequence) and all(isinstance(part, (str, os.PathLike)) for part in command):
        argv = tuple(os.fspath(part) for part in command)
    else:
        raise checks.refuse_type(
            f"command must be a string for the shell or a list of strings, got {command!r}."
        )
    if not argv or not argv[0].strip():
        raise checks.refuse("command must not be empty.")
    return argv


def _variables(checks: FieldChecks, env: object) -> dict[str, str] | None:
    if env is None:
        return None
    if not isinstance(env, Mapping):
        raise checks.refuse_type(f"env must be a dictionary of strings, got {env!r}.")
    for variable, value in env.items():
        if not (isinstance(variable, str) and isinstance(value, str)):
            raise checks.refuse_type(
                f"env must be a dictionary of strings, got {variable!r}: {value!r}. Use {str(value)!r}."
            )
    return dict(env)


def _folder(checks: FieldChecks, cwd: object) -> str | None:
    if cwd is not None and not isinstance(cwd, (str, os.PathLike)):
        raise checks.refuse_type(f"cwd must be the path of a folder, got {cwd!r}.")
    return None if cwd is None else os.fspath(cwd)


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill the command and every process that it started."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
