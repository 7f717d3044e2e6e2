"""Unpickling of a verified stream, restricted to an allow-list of classes and functions if there is one."""

from __future__ import annotations

import pickle
from io import BufferedReader
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from io import FileIO

    from typing_extensions import Buffer

_BUFFER_SIZE: Final = 256 * 1024


class ForbiddenGlobalError(Exception):
    """Raised for a class or function that is not in the allow-list; nothing of its module was imported.

    Args:
        module: Its module, as the stream names it.
        name: Its qualified name.
    """

    def __init__(self, module: str, name: str) -> None:
        super().__init__(module, name)
        self.module = module
        self.name = name


def parse_allowed(value: Any) -> Any:
    """Return an allow-list as pairs of module and name; text is `module:name`, as in `datetime:date`.

    Args:
        value: The setting.

    Raises:
        ValueError: An entry is neither.
    """
    if value is None or isinstance(value, (str, bytes)):
        return value  # the type of the field refuses text
    return tuple(_parse_entry(entry) for entry in value)


def _parse_entry(entry: Any) -> tuple[str, str]:
    parts = entry.split(":") if isinstance(entry, str) else tuple(entry)
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts) or "*" in "".join(parts):
        raise ValueError(f"must be exact pairs of module and name, such as 'datetime:date', got {entry!r}")
    return parts[0], parts[1]


def unpickle(stream: memoryview, allowed: Collection[tuple[str, str]] | None) -> Any:
    """Return the value of a pickle stream.

    Args:
        stream: The stream.
        allowed: The classes and functions that it may refer to; None for any.

    Raises:
        ForbiddenGlobalError: The stream refers to another one.
    """
    if allowed is None:
        return pickle.loads(stream)
    return _RestrictedUnpickler(_Reader(stream), allowed).load()


def unpickle_file(file: FileIO, allowed: Collection[tuple[str, str]] | None) -> Any:
    """Return the value of the pickle stream at the start of a file; large buffers are read to where they stay.

    Args:
        file: The file.
        allowed: The classes and functions that it may refer to; None for any.

    Raises:
        ForbiddenGlobalError: The stream refers to another one.
    """
    file.seek(0)
    stream = BufferedReader(file, _BUFFER_SIZE)
    try:
        return pickle.load(stream) if allowed is None else _RestrictedUnpickler(stream, allowed).load()
    finally:
        stream.detach()  # the file stays open


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(
        self, stream: _Reader | BufferedReader[FileIO], allowed: Collection[tuple[str, str]]
    ) -> None:
        super().__init__(stream)
        self._allowed = allowed

    def find_class(self, module: str, name: str, /) -> Any:
        """Return a class or function that is in the allow-list."""
        if (module, name) not in self._allowed:
            raise ForbiddenGlobalError(module, name)
        return super().find_class(module, name)


class _Reader:
    """File over bytes in memory, which BytesIO would copy."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        return self._advance(self._position + size).tobytes()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer with the next bytes."""
        target = memoryview(buffer).cast("B")
        part = self._advance(self._position + len(target))
        target[: len(part)] = part
        return len(part)

    def readline(self) -> bytes:
        """Return the bytes up to the next line feed, which ends a text argument of old protocols."""
        end, data = self._position, self._data
        while end < len(data) and data[end] != 0x0A:
            end += 1
        return self._advance(end + 1).tobytes()

    def _advance(self, end: int) -> memoryview:
        part = self._data[self._position : end]
        self._position += len(part)
        return part
