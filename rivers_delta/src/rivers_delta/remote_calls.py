"""Calls of remote stores: interruptible while a store does not answer.

deltalake handles Ctrl-C and timer signals only when its own call ends. Calls of remote stores therefore run in a daemon
thread, and the caller waits for it in Python. A call that was interrupted goes on in its thread: it is not known yet
whether its commit succeeds. The next call for the same table waits for it, so that it reads the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from rivers_core.exceptions import RiversError
from rivers_delta.log.location import shown
from rivers_objects.interruptible import InterruptibleCall

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from rivers_core import InputContext, OutputContext

Result = TypeVar("Result")

CLIENT_DEFAULTS: Final = {
    "connect_timeout": "5s",
    "timeout": "30s",
    "max_retries": "3",
    "retry_timeout": "60s",
}
"""Client options of remote stores: a store that never answers is given up after about a minute and a half."""

_POLL_S: Final = 0.1
_SETTLE_S: Final = 120.0

_interrupted: Final[dict[str, Event]] = {}


def call(
    context: OutputContext | InputContext | None, address: str, function: Callable[[], Result]
) -> Result:
    """Call a function that uses a remote store, and return its result.

    Args:
        context: Asset and partition, if the call may commit: an interrupted commit is logged.
        address: The table, or the root of tables.
        function: The call.

    Raises:
        RiversError: An interrupted call for the same address does not end.
    """
    _settle(address)
    running = InterruptibleCall(function)
    try:
        return running.wait()
    except BaseException as interrupt:
        if running.ended.is_set():
            raise
        _interrupted[address] = running.ended
        if context is not None:
            message = (
                f"The outcome of the write of asset {context.asset_name!r} to {shown(address)!r} is unknown: it was "
                "interrupted, and its commit may still succeed. The next read of the table shows it."
            )
            context.log.warning(message)
            interrupt.add_note(message)
        raise


def _settle(address: str) -> None:
    """Wait until an interrupted call for a table has ended."""
    ended = _interrupted.get(address)
    if ended is None:
        return
    waited = 0.0
    while not ended.wait(_POLL_S):
        waited += _POLL_S
        if waited > _SETTLE_S:
            raise RiversError(
                f"Could not use table {shown(address)!r}: a call that was interrupted is still waiting for the store, "
                "and may change the table. Try again later, or start another process."
            )
    _interrupted.pop(address, None)
