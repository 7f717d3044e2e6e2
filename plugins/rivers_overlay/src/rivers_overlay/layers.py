"""Calls of one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.authoring import resolve_awaitable
from rivers_core.exceptions import PartitionValidationError

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler, InputContext


def has(layer: BaseIOHandler, context: InputContext) -> bool:
    """Return whether a layer has a value; a `FileNotFoundError` counts as absence.

    Args:
        layer: The handler.
        context: Context of an asset, with at most one partition.
    """
    try:
        return bool(resolve_awaitable(layer.exists(context)))
    except FileNotFoundError:
        return False


def address_in(layer: BaseIOHandler, context: InputContext) -> str | None:
    """Return the address of a value in a layer; None if the layer has none for several partitions together."""
    try:
        return layer.describe_address(context)
    except PartitionValidationError:
        return None


async def loaded(layer: BaseIOHandler, context: InputContext) -> Any:
    """Load a value from a layer; suspends only if the layer is asynchronous."""
    value = layer.load_input(context)
    return await value if layer.is_async_input else value
