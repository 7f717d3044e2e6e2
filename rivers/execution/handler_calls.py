"""Call handlers: load values, complete writes, and add asset, handler and address to their errors."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rivers.definitions.error_text import error_text
from rivers.exceptions import ExecutionError
from rivers.execution.redaction import redact_error
from rivers.storage.events import MATERIALIZATION
from rivers_core.authoring import redact, secrets_of, shown_keys
from rivers_core.awaitables import await_write
from rivers_core.contexts import InputContext
from rivers_core.exceptions import NotMaterializedError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.execution.run import Run
    from rivers.graph.plan import HandlerBinding, LoadedInput, Step, StoredOutput
    from rivers.storage import Event
    from rivers_core.contexts import OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionContext

T = TypeVar("T")


def input_context(
    loaded: LoadedInput,
    step: Step,
    run: Run,
    event: Event | None,
    partition: PartitionContext | None,
    type_hint: Any,
) -> InputContext:
    """Return the context of one load.

    Args:
        loaded: The bound input.
        step: The consuming step.
        run: The run.
        event: The event of the value, if known.
        partition: The partition keys to load; None without partitions.
        type_hint: The requested type.

    Raises:
        ExecutionError: The asset recorded a `Materialization` and has no stored value.
    """
    name = loaded.upstream.name
    if event is not None and event.handler is None and event.event_type == MATERIALIZATION:
        raise stored_elsewhere(name, step, event)
    context = InputContext(name, step.owner, loaded.metadata, partition, type_hint)
    context.run_id, context.upstream = run.run_id, event
    return context


def stored_elsewhere(name: str, step: Step, event: Event) -> ExecutionError:
    """Return the error for loading an asset that recorded a `Materialization`."""
    return ExecutionError(
        f"asset {step.owner!r} cannot load {name!r}, which returned a Materialization in run {event.run_id} and "
        f"is stored elsewhere; depend on it with AssetDef.dep({name!r})"
    )


async def load_value(loaded: LoadedInput, context: InputContext, run: Run) -> Any:
    """Call the handler for one value, and the observers of loads.

    Args:
        loaded: The bound input.
        context: The context of the load.
        run: The run.

    Raises:
        Exception: The error of the handler, with asset, handler and address.
    """
    binding = loaded.binding
    try:
        value = binding.load_input(context)
        if binding.is_async_input:
            value = await value
    except Exception as error:
        report_load_failure(error, loaded, context, run)
        raise
    report_load(loaded, context, run)
    return value


def report_load_failure(error: Exception, loaded: LoadedInput, context: InputContext, run: Run) -> None:
    """Add asset, handler and address to the error of a load, and call the observers of failures."""
    binding = loaded.binding
    advise_on_external(error, loaded.upstream)
    add_location(error, "loading", binding, context)
    for observe in run.observers.io_failed:
        observe(context, binding.handler, redact_error(error, run.without_secrets))


def report_load(loaded: LoadedInput, context: InputContext, run: Run) -> None:
    """Note the place that served a value, and call the observers of loads."""
    if context.served_by is not None:
        run.notes_of(context.downstream_asset).note_served(context)
    for observe in run.observers.input_loaded:
        observe(context, loaded.binding.handler)


async def complete_write(result: Any, binding: HandlerBinding) -> None:
    """Wait until the value is stored, if `handle_output` returned something to wait for.

    Args:
        result: The result of `handle_output`: an awaitable, or the future of a thread or process.
        binding: The handler.

    Raises:
        RiversError: It is a generator, whose body never ran.
    """
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise RiversError(
            f"handle_output of {type(binding.handler).__name__} is a generator function, so that calling it stores "
            "nothing. Remove the `yield`."
        )
    await await_write(result, on_loop=binding.is_async_output)


def advise_on_external(error: BaseException, output: StoredOutput) -> None:
    """Advise on a missing external asset, which cannot be materialized here.

    Args:
        error: The exception of the handler.
        output: The output to load.
    """
    if output.step_name is None and isinstance(error, NotMaterializedError):
        error.advice = "It is an external asset; its producer has to write it first."


def add_location(
    error: BaseException, doing: str, binding: HandlerBinding, context: InputContext | OutputContext
) -> None:
    """Add asset, partition, handler and address to an error of a handler.

    The error keeps its type and text: a note (PEP 678) appears below it in tracebacks and in events.

    Args:
        error: The exception of the handler.
        doing: `storing` or `loading`.
        binding: The handler.
        context: The context of the call.
    """
    if isinstance(error, RiversError) and repr(context.asset_name) in error_text(error):
        return  # the message names it already
    partition = "" if context.partition is None else f" [{shown_keys(context.partition.keys)}]"
    address = shown_address(binding.handler, context)
    note = f"{doing} asset {context.asset_name!r}{partition} with {binding.label!r}"
    if address is not None:
        note += f" at {address}"
    with suppress(Exception):  # an exception may have no room for notes
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def shown_address(handler: BaseIOHandler, context: OutputContext | InputContext) -> str | None:
    """Return the address of a value without credentials; None if the handler fails or has none.

    Args:
        handler: A handler, whose author may have forgotten that an address is shown.
        context: Context of the value.
    """
    with suppress(Exception):  # the address may be what is broken
        address = handler.describe_address(context)
        return None if address is None else redact(address, secrets_of(handler))
    return None


def without_secrets(handler: BaseIOHandler, call: Callable[[], T]) -> T:
    """Return the result of a handler call outside runs, whose errors show no credential of the handler.

    Args:
        handler: The handler.
        call: Calls it.
    """
    try:
        return call()
    except Exception as error:
        shown = redact_error(error, partial(redact, secrets=secrets_of(handler)))
        if shown is error:
            raise
    raise shown  # outside the handling of the original, which would become its context
