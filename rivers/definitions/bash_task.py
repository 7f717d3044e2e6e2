"""BashTask: a command as a task."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rivers.definitions.task import Task
from rivers.exceptions import ExecutionError

if TYPE_CHECKING:
    from rivers.definitions.field_checks import FieldChecks
    from rivers.definitions.retry import RetryPolicy
    from rivers.mappings import PartitionMapping
    from rivers_core.handler import BaseIOHandler

__all__ = ["BashTask"]

_STDERR_SHOWN = 2000


class BashTask(Task):
    r"""A command whose standard output is the value: text in UTF-8, as it was written.

    What it is given in the body of a graph asset only has to be done before it: `report(cleaned)`.

    Args:
        name: The task's name.
        command: Text for the shell (`bash`, or `sh` where there is none), or a list that is run as it is.
        env: Variables laid over those of the process.
        cwd: The folder to run in.
        tags: Tags.
        partition_mapping: How its partitions map to those of what it waits for.
        io_handler: The handler of its value, or the name of one.
        retry: How it is tried again.

    Raises:
        TaskDefinitionError: If an argument is not what it has to be.

    Examples:
        >>> BashTask("greet", ["echo", "hello"])()
        'hello\n'
    """

    is_order_only: ClassVar[bool] = True

    command: str | list[str]
    env: dict[str, str]
    cwd: str | None

    def __new__(
        cls,
        name: str,
        command: str | Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tags: Sequence[str] | None = None,
        partition_mapping: PartitionMapping | None = None,
        io_handler: BaseIOHandler | str | None = None,
        retry: RetryPolicy | str | None = None,
    ) -> BashTask:
        """Makes the task, after checking each argument."""
        checks = cls._checks(name)
        checks.name(name)
        argv, variables = _argv(checks, command), _variables(checks, env)
        if cwd is not None and not isinstance(cwd, (str, os.PathLike)):
            raise checks.refuse(f"cwd={cwd!r}: give the path of a folder.")
        folder = None if cwd is None else os.fspath(cwd)
        run = _Command(name, argv, tuple(variables.items()), folder)
        task = cls.define(
            run, name=name, tags=tags, partition_mapping=partition_mapping, io_handler=io_handler, retry=retry
        )
        kept = {
            "command": argv if isinstance(argv, str) else list(argv),
            "env": variables,
            "cwd": folder,
        }
        task.__dict__.update(kept)
        return task


@dataclass(frozen=True, slots=True)
class _Command:
    """The command as a function."""

    name: str
    command: str | tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str | None

    def __call__(self) -> str:
        """Runs the command and returns its standard output.

        Raises:
            ExecutionError: If it cannot be started, ends with a code other than 0, or writes what is not UTF-8.
        """
        arguments = self._arguments()
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **dict(self.env)},
                cwd=self.cwd,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            where = f" in {self.cwd!r}" if self.cwd is not None else ""
            raise ExecutionError(
                f"Task {self.name!r}: {arguments[0]!r} cannot be started{where}: {error}."
            ) from error
        with process:
            try:
                out, err = process.communicate()
            except BaseException:
                _kill(process)
                raise
        if process.returncode != 0:
            raise ExecutionError(self._failure(process.returncode, err.decode("utf-8", "replace")))
        try:
            return out.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ExecutionError(
                f"Task {self.name!r}: the command {self._shown()} wrote bytes that are not text in UTF-8, the first "
                f"at place {error.start} of {len(out)}. Let it write them to a file, or as text (iconv, base64)."
            ) from error

    def _arguments(self) -> list[str]:
        if not isinstance(self.command, str):
            return list(self.command)
        if os.name != "posix":
            return [os.environ.get("COMSPEC", "cmd.exe"), "/c", self.command]
        shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
        return [shell, "-c", self.command]

    def _failure(self, code: int, err: str) -> str:
        ended = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with code {code}"
        text = err.strip()
        shown = text if len(text) <= _STDERR_SHOWN else f"... {text[-_STDERR_SHOWN:]}"
        said = f" Its standard error ends:\n{shown}" if shown else " It wrote nothing to standard error."
        return f"Task {self.name!r}: the command {self._shown()} {ended}.{said}"

    def _shown(self) -> str:
        text = repr(self.command if isinstance(self.command, str) else list(self.command))
        return text if len(text) <= 200 else f"{text[:200]}..."


def _argv(checks: FieldChecks, command: object) -> str | tuple[str, ...]:
    if isinstance(command, str):
        argv: str | tuple[str, ...] = command
    elif isinstance(command, Sequence) and all(isinstance(part, (str, os.PathLike)) for part in command):
        argv = tuple(os.fspath(part) for part in command)
    else:
        raise checks.refuse(f"command={command!r}: give text for the shell, or a list of texts.")
    if not argv or not argv[0].strip():
        raise checks.refuse("the command is empty.")
    return argv


def _variables(checks: FieldChecks, env: object) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise checks.refuse(f"env={env!r}: give a dictionary of text.")
    for variable, value in env.items():
        if not (isinstance(variable, str) and isinstance(value, str)):
            raise checks.refuse(f"env: {variable!r}: {value!r} is not text; write {str(value)!r}.")
    return dict(env)


def _kill(process: subprocess.Popen[Any]) -> None:
    """Ends the command with everything that it started."""
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
