"""What two layers have in common: capabilities that only an instance knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_core.handler import Locality
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
