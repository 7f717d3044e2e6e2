"""Call handlers: complete their writes, and add asset, handler and address to their errors."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rivers.definitions.error_text import error_text
from rivers_core.authoring import shown_keys
from rivers_core.awaitables import await_write
from rivers_core.exceptions import NotMaterializedError, RiversError

if TYPE_CHECKING:
    from rivers.graph.plan import HandlerBinding, StoredOutput
    from rivers_core.contexts import InputContext, OutputContext


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
    address = None
    with suppress(Exception):  # the address may be what is broken
        address = binding.handler.describe_address(context)
    note = f"{doing} asset {context.asset_name!r}{partition} with {binding.label!r}"
    if address is not None:
        note += f" at {address}"
    with suppress(Exception):  # an exception may have no room for notes
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
