"""The bytes of a stored object: a pickle stream and a footer that seals it. Specified in docs/pickle-format.md."""

from __future__ import annotations

import hmac
import json
import platform
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

if TYPE_CHECKING:
    from rivers_core import OutputContext

FORMAT: Final = "rivers-pickle/1"

# PROTO 5, the text "rivers-pickle", POP: nothing to an unpickler; it tells a cut object of ours from a
# foreign one
PROLOGUE: Final = b"\x80\x05\x8c\x0drivers-pickle0"
MAGIC: Final = b"\x89rivers-pickle\r\n"

_VERSION: Final = 1
_LENGTHS: Final = struct.Struct("<QIBB2x")
_SEAL_SIZE: Final = 32
_TRAILER_SIZE: Final = _LENGTHS.size + _SEAL_SIZE + len(MAGIC)
_KEY_CONTEXT: Final = "rivers-pickle 1 signing key"


class FormatError(ValueError):
    """An object must not be unpickled; the message says why, as the end of a sentence about the object."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the footer says about the value.

    Args:
        key: The storage key the value belongs to; it decides whether an object is where it should be.
        asset: The asset's name, for readers.
        partition: The partition's display form; None if there is none.
        type: The type of the value, `module.qualname`.
        data_version: BLAKE3 over the pickle stream, in hexadecimal.
        writer: What wrote it.
        created: When, in ISO 8601, UTC.
        code_version: The asset's code version, if it was known.
        format: The name and version of this format.
    """

    key: str
    asset: str
    partition: str | None
    type: str
    data_version: str
    writer: str
    created: str
    code_version: str | None = None
    format: str = FORMAT


def described(context: OutputContext, obj: object, stream_digest: bytes) -> Header:
    """The header for a value.

    Args:
        context: Which asset and partition it belongs to.
        obj: The value.
        stream_digest: BLAKE3 over its pickle stream.
    """
    return Header(
        key=context.storage_key,
        asset=context.asset_name,
        partition=None if context.partition is None else str(context.partition.key),
        type=f"{type(obj).__module__}.{type(obj).__qualname__}",
        data_version=stream_digest.hex(),
        writer=_writer(),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        code_version=context.code_version,
    )


def derived_key(secret: str) -> bytes:
    """The 32 bytes that key the seal.

    Args:
        secret: The signing key as configured.
    """
    return blake3(secret.encode(), derive_key_context=_KEY_CONTEXT).digest()


def is_ours(data: memoryview) -> bool:
    """Whether an object was written in this format, even if it is cut or damaged.

    Args:
        data: The whole object.
    """
    return bytes(data[: len(PROLOGUE)]) == PROLOGUE or _ends_as_ours(data)


def footer(header: Header, *, stream_length: int, stream_digest: bytes, key: bytes | None) -> bytes:
    """What follows the pickle stream.

    Args:
        header: What is known about the value.
        stream_length: The stream's length in bytes.
        stream_digest: BLAKE3 over the stream.
        key: 32 bytes that key the seal; None for a plain digest.
    """
    known = {name: getattr(header, name) for name in Header.__slots__}
    text = json.dumps(known, separators=(",", ":")).encode()
    lengths = _LENGTHS.pack(stream_length, len(text), _VERSION, key is not None)
    return text + lengths + _seal(stream_digest, text, lengths, key) + MAGIC


def opened(data: memoryview, key: bytes | None) -> tuple[memoryview, Header]:
    """Check an object of this format, without unpickling anything.

    Args:
        data: The whole object.
        key: The key that it must be signed with; None if it must not be signed.

    Returns:
        The pickle stream and the header; both are what was written, by someone who had the key if there is
        one.

    Raises:
        FormatError: It is damaged, of a newer version, or not signed with this key.
    """
    stream, text, lengths, seal = _split(data)
    _, _, _, signed = _LENGTHS.unpack(lengths)
    if signed and key is None:
        raise FormatError("is signed, and this handler has no `signing_key` to check it with")
    if key is not None and not signed:
        raise FormatError("is not signed, and this handler loads only what was signed with its `signing_key`")
    digest = blake3(stream).digest()
    if not hmac.compare_digest(seal, _seal(digest, text, lengths, key)):
        changed = "was changed after it was stored: its digest does not fit its bytes"
        raise FormatError(changed if key is None else "was signed with another key, or changed after signing")
    return stream, _header(text, digest)


def _ends_as_ours(data: memoryview) -> bool:
    return bytes(data[-len(MAGIC) :]) == MAGIC


def _split(data: memoryview) -> tuple[memoryview, bytes, bytes, bytes]:
    if len(data) < _TRAILER_SIZE or not _ends_as_ours(data):
        raise FormatError("is cut off or damaged: it begins as rivers wrote it, and its footer is missing")
    trailer = bytes(data[-_TRAILER_SIZE:])
    lengths = trailer[: _LENGTHS.size]
    stream_length, header_length, version, _ = _LENGTHS.unpack(lengths)
    if version > _VERSION:
        raise FormatError(
            f"has format version {version}, and this rivers-pickle reads up to {_VERSION}: upgrade it"
        )
    if stream_length + header_length + _TRAILER_SIZE != len(data):
        raise FormatError(
            f"is damaged: its footer speaks of {stream_length + header_length + _TRAILER_SIZE} bytes and it "
            f"has {len(data)}"
        )
    text = bytes(data[stream_length : stream_length + header_length])
    return data[:stream_length], text, lengths, trailer[_LENGTHS.size : _LENGTHS.size + _SEAL_SIZE]


def _seal(stream_digest: bytes, header: bytes, lengths: bytes, key: bytes | None) -> bytes:
    sealed = stream_digest + header + lengths
    return blake3(sealed).digest() if key is None else blake3(sealed, key=key).digest()


def _header(text: bytes, digest: bytes) -> Header:
    try:
        known: dict[str, Any] = json.loads(text)
        header = Header(**{name: known[name] for name in Header.__slots__ if name in known})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"has a footer that cannot be read ({error})") from error
    if header.data_version != digest.hex():
        raise FormatError("is damaged: the data version in its footer is not that of its bytes")
    return header


@cache
def _writer() -> str:
    from importlib.metadata import version

    return f"rivers-pickle {version('rivers-pickle')} (Python {platform.python_version()})"
