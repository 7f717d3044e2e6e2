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


class HandlerFailedError(RiversError):
    """A handler raised an error that does not explain itself; it is the cause.

    Args:
        doing: What it was to do: `asset 'orders' cannot be loaded with 'files'`.
        error: What it raised.
    """

    def __init__(self, doing: str, error: BaseException) -> None:
        from rivers.definitions.error_text import error_text

        super().__init__(f"{doing}: {error_text(error)}")


class ReportedError(RiversError):
    """A command did its work and the result is not good; everything was said already.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int = 1) -> None:
        super().__init__("reported already")
        self.code = code
