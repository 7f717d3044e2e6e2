"""Interruptible requests.

obstore (up to 0.12) and deltalake (up to 1.6) react to Ctrl-C and timer signals only when their own call returns.
"""

from __future__ import annotations

import contextvars
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_POLL_S: Final = 0.1


class InterruptibleCall(Generic[Result]):
    """A call in a daemon thread, which sees the context variables of its caller.

    Args:
        function: Function that sends a request and waits for the answer.

    Attributes:
        ended: Set when the function has returned or raised.
    """

    _result: Result
    _error: BaseException | None = None

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        # not `Thread.join`, which takes a thread for ended when it is interrupted (Python 3.11)
        self.ended = Event()

    def wait(self) -> Result:
        """Start the thread, wait until it ends, and return the result of the function.

        An exception in the waiting thread, such as `KeyboardInterrupt`, does not wait for the function: its request
        ends with the timeouts of the client.

        Raises:
            BaseException: The error of the function.
        """
        Thread(target=self._run, name="rivers-call", daemon=True).start()
        while not self.ended.wait(_POLL_S):
            pass
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self._error  # it refers to this frame
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._context.run(self._function)
        except BaseException as error:
            self._error = error
        finally:
            del self._function
            self.ended.set()


def interruptible(function: Callable[[], Result]) -> Result:
    """Return the result of an `InterruptibleCall`.

    Args:
        function: Function that sends a request and waits for the answer.
    """
    return InterruptibleCall(function).wait()
