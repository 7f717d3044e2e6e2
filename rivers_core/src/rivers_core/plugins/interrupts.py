"""Tell Ctrl-C from a `KeyboardInterrupt` that a plugin raises."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self


class InterruptWatch:
    """Notes whether SIGINT arrives while a plugin is imported.

    Outside the main thread, where Python does not deliver signals, a `KeyboardInterrupt` is always raised by code.

    Attributes:
        is_interrupted: Whether SIGINT arrived; True if that cannot be known.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._previous: object = None

    def __enter__(self) -> Self:
        self._previous = signal.getsignal(signal.SIGINT)
        if callable(self._previous):
            try:
                signal.signal(signal.SIGINT, self._note)
            except ValueError:  # not the main thread
                self._previous = None
        else:
            self.is_interrupted = self._previous is None  # a handler that was not installed from Python
        return self

    def __exit__(self, *_: object) -> None:
        # a plugin may have installed a handler
        if callable(self._previous) and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_interrupted = True
        if callable(self._previous):
            self._previous(number, frame)
