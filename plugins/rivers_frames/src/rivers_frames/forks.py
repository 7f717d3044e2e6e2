"""Frame libraries in forked processes: threads of polars do not survive a fork, so that the next query would hang."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

from rivers_core.authoring import ForkGuard
from rivers_core.exceptions import RiversError

POLARS: Final = ForkGuard("polars")
"""Refuses polars in a process whose parent had imported it, and may have started its threads."""


def _mark_polars() -> None:
    if "polars" in sys.modules:
        # a parent that was forked itself is refused already
        with suppress(RiversError):
            POLARS.enter()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_mark_polars)
