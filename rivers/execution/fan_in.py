"""Load several partition keys of one asset, concurrently where that saves time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from rivers.exceptions import ExecutionError
from rivers_core.authoring import shown_keys
from rivers_core.awaitables import run_sync
from rivers_core.exceptions import NotMaterializedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rivers.graph.plan import HandlerBinding
    from rivers_core.contexts import InputContext

    LoadOne = Callable[[InputContext], Awaitable[Any]]

CONCURRENT_LOADS = 16


async def load_each(
    binding: HandlerBinding, contexts: Sequence[InputContext], load: LoadOne, *, on_loop: bool = False
) -> list[Any]:
    """Load one value per context, concurrently from handlers whose store is outside the process.

    An asynchronous handler is awaited on the event loop; any other is called in several threads, so that
    many keys wait for the store at once.

    Args:
        binding: Handler that `load` calls.
        contexts: Contexts of one partition key each.
        load: Loads one value.
        on_loop: Whether the caller runs on an event loop, which must not be blocked while threads load.

    Returns:
        Values in the order of the contexts; a `NotMaterializedError` in place of a value that was never stored.

    Raises:
        Exception: The first other error in this order; no load is left running.
    """
    if binding.is_async_input:
        return await _on_the_loop(contexts, load)
    if binding.handler.locality == "process" or len(contexts) < 2:
        return [await _value_or_missing(context, load) for context in contexts]
    with ThreadPoolExecutor(min(CONCURRENT_LOADS, len(contexts)), "rivers-load") as pool:
        jobs = [pool.submit(copy_context().run, _in_this_thread, context, load) for context in contexts]
        try:
            if on_loop:
                return list(await asyncio.gather(*map(asyncio.wrap_future, jobs)))
            return [job.result() for job in jobs]
        finally:
            for job in jobs:
                job.cancel()


def by_key(
    keys: Sequence[Any],
    values: Sequence[Any],
    asset: str,
    handler: str,
    *,
    allow_missing: bool = False,
    advice: str = "materialize them first",
) -> dict[Any, Any]:
    """Return loaded values by key.

    Args:
        keys: Keys as the consumer receives them.
        values: Result of `load_each`.
        asset: Name of the asset.
        handler: Label of the handler, for the error.
        allow_missing: Whether to leave out values that were never stored.
        advice: Advice about missing keys, for the error.

    Raises:
        NotMaterializedError: Values were never stored; the message names up to five keys and their number.
    """
    missing = {
        str(key): value
        for key, value in zip(keys, values, strict=True)
        if isinstance(value, NotMaterializedError)
    }
    if missing and not allow_missing:
        names = shown_keys(missing)
        raise NotMaterializedError(
            asset,
            partition=names,
            handler=handler,
            message=f"asset {asset!r} is not materialized for {len(missing)} of the {len(keys)} partition keys "
            f"that are needed: {names}; {advice}",
        ) from next(iter(missing.values()))
    return {key: value for key, value in zip(keys, values, strict=True) if str(key) not in missing}


async def _on_the_loop(contexts: Sequence[InputContext], load: LoadOne) -> list[Any]:
    gate = asyncio.Semaphore(CONCURRENT_LOADS)

    async def load_one(context: InputContext) -> Any:
        async with gate:
            return await _value_or_missing(context, load)

    tasks = [asyncio.ensure_future(load_one(context)) for context in contexts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _in_this_thread(context: InputContext, load: LoadOne) -> Any:
    return run_sync(_value_or_missing(context, load))


async def _value_or_missing(context: InputContext, load: LoadOne) -> Any:
    try:
        return await load(context)
    except ExecutionError:  # of a run within the handler; it may also be a FileNotFoundError
        raise
    except NotMaterializedError as error:
        return error
    except FileNotFoundError as error:
        partition = context.partition
        return NotMaterializedError(
            context.asset_name, partition=None if partition is None else partition.key, message=str(error)
        )
