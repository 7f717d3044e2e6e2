"""IO handler with two layers: reads fall through from the top to the base, writes go to the top only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports

if TYPE_CHECKING:
    from rivers_overlay.handler import OverlayIOHandler

__all__ = ["OverlayIOHandler"]

__getattr__, __dir__ = lazy_exports(__name__, {"OverlayIOHandler": "rivers_overlay.handler"})
