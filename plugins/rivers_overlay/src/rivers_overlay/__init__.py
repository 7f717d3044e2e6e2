"""IO handler with two layers: reads fall through from the top to the base, writes go to the top only."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_overlay.handler import OverlayIOHandler as OverlayIOHandler
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_overlay.handler": ["OverlayIOHandler"]})
