"""Code shared by the benchmarks: interleaved measurements, and a report of ratios."""

from __future__ import annotations

from harness.interleave import run_interleaved
from harness.report import Report

__all__ = ["Report", "run_interleaved"]
