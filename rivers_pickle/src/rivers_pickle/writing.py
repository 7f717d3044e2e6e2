"""Pickling straight into a store: hashed on the way, large buffers never copied."""

from __future__ import annotations

from pickle import PickleBuffer, Pickler
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from rivers_pickle.format import PROLOGUE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rivers_pickle.targets import Target, Writable

PROTOCOL: Final = 5

_HELD_BACK: Final = 4 * 1024 * 1024
_PIECE: Final = 4 * 1024 * 1024


class Written(NamedTuple):
    """What was stored.

    Args:
        size: Bytes of the whole object.
        digest: BLAKE3 over the pickle stream.
    """

    size: int
    digest: bytes


class TargetError(Exception):
    """The store failed, not the pickling; the store's own error is the cause."""


def write_pickle(target: Target, obj: object, footer_for: Callable[[int, bytes], bytes]) -> Written:
    """Pickle a value into an object, all or nothing.

    An object of up to 4 MiB is put in one request. A larger one is streamed: the pickler hands over large
    buffers, and they go to the store in pieces; bytes, arrays and Arrow columns as they are. Any other
    buffer is copied piece by piece: a later part of the value may reuse it while the store still reads.

    Args:
        target: Where it goes.
        obj: The value.
        footer_for: Makes the footer from length and digest of the pickle stream.

    Raises:
        TargetError: The store failed; nothing of the object is visible.
        Exception: Whatever pickling the value raised; nothing of the object is visible.
    """
    sink = _Sink(target)
    try:
        sink.write(PROLOGUE)
        Pickler(sink, PROTOCOL).dump(obj)
        digest = sink.hash.digest()
        sink.write(footer_for(sink.size, digest))
    except BaseException as error:
        sink.drop(error)
        raise
    sink.finish()
    return Written(sink.size, digest)


class _Sink:
    """The file the pickler writes to: it holds back small objects and streams the others."""

    __slots__ = ("_held", "_open", "_target", "_writer", "hash", "size")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._held: list[bytes | memoryview] = []
        self._open: AbstractContextManager[Writable] | None = None
        self._writer: Writable | None = None
        self.hash = blake3()
        self.size = 0

    def write(self, data: bytes | bytearray | PickleBuffer) -> int:
        """Take what the pickler gives: frames as bytes, large buffers as they are."""
        view = data.raw() if isinstance(data, PickleBuffer) else memoryview(data)
        self.size += len(view)
        if self._writer is None and self.size > _HELD_BACK:
            self._start()
        stays = _stays(view.obj)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._take(piece if stays else bytes(piece))
        return len(view)

    def finish(self) -> None:
        """Make the object visible."""
        try:
            if self._open is None:
                self._target.put(b"".join(self._held))
            else:
                self._open.__exit__(None, None, None)
        except Exception as error:
            raise TargetError from error

    def drop(self, reason: BaseException) -> None:
        """Leave nothing behind."""
        if self._open is not None:
            try:
                self._open.__exit__(type(reason), reason, reason.__traceback__)
            except BaseException as error:
                # what made us drop it is what the caller wants to know
                if error is not reason:
                    reason.add_note(f"Dropping the unfinished upload failed as well: {type(error).__name__}")

    def _take(self, piece: bytes | memoryview) -> None:
        self.hash.update(piece)
        if self._writer is None:
            self._held.append(piece)
        else:
            self._pass_on(self._writer, piece)

    def _start(self) -> None:
        try:
            self._open = self._target.open()
            self._writer = self._open.__enter__()
        except Exception as error:
            raise TargetError from error
        for piece in self._held:
            self._pass_on(self._writer, piece)
        self._held.clear()

    @staticmethod
    def _pass_on(writer: Writable, piece: bytes | memoryview) -> None:
        try:
            writer.write(piece)
        except Exception as error:
            raise TargetError from error


def _stays(owner: object) -> bool:
    """Whether memory keeps what it holds until the store has read it.

    Bytes and buffers of Arrow never change, and an array that owns its memory is pickled once. What else a
    `__reduce__` gives may be a view of something that the next object overwrites.
    """
    if isinstance(owner, bytes) or type(owner).__module__ == "pyarrow.lib":
        return True
    return type(owner).__module__ == "numpy" and getattr(owner, "base", owner) is None
