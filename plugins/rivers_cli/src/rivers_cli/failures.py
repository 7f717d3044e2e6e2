"""What the command says when something goes wrong, and the exit code that goes with it."""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivers import exceptions
from rivers_cli.output import printable
from rivers_cli.problems import HandlerFailedError, ReportedError, UsageProblemError, UserCodeError
from rivers_core.plugins import ENTRY_POINT_GROUP

if TYPE_CHECKING:
    from types import TracebackType

    from rivers_cli.session import Session

FAILED: Final = 1
MISTAKE: Final = 2
INTERRUPTED: Final = 130

_ARGUMENT: Final = re.compile(r"(?<![\w'\"])partition_key(?:=|\b(?![\w'\"]))")
_OURS: Final = ("rivers", "rivers_core", "rivers_cli", "typer")

_MISTAKES: Final = (
    UsageProblemError,
    UserCodeError,
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


def report(error: Exception, session: Session) -> int:
    """Tell on stderr what went wrong: the message, and a traceback only where it helps; never a credential.

    Args:
        error: What ended the command.
        session: The call, which says whether everything is to be shown.

    Returns:
        The exit code.
    """
    if isinstance(error, ReportedError):
        return error.code
    is_ours = False
    if isinstance(error, (UserCodeError, HandlerFailedError)) and not session.traceback:
        told = f"{_where(error)}Error: {error}"
    elif isinstance(error, exceptions.PartitionValidationError) and not session.traceback:
        # the engine speaks of its argument, which on a command line is an option
        told, is_ours = f"Error: {_ARGUMENT.sub('-p ', str(error)).rstrip()}", True
    elif isinstance(error, exceptions.RiversError) and not session.traceback:
        told, is_ours = f"Error: {error}", True
    elif comes_from_project(error) and not session.traceback:
        told = project_traceback(error)
    else:
        told = "".join(traceback.format_exception(error)).rstrip()
    print(printable(session.without_secrets(told, is_ours=is_ours), sys.stderr), file=sys.stderr)
    return exit_code(error)


def _where(error: UserCodeError | HandlerFailedError) -> str:
    """The lines of the project that an error comes from, if there are any."""
    cause = error.__cause__
    if cause is None or (isinstance(error, HandlerFailedError) and not comes_from_project(cause)):
        return ""
    return f"{project_traceback(cause)}\n"


def exit_code(error: Exception) -> int:
    """2 for a mistake in the call, the configuration or the definitions, 1 for everything else."""
    return MISTAKE if isinstance(error, _MISTAKES) else FAILED


def project_traceback(error: BaseException) -> str:
    """The traceback of an error from the first line of the project's own code on.

    Args:
        error: An error that passed through the engine on its way from the project's code.

    Returns:
        Its lines as text; without frames if none is the project's.
    """
    shown = traceback.TracebackException.from_exception(error)
    _keep_project_frames(shown, error.__traceback__)
    return "".join(shown.format()).rstrip()


def comes_from_project(error: BaseException) -> bool:
    """Whether a line of the project's own code took part in raising an error."""
    return any(_is_of_project(frame.filename) for frame in traceback.extract_tb(error.__traceback__))


def _keep_project_frames(shown: traceback.TracebackException, trace: TracebackType | None) -> None:
    frames = list(traceback.extract_tb(trace))
    first = next((index for index, frame in enumerate(frames) if _is_of_project(frame.filename)), len(frames))
    shown.stack = traceback.StackSummary.from_list(frames[first:])


def _is_of_project(filename: str) -> bool:
    return not filename.startswith(("<frozen", *_our_folders())) and "site-packages" not in filename


@cache
def _our_folders() -> tuple[str, ...]:
    """Where Python, this command, the engine, handlers and executors are."""
    from importlib.metadata import entry_points

    # of what was announced, whether it may be imported or not: this is no moment to import anything
    packages = {
        *_OURS,
        *(entry.value.partition(":")[0].partition(".")[0] for entry in entry_points(group=ENTRY_POINT_GROUP)),
    }
    files = [getattr(sys.modules.get(package), "__file__", None) for package in packages]
    return sysconfig.get_path("stdlib"), *(f"{Path(file).parent}/" for file in files if file)
