"""What every IO handler is: two methods to write, the rest with a default."""

from __future__ import annotations

from rivers_core.handler.base import BaseIOHandler, Locality
from rivers_core.handler.masking import REDACTED, redact_value
from rivers_core.handler.settings import build_handler
from rivers_core.handler.waiting import resolve_awaitable

__all__ = ["REDACTED", "BaseIOHandler", "Locality", "build_handler", "redact_value", "resolve_awaitable"]
