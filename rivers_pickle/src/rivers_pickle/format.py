"""Format of a stored object: a pickle stream and a footer that seals it. Specified in docs/pickle-format.md."""

from __future__ import annotations

import hmac
import json
import os
import platform
import re
import secrets
import struct
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

    from rivers_core import OutputContext

FORMAT: Final = "rivers-pickle/1"

# PROTO 5, the text "rivers-pickle", POP: a no-op for an unpickler, which distinguishes a truncated object of rivers
# from a foreign pickle.
PROLOGUE: Final = b"\x80\x05\x8c\x0drivers-pickle0"
MAGIC: Final = b"\x89rivers-pickle\r\n"

_VERSION: Final = 1
_LENGTHS: Final = struct.Struct("<QIBB2x")
_SEAL_SIZE: Final = 32
_LARGEST_FOOTER: Final = 64 * 1024
# stays in the cache of a core between the copy from the file and the digest; threads cost more than they save
_PIECE: Final = 256 * 1024
_TRAILER_SIZE: Final = _LENGTHS.size + _SEAL_SIZE + len(MAGIC)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
_NO_STAMP: Final = "0"
_quoted: Final = json.encoder.encode_basestring_ascii
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
_KEY_CONTEXT: Final = "rivers-pickle 1 signing key"


class FormatError(ValueError):
    """Raised for an object that must not be unpickled.

    Args:
        reason: End of a sentence about the object, which is the message.
        advice: What to do.
    """

    def __init__(
        self, reason: str, advice: str = "Restore it from a copy, or materialize the asset again."
    ) -> None:
        super().__init__(reason)
        self.advice = advice


class Header(NamedTuple):
    """Description of the value in the footer.

    Args:
        key: Storage key of the value; an object with another key is misplaced.
        asset: Name of the asset, for readers.
        partition: Display form of the partition; None without one.
        type: Type of the value, `module.qualname`.
        data_version: BLAKE3 digest of the pickle stream, in hexadecimal.
        writer: Program that wrote the object.
        created: Time of writing, in ISO 8601, UTC.
        code_version: Code version of the asset, if known.
        format: Name and version of this format.
        write_id: Random id of a conditional write, so that a writer recognizes its own object; None for others.
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
    write_id: str | None = None


def header_for(context: OutputContext, obj: object, stream_digest: bytes) -> Header:
    """Return the header for a value.

    Args:
        context: Context of the asset.
        obj: The value.
        stream_digest: BLAKE3 digest of its pickle stream.
    """
    return Header(
        key=context.storage_key,
        asset=context.asset_name,
        partition=None if context.partition is None else str(context.partition.key),
        type=f"{type(obj).__module__}.{type(obj).__qualname__}",
        data_version=stream_digest.hex(),
        writer=_writer(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        code_version=context.code_version,
        write_id=None if context.expected_version is None else secrets.token_hex(8),
    )


def derive_key(secret: str) -> bytes:
    """Return the 32 bytes that key the seal.

    Args:
        secret: Signing key of the settings.
    """
    return blake3(secret.encode(), derive_key_context=_KEY_CONTEXT).digest()


def is_signed_object(data: memoryview) -> bool:
    """Return whether an object is marked as signed; its signature is not verified.

    Args:
        data: The whole object.
    """
    return _has_magic(data) and bool(_LENGTHS.unpack(data[-_TRAILER_SIZE:][: _LENGTHS.size])[3])


def is_rivers_object(data: memoryview) -> bool:
    """Return whether an object was written in this format, even if it is truncated or damaged.

    Args:
        data: The whole object.
    """
    # an object that is cut off in the prologue is not a pickle either
    return PROLOGUE.startswith(data[: len(PROLOGUE)]) or _has_magic(data)


def encode_footer(header: Header, *, stream_length: int, stream_digest: bytes, key: bytes | None) -> bytes:
    """Return the footer, which follows the pickle stream.

    Args:
        header: Description of the value.
        stream_length: Length of the stream in bytes.
        stream_digest: BLAKE3 digest of the stream.
        key: 32 bytes that key the seal; None for a plain digest.
    """
    values = header._asdict()
    if not header.write_id:
        del values["write_id"]
    items = [f'"{name}":{_json(value)}' for name, value in values.items()]
    text = f"{{{','.join(items)}}}".encode()
    lengths = _LENGTHS.pack(stream_length, len(text), _VERSION, key is not None)
    return text + lengths + _seal(stream_digest, text, lengths, key) + MAGIC


def _json(value: Any) -> str:
    # the text of `json.dumps`, which creates an encoder for each call; a header read from an object may hold anything
    if value is None:
        return "null"
    return _quoted(value) if type(value) is str else _ENCODE(value)


def verify(data: memoryview, keys: Sequence[bytes]) -> tuple[memoryview, Header]:
    """Verify an object of this format, without unpickling anything.

    Args:
        data: The whole object.
        keys: Keys, one of which it must be signed with; empty if it must not be signed.

    Returns:
        Pickle stream and header, both unchanged since they were written.

    Raises:
        FormatError: The object is damaged, of a newer version, or not signed with one of the keys.
    """
    footer = _footer(data, len(data))
    _check_signed(footer, keys)
    stream = data[: footer.stream_length]
    return stream, _verified(footer, blake3(stream).digest(), keys)


def verify_file(file: FileIO) -> Header | None:
    """Verify an unsigned object in a file, of which only pieces are kept in memory, without unpickling anything.

    Args:
        file: The file, which is read from its start.

    Returns:
        The header; None if the object has no footer, or an unusually large one.

    Raises:
        FormatError: The object is damaged, of a newer version, or signed.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LARGEST_FOOTER))
    tail = memoryview(file.readall())
    if not _has_magic(tail) or _TRAILER_SIZE + _header_length(tail) > len(tail):
        return None
    footer = _footer(tail, size)
    _check_signed(footer, ())
    return _verified(footer, _digest_of(file, footer.stream_length), ())


