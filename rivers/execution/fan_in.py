"""Fan-in: load the partitions that an input needs, concurrently where that saves time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from rivers.exceptions import ExecutionError, NotMaterializedError
from rivers.execution.handler_calls import input_context, load_value
from rivers.execution.lineage import combined_version, needed_keys, observation_of
from rivers.execution.loaded_versions import confirmed_version
from rivers_core.authoring import resolve_awaitable, shown_keys
from rivers_core.awaitables import run_sync
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import HandlerBinding, LoadedInput, Step
    from rivers.storage import Event
    from rivers_core.contexts import InputContext
    from rivers_core.partitions import PartitionKey

    LoadOne = Callable[[InputContext], Awaitable[Any]]
    Expected = dict[str | None, str]

CONCURRENT_LOADS = 16


def takes_several(loaded: LoadedInput, step: Step, run: Run) -> bool:
    """Return whether a step receives `{key: value}`; definitions and requested keys decide, never stored data."""
    return loaded.fans_in or run.is_over_several(step)


async def load_partitions(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    own_keys: Sequence[PartitionKey],
    versions: list[tuple[str, str]],
    expected: Expected | None = None,
) -> Any:
    """Load the partitions of an upstream that keys of a step need.

    Args:
        loaded: The bound input, with a mapping.
        step: The consuming step.
        run: The run.
        own_keys: The partition keys of this call of the step.
        versions: Receives the name of the asset and its loaded data version, of several keys a digest of them.
        expected: Receives the loaded version of each key, empty text for one that was never stored.

    Returns:
        The value; for several partition keys `{key: value}` in the order of the definition, or one value for all from
        a batching handler.

    Raises:
        NotMaterializedError: A needed key was never stored.
    """
    upstream = loaded.upstream
    assert loaded.mapping is not None
    keys = needed_keys(loaded, step, own_keys, run.past_of(step))
    texts = [str(key) for key in keys]
    stored = run.stored_each(upstream.name, texts, step)
    observed = observation_of(upstream, run)
    events = stored if observed is None else [observed] * len(keys)
    expected = {} if expected is None else expected
    if not takes_several(loaded, step, run):
        if not keys:
            if loaded.mapping.allows_missing:
                return None
            raise _nothing_maps(loaded, step, own_keys)
        partition = PartitionContext(keys, upstream.partitions_def)
        context = input_context(loaded, step, run, events[0], partition, loaded.type_hint)
        try:
            value = await load_value(loaded, context, run)
        except FileNotFoundError:
            expected[texts[0]] = ""
            raise
        contexts = {texts[0]: context}
    elif loaded.binding.handler.partition_batches and not loaded.items.is_mapping and keys:
        value, context = await _load_batch(loaded, step, run, keys, stored)
        contexts = dict.fromkeys(texts, context)
    else:
        contexts = {
            text: input_context(
                loaded, step, run, event, PartitionContext([key], upstream.partitions_def), loaded.items.value
            )
            for text, key, event in zip(texts, keys, events, strict=True)
        }
        value = await _load_by_key(loaded, step, run, keys, contexts, expected)
    if observed is not None:
        versions.append((upstream.name, observed.data_version or ""))
        return value
    known: list[tuple[str, str]] = []
    for key, text, event in zip(keys, texts, events, strict=True):
        version = None if event is None else event.data_version or ""
        reported = _reported(contexts[text], key)
        if reported is not None:
            expected[text] = reported
            if reported != version:
                version = confirmed_version(loaded, contexts[text], reported, event, text, run)
        if version is not None:
            known.append((text, version))
    if known:
        versions.append((upstream.name, combined_version(known)))
    return value


def _reported(context: InputContext, key: PartitionKey) -> str | None:
    """Return the version that the handler reported for one of the keys of a context."""
    if context.loaded_versions is not None:
        return context.loaded_versions.get(key)
    assert context.partition is not None
    return context.loaded_version if len(context.partition.keys) == 1 else None


async def _load_by_key(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    keys: Sequence[PartitionKey],
    contexts: Mapping[str, InputContext],
    expected: Expected,
) -> dict[Any, Any]:
    assert loaded.mapping is not None
    values = await load_each(
        loaded.binding,
        list(contexts.values()),
        lambda context: load_value(loaded, context, run),
        on_loop=step.needs_loop,
    )
    absent = (
        text for text, value in zip(contexts, values, strict=True) if isinstance(value, NotMaterializedError)
    )
    expected.update(dict.fromkeys(absent, ""))
    return by_key(
        list(contexts) if loaded.items.text_keys else keys,
        values,
        loaded.upstream.name,
        loaded.binding.label,
        allow_missing=loaded.mapping.allows_missing,
        advice="materialize them first, or leave them out with PartitionMapping.subset()",
    )


async def _load_batch(
    loaded: LoadedInput, step: Step, run: Run, keys: Sequence[PartitionKey], events: Sequence[Event | None]
) -> tuple[Any, InputContext]:
    """Load several keys in one call; a mapping that allows missing keys requests only existing ones."""
    assert loaded.mapping is not None
    handler, definition = loaded.binding.handler, loaded.upstream.partitions_def
    existing = [
        key
        for key, event in zip(keys, events, strict=True)
        if not loaded.mapping.allows_missing
        or event is not None
        or resolve_awaitable(
            handler.exists(input_context(loaded, step, run, None, PartitionContext([key], definition), None))
        )
    ]
    if not existing:
        raise NotMaterializedError(
            loaded.upstream.name,
            handler=loaded.binding.label,
            message=f"asset {loaded.upstream.name!r} is not materialized for any of the {len(keys)} partition keys "
            f"of {loaded.mapping!r}; annotate the parameter as a dictionary to receive an empty one",
        )
    materialized = next((event for event in events if event is not None and event.handler is None), None)
    partition = PartitionContext(existing, definition)
    context = input_context(loaded, step, run, materialized, partition, loaded.type_hint)
    return await load_value(loaded, context, run), context


def _nothing_maps(loaded: LoadedInput, step: Step, own_keys: Sequence[PartitionKey]) -> NotMaterializedError:
    return NotMaterializedError(
        loaded.upstream.name,
        handler=loaded.binding.label,
        message=f"{loaded.mapping!r} maps asset {step.owner!r} to no partition of {loaded.upstream.name!r} for "
        f"{shown_keys(own_keys)}",
    )


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
