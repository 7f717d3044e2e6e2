"""Call handlers: complete their writes, and add asset, handler and address to their errors."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rivers.definitions.error_text import error_text
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
            f"handle_output of {type(binding.handler).__name__} yields, so that calling it stores nothing; "
            "take the `yield` out"
        )
    await await_write(result, on_loop=binding.is_async_output)


def say_who_stores(error: BaseException, output: StoredOutput) -> None:
    """Tell who looked in vain for an external asset that it cannot be materialized here.

    Args:
        error: What the handler raised.
        output: What was to be loaded.
    """
    if output.step_name is None and isinstance(error, NotMaterializedError):
        error.advice = "It is an external asset: whoever makes it has to store it there first."


def add_place(
    error: BaseException, doing: str, binding: HandlerBinding, context: InputContext | OutputContext
) -> None:
    """Note on an error of a handler which value it was about, and where.

    The error stays what it is: a note (PEP 678) is shown below it in tracebacks, and in the events of the run.

    Args:
        error: What the handler raised.
        doing: `storing` or `loading`.
        binding: The handler.
        context: What it was given.
    """
    if isinstance(error, RiversError) and repr(context.asset_name) in error_text(error):
        return  # says it already
    partition = "" if context.partition is None else f" [{', '.join(map(str, context.partition.keys))}]"
    address = None
    with suppress(Exception):  # it may be what is broken
        address = binding.handler.describe_address(context)
    note = f"{doing} asset {context.asset_name!r}{partition} with {binding.label!r}"
    if address is not None:
        note += f" at {address}"
    with suppress(Exception):  # an error may refuse to be changed
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
