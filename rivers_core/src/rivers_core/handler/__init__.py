"""What every IO handler is: two methods to write, the rest with a default."""

from __future__ import annotations

from rivers_core.handler.base import BaseIOHandler, Locality
from rivers_core.handler.masking import MASK, masked
from rivers_core.handler.settings import from_values
from rivers_core.handler.waiting import finished

__all__ = ["MASK", "BaseIOHandler", "Locality", "finished", "from_values", "masked"]
