"""Errors of the command itself."""

from __future__ import annotations

from rivers_core.exceptions import RiversError


class UsageProblemError(RiversError, ValueError):
    """The call cannot be carried out as it stands; the message says what to write instead."""


class UserCodeError(RiversError, ImportError):
    """The project's own code raised while it was imported; its error is the cause.

    Args:
        module: The module that was to be imported.
    """

    def __init__(self, module: str) -> None:
        super().__init__(f"{module!r} could not be imported; the error above is in the code of the project.")
        self.module = module


class ReportedError(RiversError):
    """A command did its work and the result is not good; everything was said already.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int = 1) -> None:
        super().__init__("reported already")
        self.code = code
