"""Errors of the command, and how any error is reported: the message, and the exit code."""

from __future__ import annotations

import re
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers_cli.session import Session

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

_PARTITION_ARGUMENT: Final = re.compile(r"(?<![\w'\"])partition_key(?:=|\b(?![\w'\"]))")
_FRAMEWORK: Final = ("rivers", "rivers_core", "rivers_cli", "typer")


class UsageError(RiversError, ValueError):
    """The arguments of the command are not valid."""


class ProjectImportError(RiversError, ImportError):
    """The project's own code raised while it was imported; its error is the cause.

    Args:
        module: The module that could not be imported.
    """

    def __init__(self, module: str) -> None:
        super().__init__(f"Could not import {module!r}: the project's code raised the error above.")
        self.module = module


class HandlerFailedError(RiversError):
    """A handler raised an error that is not of rivers; it is the cause.

    Args:
        action: What failed: `Could not load asset 'orders' with handler 'files'`.
        error: The error of the handler.
    """

    def __init__(self, action: str, error: BaseException) -> None:
        super().__init__(f"{action}: {describe_error(error)}")


class ExitError(RiversError):
    """The command has reported its result already and ends with this exit code.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int = EXIT_FAILED) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def report_error(error: Exception, session: Session) -> int:
    """Print an error to stderr without credentials: its message, with a traceback only where that helps.

    Args:
        error: The error that ended the command.
        session: The call, which decides whether the whole traceback is printed.

    Returns:
        The exit code.
    """
    from rivers.exceptions import PartitionValidationError
    from rivers_cli.output import print_error

    if isinstance(error, ExitError):
        return error.code
    is_own_message = False
    if session.traceback:
        text = "".join(traceback.format_exception(error)).rstrip()
    elif isinstance(error, (ProjectImportError, HandlerFailedError)):
        text = f"{_project_cause(error)}Error: {error}"
    elif isinstance(error, PartitionValidationError):
        # the engine names its argument, which is an option here
        text, is_own_message = f"Error: {_PARTITION_ARGUMENT.sub('-p ', str(error)).rstrip()}", True
    elif isinstance(error, RiversError):
        text, is_own_message = f"Error: {error}", True
    elif comes_from_project(error):
        text = project_traceback(error)
    else:
        text = "".join(traceback.format_exception(error)).rstrip()
    print_error(session.redact(text, is_own_message=is_own_message))
    return _exit_code(error)


def describe_error(error: BaseException) -> str:
    """Return an error as one text; errors of rivers need no class name."""
    from rivers.definitions.error_text import error_text

    return str(error) if isinstance(error, RiversError) else error_text(error)


def findings_of(error: RiversError) -> list[str]:
    """Return the problems that an error lists, or its message."""
    return list(getattr(error, "findings", ())) or [str(error)]


def project_traceback(error: BaseException) -> str:
    """Return the traceback of an error from the first line of the project's code on.

    Args:
        error: An error that passed through the engine.

    Returns:
        Its lines; without frames if none is the project's.
    """
    shown = traceback.TracebackException.from_exception(error)
    frames = list(traceback.extract_tb(error.__traceback__))
    first = next((index for index, frame in enumerate(frames) if _is_project(frame.filename)), len(frames))
    shown.stack = traceback.StackSummary.from_list(frames[first:])
    return "".join(shown.format()).rstrip()


def comes_from_project(error: BaseException) -> bool:
    """Return whether a line of the project's code is in the traceback of an error."""
    return any(_is_project(frame.filename) for frame in traceback.extract_tb(error.__traceback__))


def _project_cause(error: ProjectImportError | HandlerFailedError) -> str:
    cause = error.__cause__
    if cause is None or (isinstance(error, HandlerFailedError) and not comes_from_project(cause)):
        return ""
    return f"{project_traceback(cause)}\n"


def _exit_code(error: Exception) -> int:
    """Return 2 for an error of the call, the configuration or the definitions, else 1."""
    from rivers import exceptions

    usage_errors = (
        UsageError,
        ProjectImportError,
        exceptions.AssetDefinitionError,
        exceptions.AssetNotFoundError,
        exceptions.ConfigurationError,
        exceptions.GraphValidationError,
        exceptions.HandlerNotFoundError,
        exceptions.InvalidMetadataError,
        exceptions.NodeNotFoundError,
        exceptions.PartitionDefinitionError,
        exceptions.PartitionValidationError,
        exceptions.PluginLoadError,
        exceptions.ResultDefinitionError,
        exceptions.TaskDefinitionError,
    )
    return EXIT_USAGE if isinstance(error, usage_errors) else EXIT_FAILED


def _is_project(filename: str) -> bool:
    return not filename.startswith(("<frozen", *_framework_folders())) and "site-packages" not in filename


@cache
def _framework_folders() -> tuple[str, ...]:
    """Return the folders of Python, the command, the engine, handlers and executors."""
    import sysconfig
    from importlib.metadata import entry_points

    from rivers_core.plugins import ENTRY_POINT_GROUP

    # announced packages, without importing any: an error is being reported, and the policy may deny them
    packages = {
        *_FRAMEWORK,
        *(entry.value.partition(":")[0].partition(".")[0] for entry in entry_points(group=ENTRY_POINT_GROUP)),
    }
    files = [getattr(sys.modules.get(package), "__file__", None) for package in packages]
    return sysconfig.get_path("stdlib"), *(f"{Path(file).parent}/" for file in files if file)
