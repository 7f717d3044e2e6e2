"""What the benchmarks share: taking turns, and saying how a ratio compares to the one that is wanted."""

from __future__ import annotations

from measuring.report import Report
from measuring.turns import in_turns

__all__ = ["Report", "in_turns"]
