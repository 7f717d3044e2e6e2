"""The in-memory IO handler of rivers, the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers_memory.handler import InMemoryIOHandler

__all__ = ["InMemoryIOHandler"]


def __getattr__(name: str) -> object:
    if name == "InMemoryIOHandler":
        from rivers_memory.handler import InMemoryIOHandler

        return InMemoryIOHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
