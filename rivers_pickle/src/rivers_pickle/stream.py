"""Pickle a value directly into a store: hash it on the way, and never copy large buffers."""

from __future__ import annotations

import re
from pickle import PickleBuffer, Pickler
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from rivers_pickle.arrow import reducers
from rivers_pickle.format import PROLOGUE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rivers_objects import Target, Writable

PROTOCOL: Final = 5

_BUFFER_SIZE: Final = 4 * 1024 * 1024
_PIECE: Final = 4 * 1024 * 1024
# Opcodes of a global of `__main__`: two texts, each with its memo entry, and STACK_GLOBAL. They are in frames of
# about 64 KiB; larger pieces are data.
_MAIN_GLOBAL: Final = re.compile(rb"\x8c\x08__main__\x94\x8c.([^\x94]+)\x94\x93", re.DOTALL)
_LARGEST_FRAME: Final = 128 * 1024


class Written(NamedTuple):
    """Result of a write.

    Args:
        size: Size of the object in bytes.
        digest: BLAKE3 digest of the pickle stream.
        main_global: Name of a class or function of `__main__` that the value refers to, if any.
    """

    size: int
    digest: bytes
    main_global: str | None


class TargetError(Exception):
    """Raised if the store failed, not the pickler; the error of the store is the cause."""


def write_pickle(target: Target, obj: object, footer_for: Callable[[int, bytes], bytes]) -> Written:
    """Pickle a value into an object, atomically.

    An object of up to 4 MiB is written in one request. A larger one is streamed: large buffers of the pickler go to
    the store in pieces; bytes, arrays and Arrow columns without a copy. Any other buffer is copied piece by piece,
    since a later part of the value may reuse it while the store still reads.

    Args:
        target: The object to write.
        obj: The value.
        footer_for: Function that returns the footer for length and digest of the pickle stream.

    Raises:
        TargetError: The store failed; the object is not visible.
        Exception: Any error of the pickler; the object is not visible.
    """
    sink = _Sink(target)
    try:
        pickler = Pickler(sink, PROTOCOL)
        if (table := reducers()) is not None:
            pickler.dispatch_table = table
        pickler.dump(obj)
        digest = sink.hash.digest()
        sink.write(footer_for(sink.size, digest))
    except BaseException as error:
        sink.drop(error)
        raise
    sink.finish()
    return Written(sink.size, digest, sink.main_global)


class _Sink:
    """File for the pickler that buffers small objects and streams large ones."""

    __slots__ = ("_buffered", "_open", "_target", "_writer", "hash", "main_global", "size")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._buffered: list[bytes | memoryview] = [PROLOGUE]
        self._open: AbstractContextManager[Writable] | None = None
        self._writer: Writable | None = None
        self.hash = blake3(PROLOGUE)
        self.size = len(PROLOGUE)
        self.main_global: str | None = None

    def write(self, data: bytes | bytearray | PickleBuffer) -> int:
        """Accept frames as bytes, and large buffers without a copy."""
        view = data.raw() if isinstance(data, PickleBuffer) else memoryview(data)
        self.size += len(view)
        if (
            self.main_global is None
            and len(view) < _LARGEST_FRAME
            and (match := _MAIN_GLOBAL.search(view)) is not None
        ):
            self.main_global = match[1].decode()
        if self._writer is None and self.size > _BUFFER_SIZE:
            self._start()
        if type(data) is bytes and self.size <= _BUFFER_SIZE:
            self._take(data)
            return len(data)
        is_stable = _is_stable(view.obj)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._take(piece if is_stable else bytes(piece))
        return len(view)

    def finish(self) -> None:
        """Publish the object."""
        try:
            if self._open is None:
                self._target.put(b"".join(self._buffered))
            else:
                self._open.__exit__(None, None, None)
        except Exception as error:
            raise TargetError from error

    def drop(self, reason: BaseException) -> None:
        """Discard the object."""
        if self._open is not None:
            try:
                self._open.__exit__(type(reason), reason, reason.__traceback__)
            except BaseException as error:
                # the original error matters more to the caller
                if error is not reason:
                    reason.add_note(f"Dropping the unfinished upload failed as well: {type(error).__name__}")

    def _take(self, piece: bytes | memoryview) -> None:
        self.hash.update(piece)
        if self._writer is None:
            self._buffered.append(piece)
        else:
            self._send(self._writer, piece)

    def _start(self) -> None:
        try:
            self._open = self._target.open()
            self._writer = self._open.__enter__()
        except Exception as error:
            raise TargetError from error
        for piece in self._buffered:
            self._send(self._writer, piece)
        self._buffered.clear()

    @staticmethod
    def _send(writer: Writable, piece: bytes | memoryview) -> None:
        try:
            writer.write(piece)
        except Exception as error:
            raise TargetError from error


def _is_stable(owner: object) -> bool:
    """Return whether memory stays unchanged until the store has read it.

    Bytes and Arrow buffers never change, and an array that owns its memory is pickled once. Any other buffer of a
    `__reduce__` may be a view of memory that the next object overwrites.
    """
    if isinstance(owner, bytes) or type(owner).__module__ == "pyarrow.lib":
        return True
    return type(owner).__module__ == "numpy" and getattr(owner, "base", owner) is None
