"""Running a coroutine that never waits, without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in this thread.

    The code of a step is written once, as a coroutine; a step without anything asynchronous in it never
    suspends, so that it needs no loop and costs a function call.

    Args:
        coroutine: One that awaits nothing that suspends.

    Returns:
        What it returns.

    Raises:
        RuntimeError: It did suspend.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a step without asynchronous parts waited for something")
