"""Load the inputs of a step."""

from __future__ import annotations

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from rivers.definitions.contexts import SelfDependency
from rivers.exceptions import ExecutionError
from rivers.execution.fan_in import load_partitions, takes_several
from rivers.execution.handler_calls import (
    input_context,
    load_value,
    report_load,
    report_load_failure,
    stored_elsewhere,
)
from rivers.execution.lineage import is_selected, source_of
from rivers.execution.loaded_versions import confirmed_version
from rivers.storage.events import MATERIALIZATION
from rivers_core.awaitables import resolve_awaitable
from rivers_core.contexts import InputContext
from rivers_core.contexts import input_context as plain_context
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.outputs import Expected
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
        The value; for several partition keys `{key: value}` in the order of the definition. None for a key that the
        mapping does not select.

    Raises:
        NotMaterializedError: The asset, or a needed key of it, was never stored.
        IntegrityError: An older value was put back into a signed store.
        ExecutionError: The asset recorded a `Materialization` and has no stored value.
    """
    upstream = loaded.upstream
    if loaded.mapping is not None:
        if upstream.partitions_def is not None:
            return await load_partitions(loaded, step, run, own_keys or (), versions)
        if not is_selected(loaded, step, own_keys or ()):
            return None
    event = run.latest.get(upstream.whole_key) or source_of(upstream, run)
    context = input_context(loaded, step, run, event, None, loaded.type_hint)
    value = await load_value(loaded, context, run)
    _note_version(loaded, context, event, run, versions)
    return value


def load_plain(loaded: LoadedInput, step: Step, run: Run, versions: list[tuple[str, str]]) -> Any:
    """Load the value of one parameter of a plain step; see `load_input` and `Step.is_plain`."""
    upstream = loaded.upstream
    event = run.latest.get(upstream.whole_key) or source_of(upstream, run)
    if event is not None and event.handler is None and event.event_type == MATERIALIZATION:
        raise stored_elsewhere(upstream.name, step, event)
    context = plain_context(upstream.name, step.owner, loaded.metadata, loaded.type_hint, run.run_id, event)
    try:
        value = loaded.binding.load_unchecked(context)
        if type(value) is CoroutineType:  # a plain method may return the coroutine of an asynchronous one
            value = resolve_awaitable(value)
    except Exception as error:
        report_load_failure(error, loaded, context, run)
        raise
    if context.served_by is not None or run.observers.input_loaded:
        report_load(loaded, context, run)
    # nearly always the value of the latest event; a call would cost as much as the comparison
    reported = context.loaded_version
    if reported is not None and event is not None and event.data_version == reported:
        versions.append((upstream.name, reported))
    else:
        _note_version(loaded, context, event, run, versions)
    return value


def _note_version(
    loaded: LoadedInput,
    context: InputContext,
    event: Event | None,
    run: Run,
    versions: list[tuple[str, str]],
) -> None:
    """Add the version of a loaded value to those of the step."""
    reported = context.loaded_version
    version = event.data_version if event is not None else None
    if reported is not None and reported != version:
        version = confirmed_version(loaded, context, reported, event, None, run)
    if version is not None or event is not None:
        versions.append((loaded.upstream.name, version or ""))


async def load_own_value(
    own: OwnValue,
    step: Step,
    run: Run,
    own_keys: Sequence[PartitionKey] | None,
    expected: dict[str | None, str],
) -> SelfDependency[Any]:
    """Load the stored value of the asset itself; only a value that was never stored means a first run.

    Of several keys, the stored ones are loaded; it is a first run only if there is none.

    Args:
        own: The bound parameter.
        step: The step.
        run: The run.
        own_keys: The partition keys of this call of the step; None without partitions.
        expected: Receives the loaded version of each key, empty text for one that was never stored.
    """
    loaded = own.loaded
    try:
        if loaded.mapping is None:
            value = await _load_unpartitioned(loaded, step, run, expected)
        else:
            value = await load_partitions(loaded, step, run, own_keys or (), [], expected)
    except ExecutionError:  # of a run within the handler; it may also be a FileNotFoundError
        raise
    except FileNotFoundError:
        return SelfDependency(None, is_stored=False)
    of_keys = loaded.mapping is not None and takes_several(loaded, step, run)
    if of_keys and isinstance(value, dict) and not value:
        return SelfDependency(None, is_stored=False)
    return SelfDependency(value, is_stored=True)


async def versions_to_replace(step: Step, run: Run, keys: Sequence[PartitionKey] | None) -> Expected:
    """Return the stored versions of the outputs whose handlers replace only what was stored when the step began.

    Args:
        step: The step, before it loads anything.
        run: The run.
        keys: The partition keys of this call of the step; None without partitions.

    Returns:
        The version of each value, empty text if none is stored.
    """
    expected: Expected = {}
    for output in run.plan.outputs_of(step):
        if output.binding is None or not output.binding.handler.always_conditional:
            continue
        handler = output.binding.handler
        for key in keys or (None,):
            partition = None if key is None else PartitionContext([key], output.partitions_def)
            context = InputContext(output.name, step.owner, output.metadata, partition)
            context.run_id = run.run_id
            try:
                if step.needs_loop:  # the handler may block, and other steps run on the loop
                    version = await asyncio.to_thread(handler.stored_version, context)
                else:
                    version = handler.stored_version(context)
            except FileNotFoundError:
                version = ""
            if version is not None:
                expected[output.name, None if key is None else str(key)] = version
    return expected


async def _load_unpartitioned(
    loaded: LoadedInput, step: Step, run: Run, expected: dict[str | None, str]
) -> Any:
    event = run.stored(loaded.upstream.name, None)
    context = input_context(loaded, step, run, event, None, loaded.type_hint)
    try:
        value = await load_value(loaded, context, run)
    except FileNotFoundError:
        expected[None] = ""
        raise
    reported = context.loaded_version
    if reported is not None:
        expected[None] = reported
        confirmed_version(loaded, context, reported, event, None, run)
    return value
