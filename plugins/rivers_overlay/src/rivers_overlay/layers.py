"""What two layers have in common, and asking one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rivers_core.authoring import resolve_awaitable
from rivers_core.exceptions import PartitionValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rivers_core import BaseIOHandler, InputContext
    from rivers_core.authoring import Locality
    from rivers_overlay.handler import OverlayIOHandler

T = TypeVar("T")

REACH: Final[tuple[Locality, ...]] = ("process", "host", "shared")


class OfLayers(Generic[T]):
    """A capability that a class declares, and that here depends on the layers of an instance.

    Args:
        on_class: What the class itself says.
        ask: Tells it of an instance.
    """

    def __init__(self, on_class: T, ask: Callable[[OverlayIOHandler], T]) -> None:
        self._on_class = on_class
        self._ask = ask

    def __get__(self, handler: OverlayIOHandler | None, owner: type[Any]) -> T:
        return self._on_class if handler is None else self._ask(handler)


def narrower(handler: OverlayIOHandler) -> Locality:
    """The smaller of the two reaches: a value may be in either layer."""
    return min(handler.top.locality, handler.base.locality, key=REACH.index)


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


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing asynchronous: no event loop is needed for it.

    Args:
        coroutine: One that never suspends.

    Raises:
        RuntimeError: It did suspend, since a layer waits that does not say so.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a layer waited for something although its `is_async_input` is False")