def _digest_of(file: FileIO, length: int) -> bytes:
    digest, piece, rest = blake3(), memoryview(bytearray(_PIECE)), length
    file.seek(0)
    while rest:
        count = file.readinto(piece[:rest])
        if not count:
            raise FormatError(f"was cut off while it was read: {rest} bytes are missing")
        digest.update(piece[:count])
        rest -= count
    return digest.digest()


def version_of(data: memoryview, header: Header | None) -> str:
    """Return the data version of an object: that in its header, or the digest of an object that rivers did not write.

    Args:
        data: The whole object.
        header: Its header; None if it has no footer.
    """
    return blake3(data).hexdigest() if header is None else header.data_version


def version_in_tail(tail: bytes, is_whole: bool) -> str | None:
    """Return the data version that the footer of an object records, without verifying the object.

    Args:
        tail: The last bytes of the object.
        is_whole: Whether these are all of it.

    Returns:
        The version; of a whole object without footer its digest. None if the tail does not contain a whole footer.
    """
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        return str(_values_in_tail(tail)["data_version"])
    return blake3(tail).hexdigest() if is_whole else None


def object_name(tail: bytes, is_whole: bool) -> str | None:
    """Return the name of an object among the earlier versions: when it was stored, and its data version.

    Names sort by time. An object without a valid footer sorts first.

    Args:
        tail: The last bytes of the object.
        is_whole: Whether these are all of it.

    Returns:
        The name; None if the tail is not the whole object and does not contain a valid footer.
    """
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        values = _values_in_tail(tail)
        # the footer is not verified here: only these two forms may become part of a path
        if _DIGEST.fullmatch(values["data_version"]):
            created = datetime.fromisoformat(values["created"]).astimezone(UTC)
            return f"{created.strftime(_STAMP)}-{values['data_version']}.pkl"
    return f"{_NO_STAMP}-{blake3(tail).hexdigest()}.pkl" if is_whole else None


def parse_object_name(name: str) -> tuple[datetime | None, str] | None:
    """Return time and data version in the name of an earlier version; None for the name of another object.

    Args:
        name: Result of `object_name`.
    """
    stamp, _, version = name.removesuffix(".pkl").partition("-")
    with suppress(ValueError):
        if _DIGEST.fullmatch(version):
            stored_at = None if stamp == _NO_STAMP else datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            return stored_at, version
    return None


