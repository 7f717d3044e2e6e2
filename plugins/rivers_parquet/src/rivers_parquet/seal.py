"""Seal: a block between the pages and the footer of a Parquet file, with which damage is detected before decoding.

The end of a file is `... pages | seal | footer | length of the footer | PAR1`. Readers find the footer by its length
and pages by their offsets, so that they never see the seal. It holds two BLAKE3 digests: of the footer, from which
readers take types, offsets and statistics, and of the whole file without the seal, which is the data version. A random
number distinguishes files of equal content, so that a conditional write recognizes its own file.

Source: https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import os
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    Read = Callable[[int, int], bytes | memoryview]

PARQUET: Final = b"PAR1"
MAGIC: Final = b"\x89rivers-parquet\n"
VERSION: Final = 1

_SEAL: Final = struct.Struct("<16sI12s32s32s")
_TRAILER: Final = struct.Struct("<I4s")
SIZE: Final = _SEAL.size
# pieces that stay in the cache of a core: larger ones, and threads over them, take twice the time on two cores
_PIECE: Final = 256 * 1024
FIRST_TAIL: Final = 64 * 1024
"""Bytes at the end of a file that usually hold the footer, in one request to a store."""


class DamagedError(ValueError):
    """Raised for a file that must not be decoded; the message ends a sentence about the file."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Digests of a file.

    Args:
        content: Digest of the file without the seal.
        footer: Digest of the footer and what follows it.
        start: Offset of the seal in the file.
    """

    content: bytes
    footer: bytes
    start: int

    @property
    def version(self) -> str:
        """The data version of the content."""
        return self.content.hex()


def seal_file(descriptor: int) -> tuple[Seal, bytes]:
    """Add the seal to a complete Parquet file, and return it with the footer and what follows it.

    Args:
        descriptor: Descriptor of the file, open for reading and writing.
    """
    with open(descriptor, "r+b", buffering=0, closefd=False) as file:
        size = os.fstat(descriptor).st_size
        file.seek(size - _TRAILER.size)
        start = size - _TRAILER.size - _TRAILER.unpack(file.read(_TRAILER.size))[0]
        file.seek(start)
        footer = file.read(size - start)
        content = _digest(file_reader(file), (0, size))
        seal = Seal(content, blake3(footer).digest(), start)
        block = _SEAL.pack(MAGIC, VERSION, secrets.token_bytes(12), seal.content, seal.footer)
        file.seek(start)
        rest = memoryview(block + footer)
        while rest:  # a full disk accepts fewer bytes than given before it fails
            rest = rest[file.write(rest) :]
    return seal, footer


def read_seal(size: int, tail: bytes) -> tuple[Seal | None, int]:
    """Return the seal of a file, with its footer verified.

    Args:
        size: Size of the file in bytes.
        tail: The last bytes of the file.

    Returns:
        The seal, None for a file that rivers did not write; and the number of bytes that `tail` needs to have, larger
        than it has if it has to be read again.

    Raises:
        DamagedError: The file is not a Parquet file, or its footer was changed.
    """
    if size < len(PARQUET) + _TRAILER.size or tail[-len(PARQUET) :] != PARQUET:
        raise DamagedError("is not a complete Parquet file: its last bytes are not PAR1")
    length, _ = _TRAILER.unpack(tail[-_TRAILER.size :])
    footer_size = length + _TRAILER.size
    if footer_size > size - len(PARQUET):
        raise DamagedError(f"is damaged: its footer would have {length:,} bytes, and the file has {size:,}")
    needed = min(footer_size + _SEAL.size, size)
    if len(tail) < needed:
        return None, needed
    block = tail[len(tail) - needed : len(tail) - footer_size]
    if len(block) < _SEAL.size or not block.startswith(MAGIC):
        return None, needed
    _, version, _, content, footer = _SEAL.unpack(block)
    if version > VERSION:
        raise DamagedError(
            f"has a seal of version {version}, and this rivers-parquet reads up to {VERSION}: upgrade it"
        )
    if blake3(tail[len(tail) - footer_size :]).digest() != footer:
        raise DamagedError("was changed after it was stored: its footer does not match its digest")
    return Seal(content, footer, size - needed), needed


def verify(read: Read, size: int, seal: Seal) -> None:
    """Compare a file with its seal.

    Args:
        read: Returns bytes of the file, given their number and offset.
        size: Size of the file in bytes.
        seal: Its seal, whose footer is verified.

    Raises:
        DamagedError: The file was changed after it was stored.
    """
    if _digest(read, (0, seal.start), (seal.start + _SEAL.size, size)) != seal.content:
        raise DamagedError("was changed after it was stored: its digest does not match its bytes")


def stored_version(tail: bytes, is_whole: bool) -> str | None:
    """Return the version of a stored file, for the condition of a write.

    Args:
        tail: The last bytes of the file.
        is_whole: Whether they are the whole file.

    Returns:
        The data version; of a file without a seal the digest of the whole file, None if `tail` is too short.
    """
    try:
        seal, needed = read_seal(len(tail), tail)
    except DamagedError:
        seal, needed = None, len(tail) + 1
    if seal is not None and (is_whole or needed <= len(tail)):
        return seal.version
    return foreign_version(bytes_reader(tail), len(tail)) if is_whole else None


def foreign_version(read: Read, size: int) -> str:
    """Return the version of a file that rivers did not write.

    Args:
        read: Returns bytes of the file, given their number and offset.
        size: Size of the file in bytes.
    """
    return _digest(read, (0, size)).hex()


def file_reader(file: FileIO) -> Read:
    """Return the function that reads an open file; what it returns is valid until its next call.

    Args:
        file: The file, without a buffer.
    """
    # one buffer for all pieces: a new one for each would be zeroed by the system first
    buffer = memoryview(bytearray(_PIECE))

    def read(length: int, offset: int) -> memoryview:
        file.seek(offset)
        return buffer[: file.readinto(buffer[:length])]

    return read


def bytes_reader(data: bytes) -> Read:
    """Return the function that reads a file in memory.

    Args:
        data: The whole file.
    """
    view = memoryview(data)
    return lambda length, offset: view[offset : offset + length]


def _digest(read: Read, *ranges: tuple[int, int]) -> bytes:
    """Return the digest of ranges of a file, read in pieces: a mapped file would count as memory of the process."""
    digest = blake3()
    for start, end in ranges:
        for offset in range(start, end, _PIECE):
            digest.update(read(min(_PIECE, end - offset), offset))
    return digest.digest()
