"""Report of a benchmark: one line per ratio, and the exit code."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

MARGIN = 1.2
"""Factor by which a ratio may exceed its stored bound: the noise of a shared machine."""

BOUNDS = Path(__file__).parents[1] / "bounds.json"
"""Ratios by script and label, as measured on a quiet machine."""

RECORD = "RIVERS_BENCH_RECORD"
"""Environment variable: the measured ratios replace the stored bounds of those that have a target."""

UNITS = (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


class Report:
    """Print one line per ratio, and count the ratios that fall behind their stored bound.

    Args:
        title: What is measured, and how often.
        script: Name of the benchmark in the stored bounds; by default that of the running script.
        bounds: The file with the bounds.
    """

    def __init__(self, title: str, *, script: str | None = None, bounds: Path = BOUNDS) -> None:
        print(title, flush=True)
        self._script = script or Path(sys.argv[0]).stem
        self._file = bounds
        self._misses = 0

    def ratio(
        self, label: str, ours: float, theirs: float, target: float | None = None, *, quantities: str = ""
    ) -> None:
        """Print a ratio, and compare it with its target and its stored bound.

        Args:
            label: What is compared with what; unique in the script.
            ours: Seconds that rivers took, or another quantity of which less is better.
            theirs: The same quantity of the peer.
            target: The largest ratio wanted, and the bound until one is stored; without it, the ratio is printed only.
            quantities: The two quantities as text; by default, both are times.
        """
        ratio = ours / theirs
        verdict = "" if target is None else self._compared(label, ratio, target)
        quantities = quantities or f"{format_time(ours)} / {format_time(theirs)}"
        print(f"  {label:<58} {quantities:>23}  {ratio:8.3g}  {verdict}", flush=True)

    def _compared(self, label: str, ratio: float, target: float) -> str:
        bounds = json.loads(self._file.read_text()) if self._file.exists() else {}
        if os.environ.get(RECORD):
            bounds.setdefault(self._script, {})[label] = float(f"{ratio:.3g}")
            self._file.write_text(json.dumps(bounds, indent=2, sort_keys=True) + "\n")
        bound = bounds.get(self._script, {}).get(label, target)
        is_miss = ratio > bound * MARGIN
        self._misses += is_miss
        verdict = f"wanted <= {target:g}" if bound == target else f"wanted <= {target:g}, bound {bound:g}"
        return verdict + (", MISSED" if is_miss else "")

    @property
    def exit_code(self) -> int:
        """1 if a ratio exceeds its stored bound by more than the margin, else 0."""
        return int(self._misses > 0)


def format_time(seconds: float) -> str:
    """Return a time with three digits, in the largest unit that makes it at least 1."""
    unit, size = next((item for item in UNITS if seconds >= item[1]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}".rstrip()
