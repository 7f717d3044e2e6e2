"""Tracebacks of failed steps: the frames of the project, without those of the engine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

FULL_TRACEBACKS: Final = "RIVERS_FULL_TRACEBACKS"
"""Variable that keeps all frames, if it is set to anything but 0."""

_keeping: ContextVar[bool] = ContextVar("rivers_keeps_frames", default=False)

_ENGINE: Final = ("rivers", "rivers_core", "asyncio")


def trim_traceback(error: BaseException) -> None:
    """Remove the frames of the engine that called the code which raised an error.

    An error within the engine keeps them all, as does any error if `RIVERS_FULL_TRACEBACKS` is set.

    Args:
        error: The error of a step.
    """
    if keeps_frames():
        return
    trace = error.__traceback__
    while trace is not None and _is_of_engine(trace.tb_frame):
        trace = trace.tb_next
    if trace is not None:
        error.__traceback__ = trace


@contextmanager
def keeping_frames() -> Iterator[None]:
    """Keep all frames of the errors of runs within the block."""
    token = _keeping.set(True)
    try:
        yield
    finally:
        _keeping.reset(token)


def keeps_frames() -> bool:
    """Return whether tracebacks are shown with all frames."""
    return _keeping.get() or os.environ.get(FULL_TRACEBACKS, "0") != "0"


def _is_of_engine(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _ENGINE
