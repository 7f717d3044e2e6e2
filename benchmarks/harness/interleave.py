"""Interleaved measurements: whatever slows the machine down slows down every contestant."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping


def run_interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Run each contestant once per round, and collect garbage before each.

    Args:
        contestants: Functions that do their work and return the seconds that it took, by name.
        rounds: Number of measurements to keep of each contestant.
        warm_up: Number of rounds before those, whose measurements are discarded.

    Returns:
        The seconds of each contestant, round by round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name, measure in contestants.items():
            gc.collect()
            elapsed = measure()
            if number >= warm_up:
                seconds[name].append(elapsed)
    return seconds
