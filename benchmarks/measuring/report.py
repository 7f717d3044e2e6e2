"""What a benchmark prints, and whether it is content."""

from __future__ import annotations

MARGIN = 1.25
"""How much worse than wanted a ratio may be before a script fails: less than that is what noise does."""

UNITS = (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


class Report:
    """Prints one line per figure and remembers which are far from what is wanted.

    Args:
        title: What was measured, and how often.
    """

    def __init__(self, title: str) -> None:
        print(title)
        self._missed = 0

    def ratio(
        self, what: str, ours: float, theirs: float, wanted: float | None = None, *, shown: str = ""
    ) -> None:
        """Tell one ratio.

        Args:
            what: What is compared to what.
            ours: Our seconds, or another quantity of which less is better.
            theirs: That of the peer.
            wanted: The ratio that is wanted at most; None only tells.
            shown: The two quantities in words; by default both are times.
        """
        ratio = ours / theirs
        verdict = ""
        if wanted is not None:
            missed = ratio > wanted * MARGIN
            self._missed += missed
            verdict = f"wanted <= {wanted:g}" + (", MISSED" if missed else "")
        print(
            f"  {what:<58} {shown or f'{time_text(ours)} / {time_text(theirs)}':>23}  {ratio:8.3g}  {verdict}"
        )

    def fact(self, what: str, text: str) -> None:
        """Tell something that is no ratio."""
        print(f"  {what:<58} {text:>23}")

    @property
    def exit_code(self) -> int:
        """Zero unless a ratio was far from what is wanted."""
        return int(self._missed > 0)


def time_text(seconds: float) -> str:
    """Seconds with three digits and the unit that fits."""
    unit, size = next((one for one in UNITS if seconds >= one[1]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}".rstrip()
