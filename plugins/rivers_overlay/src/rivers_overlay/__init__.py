"""An IO handler of two layers: reads fall through from the top to the base, writes go to the top only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers_overlay.handler import OverlayIOHandler

__all__ = ["OverlayIOHandler"]


def __getattr__(name: str) -> object:
    if name == "OverlayIOHandler":
        from rivers_overlay.handler import OverlayIOHandler

        return OverlayIOHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
