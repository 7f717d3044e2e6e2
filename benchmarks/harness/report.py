"""Report of a benchmark: one line per ratio, and the exit code."""

from __future__ import annotations

MARGIN = 1.25
"""Factor by which a ratio may exceed its target before the script fails: the noise of a shared machine."""

UNITS = (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


class Report:
    """Print one line per ratio, and count the ratios that miss their target.

    Args:
        title: What is measured, and how often.
    """

    def __init__(self, title: str) -> None:
        print(title, flush=True)
        self._misses = 0

    def ratio(
        self, label: str, ours: float, theirs: float, target: float | None = None, *, quantities: str = ""
    ) -> None:
        """Print a ratio, and compare it with its target.

        Args:
            label: What is compared with what.
            ours: Seconds that rivers took, or another quantity of which less is better.
            theirs: The same quantity of the peer.
            target: The largest ratio wanted; without it, the ratio is printed only.
            quantities: The two quantities as text; by default, both are times.
        """
        ratio = ours / theirs
        verdict = ""
        if target is not None:
            is_miss = ratio > target * MARGIN
            self._misses += is_miss
            verdict = f"wanted <= {target:g}" + (", MISSED" if is_miss else "")
        quantities = quantities or f"{format_time(ours)} / {format_time(theirs)}"
        print(f"  {label:<58} {quantities:>23}  {ratio:8.3g}  {verdict}", flush=True)

    @property
    def exit_code(self) -> int:
        """1 if a ratio missed its target by more than the margin, else 0."""
        return int(self._misses > 0)


def format_time(seconds: float) -> str:
    """Return a time with three digits, in the largest unit that makes it at least 1."""
    unit, size = next((item for item in UNITS if seconds >= item[1]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}".rstrip()
