"""Load the inputs of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.definitions.contexts import SelfDependency
from rivers.exceptions import ExecutionError, NotMaterializedError
from rivers.execution.fan_in import by_key, load_each
from rivers.execution.handler_errors import add_location, advise_on_external
from rivers.execution.lineage import combined_version, is_selected, needed_keys, observation_of, source_of
from rivers.storage.events import MATERIALIZATION
from rivers_core.authoring import resolve_awaitable, shown_keys
from rivers_core.contexts import InputContext
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import LoadedInput, OwnValue, Step
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey


async def load_input(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    own_keys: Sequence[PartitionKey] | None,
    versions: list[tuple[str, str]],
) -> Any:
    """Load the value of one parameter.

    Args:
        loaded: The bound input.
        step: The consuming step.
        run: The run.
        own_keys: The partition keys of this call of the step; None without partitions.
        versions: Receives the name of the asset and its loaded data version.

    Returns:
        The value; for several partition keys `{key: value}` in the order of the definition.

    Raises:
        NotMaterializedError: The asset, or a needed key of it, was never stored.
        ExecutionError: The asset recorded a `Materialization` and has no stored value.
    """
    upstream = loaded.upstream
    if loaded.mapping is not None:
        return await _load_partitions(loaded, step, run, own_keys or (), versions)
    event = run.latest.get((upstream.name, None)) or source_of(upstream, run)
    value = await _load(loaded, _context(loaded, step, run, event, None, loaded.type_hint), run)
    if event is not None:
        versions.append((upstream.name, event.data_version or ""))
    return value


async def load_own_value(
    own: OwnValue, step: Step, run: Run, own_keys: Sequence[PartitionKey] | None
) -> SelfDependency[Any]:
    """Load the stored value of the asset itself; only a value that was never stored means a first run.

    Of several keys, the stored ones are loaded; it is a first run only if there is none.
    """
    try:
        value = await load_input(own.loaded, step, run, own_keys, [])
    except ExecutionError:  # of a run within the handler; it may also be a FileNotFoundError
        raise
    except FileNotFoundError:
        return SelfDependency(None, is_stored=False)
    of_keys = own.loaded.mapping is not None and _takes_several(own.loaded, step, run)
    if of_keys and isinstance(value, dict) and not value:
        return SelfDependency(None, is_stored=False)
    return SelfDependency(value, is_stored=True)


def _takes_several(loaded: LoadedInput, step: Step, run: Run) -> bool:
    """Return whether a step receives `{key: value}`; definitions and requested keys decide, never stored data."""
    return loaded.fans_in or run.is_over_several(step)


async def _load_partitions(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    own_keys: Sequence[PartitionKey],
    versions: list[tuple[str, str]],
) -> Any:
    upstream = loaded.upstream
    assert loaded.mapping is not None
    if upstream.partitions_def is None:
        return await _load_selected(loaded, step, run, own_keys, versions)
    keys = needed_keys(loaded, step, own_keys, run.past_of(step))
    many = _takes_several(loaded, step, run)
    texts = [str(key) for key in keys]
    stored = run.stored_each(upstream.name, texts, step)
    observed = observation_of(upstream, run)
    events = stored if observed is None else [observed] * len(keys)
    if not many:
        if not keys:
            if loaded.mapping.allows_missing:
                return None
            raise _nothing_maps(loaded, step, own_keys)
        partition = PartitionContext(keys, upstream.partitions_def)
        value = await _load(loaded, _context(loaded, step, run, events[0], partition, loaded.type_hint), run)
    elif loaded.binding.handler.partition_batches and not loaded.items.is_mapping and keys:
        value = await _load_batch(loaded, step, run, keys, stored)
    else:
        contexts = [
            _context(
                loaded, step, run, event, PartitionContext([key], upstream.partitions_def), loaded.items.value
            )
            for key, event in zip(keys, events, strict=True)
        ]
        values = await load_each(
            loaded.binding,
            contexts,
            lambda context: _load(loaded, context, run),
            on_loop=step.needs_loop,
        )
        value = by_key(
            texts if loaded.items.text_keys else keys,
            values,
            upstream.name,
            loaded.binding.label,
            allow_missing=loaded.mapping.allows_missing,
            advice="materialize them first, or leave them out with PartitionMapping.subset()",
        )
    known = [
        (text, event.data_version or "")
        for text, event in zip(texts, events, strict=True)
        if event is not None
    ]
    if observed is not None:
        versions.append((upstream.name, observed.data_version or ""))
    elif known:
        versions.append((upstream.name, combined_version(known)))
    return value


async def _load_selected(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    own_keys: Sequence[PartitionKey],
    versions: list[tuple[str, str]],
) -> Any:
    """Load the value of an unpartitioned upstream if a key of the step is selected; None for all others."""
    if not is_selected(loaded, step, own_keys):
        return None
    event = run.stored(loaded.upstream.name, None) or source_of(loaded.upstream, run)
    value = await _load(loaded, _context(loaded, step, run, event, None, loaded.type_hint), run)
    if event is not None:
        versions.append((loaded.upstream.name, event.data_version or ""))
    return value


async def _load_batch(
    loaded: LoadedInput, step: Step, run: Run, keys: Sequence[PartitionKey], events: Sequence[Event | None]
) -> Any:
    """Load several keys in one call; a mapping that allows missing keys requests only existing ones."""
    assert loaded.mapping is not None
    handler, definition = loaded.binding.handler, loaded.upstream.partitions_def
    existing = [
        key
        for key, event in zip(keys, events, strict=True)
        if not loaded.mapping.allows_missing
        or event is not None
        or resolve_awaitable(
            handler.exists(_context(loaded, step, run, None, PartitionContext([key], definition), None))
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
    return await _load(loaded, _context(loaded, step, run, materialized, partition, loaded.type_hint), run)


def _nothing_maps(loaded: LoadedInput, step: Step, own_keys: Sequence[PartitionKey]) -> NotMaterializedError:
    return NotMaterializedError(
        loaded.upstream.name,
        handler=loaded.binding.label,
        message=f"{loaded.mapping!r} maps asset {step.owner!r} to no partition of {loaded.upstream.name!r} for "
        f"{shown_keys(own_keys)}",
    )


async def _load(loaded: LoadedInput, context: InputContext, run: Run) -> Any:
    binding = loaded.binding
    try:
        value = binding.load_input(context)
        if binding.is_async_input:
            value = await value
    except Exception as error:
        advise_on_external(error, loaded.upstream)
        add_location(error, "loading", binding, context)
        for observe in run.observers.io_failed:
            observe(context, binding.handler, error)
        raise
    if context.served_by is not None:
        run.note_served(context)
    for observe in run.observers.input_loaded:
        observe(context, binding.handler)
    return value


def _context(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    event: Event | None,
    partition: PartitionContext | None,
    type_hint: Any,
) -> InputContext:
    name = loaded.upstream.name
    if event is not None and event.handler is None and event.event_type == MATERIALIZATION:
        raise ExecutionError(
            f"asset {step.owner!r} cannot load {name!r}, which returned a Materialization in run {event.run_id} and "
            f"is stored elsewhere; depend on it with AssetDef.dep({name!r})"
        )
    context = InputContext(name, step.owner, loaded.metadata, partition, type_hint)
    context.run_id, context.upstream = run.run_id, event
    return context
