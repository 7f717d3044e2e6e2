"""What functions and handlers say to their loggers, shown while they run."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _ToStderr(logging.Handler):
    """Writes to whatever stderr is at the moment, which a live view may have taken over."""

    def __init__(self, without_secrets: Callable[[str], str]) -> None:
        super().__init__()
        self._without_secrets = without_secrets

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self._without_secrets(self.format(record)), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def logs_shown(without_secrets: Callable[[str], str]) -> Iterator[None]:
    """Show what is logged below `rivers` from INFO on, unless the project has set up its logging itself.

    Args:
        without_secrets: Takes credentials out of a line.
    """
    logger = logging.getLogger("rivers")
    if logger.handlers or logging.getLogger().handlers:
        yield
        return
    handler, level = _ToStderr(without_secrets), logger.level
    handler.setFormatter(logging.Formatter("%(asctime)s  %(name)s: %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
