"""Awaitable results: the only module that asks whether a value has to be awaited."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from concurrent.futures import Future, ThreadPoolExecutor
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def resolve_awaitable(result: Any) -> Any:
    """Return `result`, awaiting it first if it is awaitable.

    The awaitable runs on a separate event loop in a thread, so this also works inside a running loop. It sees the
    context variables of the caller.

    Args:
        result: The result of a method that may be `async`.

    Returns:
        The plain value.
    """
    if not inspect.isawaitable(result):
        return result
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rivers-async") as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, _await(result)).result()


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop.

    Code that serves synchronous and asynchronous handlers is written once, as a coroutine. Without an asynchronous
    part it never suspends, so that running it costs no more than a function call.

    Args:
        coroutine: A coroutine that awaits nothing asynchronous.

    Returns:
        Its result.

    Raises:
        RuntimeError: It suspended.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError(
        "Could not run a coroutine without an event loop: it awaited something asynchronous. A handler whose "
        "`load_input` may return an awaitable must declare `is_async_input`."
    )


def is_async_method(method: Callable[..., Any]) -> bool:
    """Return whether a method is declared `async def`.

    Args:
        method: A method of a handler class.
    """
    function = getattr(method, "__func__", method)
    if (
        type(function) is FunctionType and not function.__dict__
    ):  # no mark or wrapper that `inspect` has to follow
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(method)


def returning_values(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a synchronous load method, so that it never returns a coroutine.

    A plain method that calls an asynchronous one returns the coroutine as if it were the value.

    Args:
        load: A bound `load_input` that is not declared asynchronous.

    Returns:
        A callable that returns the loaded value.
    """

    def load_value(context: Any) -> Any:
        value = load(context)
        # the identity test costs 20 ns, `inspect.isawaitable` 400 ns
        return value if type(value) is not CoroutineType else resolve_awaitable(value)

    return load_value


async def await_write(result: Any, *, on_loop: bool) -> None:
    """Wait until a write has finished.

    Args:
        result: The result of `handle_output`: an awaitable, the future of a thread or process, or anything else,
            which is ignored.
        on_loop: Whether the handler is asynchronous and the caller runs on an event loop.
    """
    if on_loop:
        await result
    elif isinstance(result, Future):
        result.result()
    else:
        resolve_awaitable(result)


async def await_result(result: Any) -> Any:
    """Return the result of a function called on an event loop.

    Args:
        result: A value, or an awaitable; the coroutine that an awaitable gives is awaited too.

    Returns:
        The plain value.
    """
    if inspect.isawaitable(result):
        result = await result
    return await result if type(result) is CoroutineType else result


async def _await(result: Any) -> Any:
    return await result
