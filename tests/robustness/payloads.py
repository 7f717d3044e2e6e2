"""Pickles that run code, and disguises of them as signed objects."""

from __future__ import annotations

import functools
import operator
import pickle
import struct
from typing import Any, Final

from blake3 import blake3

from rivers_pickle.format import MAGIC, PROLOGUE, Header, derive_key, encode_footer

FIRED: Final[list[object]] = []
CODE: Final = f"__import__({__name__!r}, fromlist=['fire']).fire()"
PROTOCOLS: Final = range(1, 6)
_LENGTHS: Final = struct.Struct("<QIBB2x")
_TRAILER_SIZE: Final = _LENGTHS.size + 32 + len(MAGIC)


def fire(*arguments: object) -> int:
    """Record that a payload ran."""
    FIRED.append(arguments)
    return 0


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class State:
    def __setstate__(self, state: object) -> None:
        fire(state)

    def __getstate__(self) -> dict[str, int]:
        return {"n": 1}


class New:
    def __new__(cls) -> New:
        fire()
        return super().__new__(cls)


class Appended(list[int]):
    def append(self, item: int) -> None:
        fire(item)

    extend = fire  # type: ignore[assignment]


class Assigned(dict[str, int]):
    def __setitem__(self, key: str, value: int) -> None:
        fire(key, value)


VALUES: Final[dict[str, Any]] = {
    "function": Call(fire),
    "exec": Call(exec, CODE),
    "eval": Call(eval, CODE),
    "compile": Call(eval, Call(compile, CODE, "<payload>", "eval")),
    "partial": Call(functools.partial(fire, 1)),
    "reduce": Call(functools.reduce, fire, ["a", "b"]),
    "map": Call(list, Call(map, fire, ["a"])),
    "filter": Call(list, Call(filter, fire, ["a"])),
    "operator": Call(operator.call, fire),
    "methodcaller": Call(operator.methodcaller("__call__"), fire),
    "list": [1, Call(fire)],
    "tuple": (Call(fire), 2),
    "dict": {"a": {"b": Call(fire)}},
    "key": {Call(fire): 1},
    "set": {Call(fire)},
    "state": State(),
    "new": Call(New),
    "append": Call(operator.methodcaller("append", 1), Appended()),
    "setitem": Call(operator.setitem, Assigned(), "a", 1),
}
RAW: Final = (
    f"c{__name__}\nfire\n(tR.".encode(),
    f"(i{__name__}\nfire\n.".encode(),
    f"(c{__name__}\nfire\no.".encode(),
    f"(S'a'\nc{__name__}\nfire\n(tRd.".encode(),
    f"cbuiltins\nexec\n(V{CODE}\ntR.".encode(),
)


def payloads() -> list[bytes]:
    """Return one hundred pickles, each of which runs code."""
    streams = [pickle.dumps(value, protocol) for value in VALUES.values() for protocol in PROTOCOLS]
    return [*streams, *RAW]


def sealed(stream: bytes, key: str | None, **changed: str) -> bytes:
    """Return an object with a payload and a valid footer.

    Args:
        stream: The payload.
        key: Signing key; None for a plain digest.
        changed: Other values of the header.
    """
    digest = blake3(stream).digest()
    values = {
        "key": "asset", "asset": "asset", "partition": None, "type": "builtins.int", "data_version": digest.hex(),
        "writer": "rivers-pickle", "created": "2024-01-01T00:00:00.000000+00:00",
    }  # fmt: skip
    header = Header(**{**values, **changed})
    secret = None if key is None else derive_key(key)
    return stream + encode_footer(header, stream_length=len(stream), stream_digest=digest, key=secret)


def _relabeled(stream: bytes) -> bytes:
    """Return an unsigned object whose footer claims that it is signed."""
    whole = bytearray(sealed(stream, None))
    start = len(whole) - _TRAILER_SIZE
    length, header, version, _ = _LENGTHS.unpack_from(whole, start)
    _LENGTHS.pack_into(whole, start, length, header, version, 1)
    return bytes(whole)


def _refitted(stream: bytes, good: bytes) -> bytes:
    """Return a payload with the footer of a signed object, whose lengths are changed to fit."""
    length, header, version, is_signed = _LENGTHS.unpack_from(good, len(good) - _TRAILER_SIZE)
    footer = bytearray(good[length:])
    _LENGTHS.pack_into(footer, len(footer) - _TRAILER_SIZE, len(stream), header, version, is_signed)
    return stream + bytes(footer)


def _padded(stream: bytes, good: bytes) -> bytes:
    """Return a payload that takes the bytes of a signed object's stream as far as it is long."""
    length = _LENGTHS.unpack_from(good, len(good) - _TRAILER_SIZE)[0]
    return stream + good[min(len(stream), length) :]


def disguises(stream: bytes, good: bytes) -> dict[str, bytes]:
    """Return objects with a payload that look as much as possible like the signed one.

    Args:
        stream: The payload.
        good: An object that was signed for the same asset.
    """
    return {
        "plain": stream,
        "unsigned": sealed(stream, None),
        "other key": sealed(stream, "a foreign key, as long"),
        "empty key": sealed(stream, ""),
        "marked as signed": _relabeled(stream),
        "footer of another": _refitted(stream, good),
        "overwritten start": _padded(stream, good),
        "in front": stream + good,
        "behind": good + stream,
        "prologue": PROLOGUE + stream + MAGIC,
    }
