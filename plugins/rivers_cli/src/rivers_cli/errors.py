"""Errors of the command, and how any error is reported: the message, and the exit code."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers.inspection.errors import HandlerFailedError, ProjectImportError
    from rivers_cli.session import Session

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

_ARGUMENTS: Final = (
    (re.compile(r"(?<![\w'\"])partition_key="), "-p "),
    (re.compile(r"(?<![\w'\"])partition_key\b(?![\w'\"])"), "-p"),
    (re.compile(r"(?<![\w'\"])partitions="), "--partitions "),
    (re.compile(r"^partitions (?=must be )"), "--partitions "),
)


class UsageError(RiversError, ValueError):
    """The arguments of the command are not valid."""


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
    from rivers.inspection.errors import (
        HandlerFailedError,
        ProjectImportError,
        comes_from_project,
        project_traceback,
    )
    from rivers_cli.output import print_error

    if isinstance(error, ExitError):
        return error.code
    is_own_message = False
    if session.traceback:
        text = "".join(traceback.format_exception(error)).rstrip()
    elif isinstance(error, (ProjectImportError, HandlerFailedError)):
        text = f"{_project_cause(error)}Error: {error}"
    elif isinstance(error, PartitionValidationError):
        text, is_own_message = f"Error: {_with_options(str(error))}", True
    elif isinstance(error, RiversError):
        text, is_own_message = f"Error: {error}", True
    elif comes_from_project(error):
        text = project_traceback(error)
    else:
        text = "".join(traceback.format_exception(error)).rstrip()
    print_error(session.redact(text, is_own_message=is_own_message))
    return _exit_code(error)


def _with_options(message: str) -> str:
    """Return a message of the engine with its arguments as the options that they are here."""
    for argument, option in _ARGUMENTS:
        message = argument.sub(option, message)
    return message


def _project_cause(error: ProjectImportError | HandlerFailedError) -> str:
    from rivers.inspection.errors import HandlerFailedError, comes_from_project, project_traceback

    cause = error.__cause__
    if cause is None or (isinstance(error, HandlerFailedError) and not comes_from_project(cause)):
        return ""
    return f"{project_traceback(cause)}\n"


def _exit_code(error: Exception) -> int:
    """Return 2 for an error of the call, the configuration or the definitions, else 1."""
    from rivers import exceptions
    from rivers.inspection.errors import ProjectError, ProjectImportError

    usage_errors = (
        UsageError,
        ProjectError,
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
