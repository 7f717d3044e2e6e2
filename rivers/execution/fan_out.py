"""Execute mapped steps, one instance per element of their source, and load what the instances stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from rivers.definitions.fan_out import DYNAMIC_KEYS, ENDED_KEYS
from rivers.exceptions import ExecutionError, NotMaterializedError
from rivers.execution.fan_in import load_each
from rivers.execution.handler_calls import add_location
from rivers.execution.inputs import load_input
from rivers.execution.lineage import combined_version, input_versions
from rivers.execution.redaction import redact_error
from rivers.execution.retries import is_failure
from rivers.execution.staleness import is_gone_from_memory
from rivers.graph.plan import MappedInstance
from rivers.storage import Event
from rivers.storage.events import MATERIALIZATION
from rivers_core.authoring import counted, resolve_awaitable
from rivers_core.awaitables import run_sync
from rivers_core.contexts import InputContext
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from rivers.execution.run import Run
    from rivers.graph.plan import CollectedInput, Step
    from rivers_core.partitions import PartitionKey

    Keys = Sequence[PartitionKey] | None
    Call = Callable[[Step, Run, Keys], Awaitable[None]]


async def map_elements(step: Step, run: Run, keys: Keys, call: Call, *, overlaps: bool) -> None:
    """Execute a mapped step: each instance is a step, named `graph/task__0` or after the key of its `DynamicOutput`.

    The node itself stores nothing; its event remembers the instances and their common data version.

    Args:
        step: The mapped step.
        run: The run of the step.
        keys: The partition key of this call; None without partitions.
        call: Executes one instance.
        overlaps: Whether instances may run at once; the elements are then loaded in another thread.

    Raises:
        BaseException: The error of the first instance that failed; without `stop_at_failure` the others ran.
    """
    started = perf_counter_ns()
    key = None if keys is None else str(keys[0])
    names, elements = await _loaded_elements(step, run, keys, overlaps=overlaps)
    instances = [
        instance_of(step, f"{step.name}__{name}", element)
        for name, element in zip(names, elements, strict=True)
    ]
    if step.name in run.configs:
        config = run.configs[step.name]
        run.configs = {**run.configs, **{instance.name: config for instance in instances}}
    done = _stored_before(run, keys, instances)
    to_run = [instance for instance in instances if instance.name not in done]
    ended: list[str] = []
    errors = await _run_instances(step, to_run, run, keys, call, ended, overlaps=overlaps)
    for name, error in errors.items():
        run.failed[name] = redact_error(error, run.without_secrets)
    if errors:
        raise next(iter(errors.values()))
    stored = [(instance.name, run.stored(instance.name, key)) for instance in instances]
    versions = [(name, (event and event.data_version) or "") for name, event in stored]
    metadata = {DYNAMIC_KEYS: MetadataValue.json(names)}
    order = [name for name in names if f"{step.name}__{name}" not in ended]
    order += [name.removeprefix(f"{step.name}__") for name in ended]
    if order != names and _is_collected_in_any_order(step, run):
        metadata[ENDED_KEYS] = MetadataValue.json(order)
    event = Event(
        MATERIALIZATION,
        run_id=run.run_id,
        asset_key=step.name,
        partition_key=key,
        metadata=run.recordable(metadata),
        data_version=combined_version(versions),
        code_version=step.outputs[0].code_version,
        input_data_versions=input_versions(step, keys or (), run.history_of(step)),
        tags=run.tags,
        step=step.name,
        duration_ns=perf_counter_ns() - started,
    )
    run.storage.record(event)
    run.latest[step.name, key] = event


def _is_collected_in_any_order(step: Step, run: Run) -> bool:
    collected = (parameter for other in run.plan.steps for parameter in other.collected)
    return any(not parameter.is_ordered for parameter in collected if parameter.mapped.name == step.name)


async def _loaded_elements(
    step: Step, run: Run, keys: Keys, *, overlaps: bool
) -> tuple[list[str], list[Any]]:
    if overlaps and not step.needs_loop:  # a synchronous handler would block the event loop
        return await asyncio.to_thread(lambda: run_sync(_elements(step, run, keys)))
    return await _elements(step, run, keys)


async def _elements(step: Step, run: Run, keys: Keys) -> tuple[list[str], list[Any]]:
    """Return the names of the instances and the elements of the source."""
    assert step.fan_out is not None
    source = step.fan_out.source
    value = await load_input(source, step, run, keys, [])
    if not isinstance(value, Iterable):
        raise ExecutionError(
            f"node {step.name!r}: cannot map {source.upstream.name!r}, whose value is not iterable: "
            f"{type(value).__name__}. Return a list."
        )
    elements = list(value)
    event = run.stored(source.upstream.name, None if source.mapping is None or keys is None else str(keys[0]))
    dynamic = None if event is None else event.typed_metadata.get(DYNAMIC_KEYS)
    names = [str(number) for number in range(len(elements))] if dynamic is None else dynamic.raw_value()
    if len(names) != len(elements):
        raise ExecutionError(
            f"node {step.name!r}: {source.upstream.name!r} has {counted(len(elements), 'element')}, but "
            f"{counted(len(names), 'key')} were recorded with it. Materialize it again."
        )
    return names, elements


def instance_of(step: Step, name: str, element: Any) -> Step:
    """Return the step of one element of a mapped step.

    Args:
        step: The mapped step.
        name: Name of the instance, such as `graph/task__0`.
        element: The element.
    """
    assert step.fan_out is not None
    return replace(
        step,
        name=name,
        owner=name,
        outputs=(replace(step.outputs[0], name=name, step_name=name),),
        constants={**step.constants, step.fan_out.parameter: element},
        success_hooks=(),
        failure_hooks=(),
        fan_out=None,
        instance_of=MappedInstance(step.name, step.fan_out.parameter),
    )


def _stored_before(run: Run, keys: Keys, instances: Sequence[Step]) -> set[str]:
    """Return the instances that an earlier part of a resumed run stored."""
    key = None if keys is None else str(keys[0])
    events = {
        event.asset_key: event
        for event in run.storage.get_events_for_run(run.run_id, with_steps=False)
        if event.event_type == MATERIALIZATION and event.partition_key == key
    }
    kept: set[str] = set()
    for instance in instances:
        event = events.get(instance.name)
        lost = event is not None and is_gone_from_memory(instance.outputs[0], keys[0] if keys else None)
        if event is not None and not lost:
            kept.add(instance.name)
            run.latest[instance.name, key] = event
    return kept


async def _run_instances(
    step: Step,
    instances: Sequence[Step],
    run: Run,
    keys: Keys,
    call: Call,
    ended: list[str],
    *,
    overlaps: bool,
) -> dict[str, BaseException]:
    """Run instances, at once if they may overlap; return the error of each that failed, and list others in `ended`."""
    assert step.fan_out is not None
    errors: dict[str, BaseException] = {}

    async def run_one(instance: Step) -> None:
        try:
            await call(instance, run, keys)
        except BaseException as error:
            if not is_failure(error, step):
                raise
            errors[instance.name] = error
        else:
            ended.append(instance.name)

    if not overlaps:
        for instance in instances:
            await run_one(instance)
            if errors and run.stop_at_failure:
                break
        return errors
    gate = asyncio.Semaphore(step.fan_out.max_concurrency or max(len(instances), 1))

    async def run_gated(instance: Step) -> None:
        async with gate:
            if not (errors and run.stop_at_failure):
                await run_one(instance)

    # all are awaited, also after an interrupt: a value that was stored elsewhere must be recorded
    for outcome in await asyncio.gather(*map(run_gated, instances), return_exceptions=True):
        if outcome is not None:
            raise outcome
    return {instance.name: errors[instance.name] for instance in instances if instance.name in errors}


async def load_collected(collected: CollectedInput, step: Step, run: Run, keys: Keys) -> Any:
    """Load the values of all instances of a mapped step, as a list or an iterator.

    Raises:
        NotMaterializedError: The mapped step has not run, or the value of an instance no longer exists.
    """
    mapped = collected.mapped
    binding = mapped.binding
    assert binding is not None
    event = run.stored(mapped.name, None if keys is None else str(keys[0]))
    recorded = None if event is None else event.typed_metadata.get(DYNAMIC_KEYS)
    if recorded is None:
        raise NotMaterializedError(mapped.name, handler=binding.label)
    assert event is not None
    if not collected.is_ordered:
        recorded = event.typed_metadata.get(ENDED_KEYS, recorded)
    partition = None if keys is None else PartitionContext(keys, mapped.partitions_def)
    contexts = [
        InputContext(
            f"{mapped.name}__{name}",
            step.owner,
            mapped.metadata,
            partition,
            mapped.type_hint,
            run_id=run.run_id,
        )
        for name in recorded.raw_value()
    ]

    async def load(context: InputContext) -> Any:
        try:
            value = binding.load_input(context)
            value = await value if binding.is_async_input else value
        except Exception as error:
            add_location(error, "loading", binding, context)
            for observe in run.observers.io_failed:
                observe(context, binding.handler, error)
            raise
        for observe in run.observers.input_loaded:
            observe(context, binding.handler)
        return value

    if collected.is_stream:
        return _stream(contexts, load)
    values = await load_each(binding, contexts, load, on_loop=step.needs_loop)
    for value in values:
        if isinstance(value, NotMaterializedError):
            raise value
    return values


def _stream(
    contexts: Sequence[InputContext], load: Callable[[InputContext], Awaitable[Any]]
) -> Iterator[Any]:
    for context in contexts:
        yield resolve_awaitable(load(context))
