"""Targets: what a folder and a bucket offer to write one object, and what a killed writer leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

TAIL_SIZE: Final = 4096
"""Bytes at the end of an object that `Condition.version_of` sees first."""


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


class Leftover(NamedTuple):
    """Leftover of a killed writer, such as a staging file or an unfinished upload.

    Args:
        address: Path or URL.
        action: How it is removed, for a report.
        size: Its bytes; None if they are unknown.
        remove: Function that removes it, and returns whether it did.
    """

    address: str
    action: str
    size: int | None
    remove: Callable[[], bool]


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


class Condition(NamedTuple):
    """Condition of a write: the object that it replaces has to have a certain version.

    Args:
        expected: The version; empty text if there must be no object.
        version_of: Function that returns the version of a stored object, given its last `TAIL_SIZE` bytes and whether
            these are the whole object. None asks for the whole object. A writer recognizes its own object by its tail,
            which therefore has to be unique, for instance by a random id.
    """

    expected: str
    version_of: Callable[[bytes, bool], str | None]


class History(NamedTuple):
    """Folder of the earlier versions of an object.

    Args:
        folder: Path of the folder in the store.
        keep: How many stay; the last ones in the order of their names.
        name_of: Function that returns the name of a stored object in the folder, given its last `TAIL_SIZE` bytes and
            whether these are the whole object. None asks for the whole object. Equal objects have equal names, so that
            one is kept once.
    """

    folder: str
    keep: int
    name_of: Callable[[bytes, bool], str | None]

    def obsolete(self, names: Iterable[str]) -> list[str]:
        """Return the names of the versions to remove, given all of them."""
        ordered = sorted(names)
        return ordered[: max(0, len(ordered) - self.keep)]


class ReplacedError(Exception):
    """Raised by a conditional write if another version is stored than the expected one.

    Args:
        version: The stored version, empty text if there is no object.
    """

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version
