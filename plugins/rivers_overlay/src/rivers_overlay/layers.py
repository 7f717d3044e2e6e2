"""What two layers have in common, and asking one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.authoring import resolve_awaitable
from rivers_core.exceptions import PartitionValidationError

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler, InputContext


def has(layer: BaseIOHandler, context: InputContext) -> bool:
    """Whether a layer has a value, whatever way it says so.

    Args:
        layer: The handler that is asked.
        context: Which asset, and at most one partition.

    Raises:
        Exception: The layer's own, for everything but absence.
    """
    try:
        return bool(resolve_awaitable(layer.exists(context)))
    except FileNotFoundError:
        return False


def address_in(layer: BaseIOHandler, context: InputContext) -> str | None:
    """Where a layer has a value, for messages; None if it only knows that of one partition at a time."""
    try:
        return layer.describe_address(context)
    except PartitionValidationError:
        return None


async def loaded(layer: BaseIOHandler, context: InputContext) -> Any:
    """The value that a layer has; suspends only if the layer is asynchronous."""
    value = layer.load_input(context)
    return await value if layer.is_async_input else value
