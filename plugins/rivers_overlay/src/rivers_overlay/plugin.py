"""What rivers-overlay offers."""

from __future__ import annotations

from collections.abc import Iterator

from rivers_core.hooks import HandlerSpec, hookimpl


@hookimpl
def rivers_io_handlers() -> Iterator[HandlerSpec]:
    """Offer the overlay handler."""
    yield HandlerSpec("overlay", "rivers_overlay.handler:OverlayIOHandler", "Reads fall through from a top store to a base.")
