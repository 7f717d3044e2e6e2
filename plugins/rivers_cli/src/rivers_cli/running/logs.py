"""What functions and handlers say to their loggers, shown while they run."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _ToStderr(logging.Handler):
    """Writes to whatever stderr is at the moment, which a live view may have taken over."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def logs_shown() -> Iterator[None]:
    """Show what is logged below `rivers` from INFO on, unless the project has set up its logging itself."""
    logger = logging.getLogger("rivers")
    if logger.handlers or logging.getLogger().handlers:
        yield
        return
    handler, level = _ToStderr(), logger.level
    handler.setFormatter(logging.Formatter("%(asctime)s  %(name)s: %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
