"""Early end of a run: what no longer starts, and what is abandoned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Ending:
    """State of the early end of a run.

    Attributes:
        starts_nothing: Whether no further call may start.
    """

    starts_nothing: bool = False