def _values_in_tail(tail: bytes) -> dict[str, str]:
    """Return the values of the footer at the end of an object, which is not verified.

    Raises:
        ValueError: The tail does not contain a whole footer.
    """
    if len(tail) < _TRAILER_SIZE or tail[-len(MAGIC) :] != MAGIC:
        raise ValueError("no footer")
    trailer = tail[-_TRAILER_SIZE:]
    _, header_length, _, _ = _LENGTHS.unpack(trailer[: _LENGTHS.size])
    text = tail[:-_TRAILER_SIZE][-header_length:]
    if len(text) != header_length:
        raise ValueError("the footer is longer than the tail")
    values: dict[str, str] = json.loads(text)
    return values


def _has_magic(data: memoryview) -> bool:
    return bytes(data[-len(MAGIC) :]) == MAGIC


class _Footer(NamedTuple):
    """Parts of a footer, as they are stored."""

    stream_length: int
    text: bytes
    lengths: bytes
    seal: bytes
    is_signed: bool


def _header_length(tail: memoryview) -> int:
    length: int = (
        _LENGTHS.unpack(tail[-_TRAILER_SIZE:][: _LENGTHS.size])[1] if len(tail) >= _TRAILER_SIZE else 0
    )
    return length


def _footer(tail: memoryview, size: int) -> _Footer:
    """Return the footer of an object of `size` bytes; the tail contains all of it if its lengths are right."""
    if len(tail) < _TRAILER_SIZE or not _has_magic(tail):
        raise FormatError(
            "is truncated or damaged: it starts like an object of rivers, but its footer is missing"
        )
    trailer = bytes(tail[-_TRAILER_SIZE:])
    lengths = trailer[: _LENGTHS.size]
    stream_length, header_length, version, signed = _LENGTHS.unpack(lengths)
    if version > _VERSION:
        raise FormatError(
            f"has format version {version}, but this rivers-pickle reads up to {_VERSION}: upgrade it"
        )
    if stream_length + header_length + _TRAILER_SIZE != size:
        raise FormatError(
            f"is damaged: its footer records {stream_length + header_length + _TRAILER_SIZE} bytes, but it has {size}"
        )
    end = len(tail) - _TRAILER_SIZE
    seal = trailer[_LENGTHS.size : _LENGTHS.size + _SEAL_SIZE]
    return _Footer(stream_length, bytes(tail[end - header_length : end]), lengths, seal, bool(signed))


def _check_signed(footer: _Footer, keys: Sequence[bytes]) -> None:
    if footer.is_signed and not keys:
        raise FormatError(
            "is signed, but this handler has no `signing_key` to verify it", "Set the key that signed it."
        )
    if keys and not footer.is_signed:
        raise FormatError(
            "is not signed, but this handler only loads objects signed with its `signing_key`",
            "Materialize the asset again, or sign a store that you trust with `rivers handlers resign NAME "
            "--accept-unsigned`.",
        )


def _verified(footer: _Footer, digest: bytes, keys: Sequence[bytes]) -> Header:
    """Return the header of an object whose pickle stream has a digest, if that and the footer match the seal."""
    seals = [_seal(digest, footer.text, footer.lengths, key) for key in keys or (None,)]
    if not any(hmac.compare_digest(footer.seal, expected) for expected in seals):
        if keys:
            raise FormatError(
                "was signed with another key, or changed after signing",
                "Add the key that signed it to `signing_keys`, restore it from a copy, or materialize the asset again.",
            )
        raise FormatError("was changed after it was stored: its digest does not match its bytes")
    return _header(footer.text, digest)


def _seal(stream_digest: bytes, header: bytes, lengths: bytes, key: bytes | None) -> bytes:
    sealed = stream_digest + header + lengths
    return blake3(sealed).digest() if key is None else blake3(sealed, key=key).digest()


def _header(text: bytes, digest: bytes) -> Header:
    try:
        # decoded here, because `json` takes longer to detect the encoding of bytes
        values: dict[str, Any] = json.loads(text.decode())
        header = Header(**{name: values[name] for name in Header._fields if name in values})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"has a footer that cannot be read ({error})") from error
    if header.data_version != digest.hex():
        raise FormatError("is damaged: the data version in its footer does not match its bytes")
    return header


@cache
def _writer() -> str:
    from importlib.metadata import version

    return f"rivers-pickle {version('rivers-pickle')} (Python {platform.python_version()})"
