"""Requests that an interrupt ends: obstore 0.12 reacts to Ctrl-C and timer signals only when its own call returns."""

from __future__ import annotations

import contextvars
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_POLL_S: Final = 0.1


def interruptible(function: Callable[[], Result]) -> Result:
    """Call a function in a daemon thread, and return its result.

    An exception in the waiting thread, such as `KeyboardInterrupt`, does not wait for the function: its request ends
    with the timeouts of the client.

    Args:
        function: Function that sends a request and waits for the answer.

    Raises:
        BaseException: The error of the function.
    """
    outcome: list[Any] = []
    errors: list[BaseException] = []
    ended = Event()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append(context.run(function))
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    Thread(target=run, name="rivers-objects", daemon=True).start()
    # not `Thread.join`, which takes a thread for ended when it is interrupted (Python 3.11)
    while not ended.wait(_POLL_S):
        pass
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # it refers to this frame
    result: Result = outcome[0]
    return result
