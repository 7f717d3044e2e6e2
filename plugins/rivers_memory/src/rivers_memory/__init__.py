"""In-memory IO handler, the default of rivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports

if TYPE_CHECKING:
    from rivers_memory.handler import InMemoryIOHandler

__all__ = ["InMemoryIOHandler"]

__getattr__, __dir__ = lazy_exports(__name__, {"InMemoryIOHandler": "rivers_memory.handler"})
