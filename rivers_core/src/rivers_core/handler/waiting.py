"""The result of a handler method that may be `async`, for callers that are not."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def resolve_awaitable(result: Any) -> Any:
    """The value itself, waited for if the method was `async`.

    Args:
        result: What a handler method returned.

    Returns:
        The result, or what the awaitable gave. It runs on a loop of its own, in a thread, so that this also
        works for a caller inside a running loop; context variables are those of the caller.
    """
    if not inspect.isawaitable(result):
        return result
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rivers-async") as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, _await(result)).result()


async def _await(result: Any) -> Any:
    return await result
