"""Targets: what a folder and a bucket offer to write one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Writable(Protocol):
    """File-like object that accepts bytes."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write bytes."""


class Staged(NamedTuple):
    """A local file that becomes an object.

    Args:
        path: Path of the file.
        descriptor: Descriptor of the same file, open for reading and writing.
    """

    path: str
    descriptor: int


class Target(Protocol):
    """One object to write."""

    def put(self, data: bytes) -> None:
        """Write the whole object at once."""

    def open(self) -> AbstractContextManager[Writable]:
        """Write the object in pieces; leaving the block publishes it, an exception discards it."""
        ...

    def stage(self) -> AbstractContextManager[Staged]:
        """Write the object as a local file; leaving the block publishes it, an exception discards it."""
        ...
