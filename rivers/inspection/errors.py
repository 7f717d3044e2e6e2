"""Errors of reading a project, and how the error of a project's code is described."""

from __future__ import annotations

import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Final

from rivers_core.exceptions import RiversError

_FRAMEWORK: Final = ("rivers", "rivers_core", "rivers_cli", "typer")


class ProjectError(RiversError, ValueError):
    """The project, or its repository, was not found."""


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
