"""Loading what a step takes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rivers.definitions.self_dependency import SelfDependency
from rivers.execution.drive import run_now
from rivers.execution.provenance import combined_version, needed_keys
from rivers_core.contexts import InputContext
from rivers_core.exceptions import ExecutionError, NotMaterializedError
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import LoadedInput, OwnValue, Step
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey

CONCURRENT_LOADS = 16


async def load_input(loaded: LoadedInput, step: Step, run: Run, versions: list[tuple[str, str]]) -> Any:
    """Load the value of one parameter.

    Args:
        loaded: What to load and how.
        step: Who takes it.
        run: The run.
        versions: Gets the asset's name and the data version that was loaded.

    Returns:
        The value; for several partition keys `{key: value}` in the order of the definition.

    Raises:
        NotMaterializedError: Nothing was ever stored, or not under all keys that are needed.
        ExecutionError: The asset recorded a `Materialization`, so there is nothing to load.
    """
    upstream = loaded.upstream
    if loaded.mapping is not None:
        return await _load_partitions(loaded, step, run, versions)
    event = run.stored(upstream.name, None)
    context = _context(loaded, step, run, event, None)
    value = await _load(loaded, context, run)
    if event is not None:
        versions.append((upstream.name, event.data_version or ""))
    return value


async def load_own_value(own: OwnValue, step: Step, run: Run) -> SelfDependency[Any]:
    """Load what was stored of the asset itself; that nothing ever was is the one error that means a first run."""
    try:
        value = await load_input(own.loaded, step, run, [])
    except NotMaterializedError:
        return SelfDependency(None, is_stored=False)
    except FileNotFoundError:
        return SelfDependency(None, is_stored=False)
    return SelfDependency(value, is_stored=True)


async def _load_partitions(loaded: LoadedInput, step: Step, run: Run, versions: list[tuple[str, str]]) -> Any:
    upstream = loaded.upstream
    keys = needed_keys(loaded, step, run.keys.get(step.name, ()), run.all_keys)
    many = loaded.fans_in or len(keys) != 1
    events = [run.stored(upstream.name, str(key)) for key in keys]
    hint = loaded.items.value if many else loaded.type_hint
    if many and loaded.binding.handler.partition_batches and not loaded.items.is_mapping:
        partition = PartitionContext(keys, upstream.partitions_def)
        value = await _load(loaded, _context(loaded, step, run, None, partition, loaded.type_hint), run)
    else:
        contexts = [
            _context(loaded, step, run, event, PartitionContext([key], upstream.partitions_def), hint)
            for key, event in zip(keys, events, strict=True)
        ]
        values = await _load_all(loaded, contexts, run)
        value = _by_key(loaded, keys, values) if many else values[0]
    known = [
        (str(key), event.data_version or "")
        for key, event in zip(keys, events, strict=True)
        if event is not None
    ]
    if known:
        versions.append((upstream.name, combined_version(known)))
    return value


def _by_key(loaded: LoadedInput, keys: Sequence[PartitionKey], values: Sequence[Any]) -> dict[Any, Any]:
    """Put values under their keys; those that a mapping may miss are left out, others are an error."""
    missing = [
        str(key) for key, value in zip(keys, values, strict=True) if isinstance(value, NotMaterializedError)
    ]
    assert loaded.mapping is not None
    if missing and not loaded.mapping.allows_missing:
        first = next(value for value in values if isinstance(value, NotMaterializedError))
        raise NotMaterializedError(
            loaded.upstream.name,
            partition=", ".join(missing),
            handler=loaded.binding.label,
            message=f"asset {loaded.upstream.name!r} is not materialized for {len(missing)} of the {len(keys)} "
            f"partition keys that are needed: {', '.join(missing)}; materialize them first, or map with "
            "PartitionMapping.subset() to take what there is",
        ) from first
    plain = str if loaded.items.text_keys else (lambda key: key)
    return {
        plain(key): value
        for key, value in zip(keys, values, strict=True)
        if not isinstance(value, NotMaterializedError)
    }


async def _load_all(loaded: LoadedInput, contexts: Sequence[InputContext], run: Run) -> list[Any]:
    """Load several keys, at once where a handler reaches outside the process; what is missing comes as its error."""
    if len(contexts) == 1 and not (loaded.fans_in):
        return [await _load(loaded, contexts[0], run)]
    handler = loaded.binding.handler
    if handler.is_async_input:
        gate = asyncio.Semaphore(CONCURRENT_LOADS)

        async def one(context: InputContext) -> Any:
            async with gate:
                return await _load_or_missing(loaded, context, run)

        return list(await asyncio.gather(*(one(context) for context in contexts)))
    if handler.locality == "process" or len(contexts) < 2:
        return [await _load_or_missing(loaded, context, run) for context in contexts]
    with ThreadPoolExecutor(min(CONCURRENT_LOADS, len(contexts)), "rivers-load") as pool:
        return list(pool.map(lambda context: run_now(_load_or_missing(loaded, context, run)), contexts))


async def _load_or_missing(loaded: LoadedInput, context: InputContext, run: Run) -> Any:
    try:
        return await _load(loaded, context, run)
    except NotMaterializedError as error:
        return error
    except FileNotFoundError as error:
        return NotMaterializedError(
            context.asset_name,
            partition=str(context.partition.key),
            handler=loaded.binding.label,
            message=str(error),
        )


async def _load(loaded: LoadedInput, context: InputContext, run: Run) -> Any:
    handler = loaded.binding.handler
    event = context.upstream
    if event is not None and event.handler is None:
        raise ExecutionError(
            f"asset {context.asset_name!r} returned a Materialization in run {event.run_id}: it is stored elsewhere "
            f"and {context.downstream_asset!r} cannot load it; depend on it with AssetDef.dep({context.asset_name!r})"
        )
    try:
        value = handler.load_input(context)
        if handler.is_async_input:
            value = await value
    except Exception as error:
        for observe in run.observers.io_failed:
            observe(context, handler, error)
        raise
    for observe in run.observers.input_loaded:
        observe(context, handler)
    return value


def _context(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    event: Event | None,
    partition: PartitionContext | None,
    type_hint: Any = None,
) -> InputContext:
    return InputContext(
        loaded.upstream.name,
        step.owner,
        loaded.metadata,
        partition,
        loaded.type_hint if partition is None else type_hint,
        run_id=run.run_id,
        upstream=event,
    )
