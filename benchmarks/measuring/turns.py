"""Measuring several things in one run, in turns, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping


def in_turns(
    contestants: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Let each contestant measure itself once per round, with the garbage of the one before collected first.

    Args:
        contestants: By name, functions that do their work and give the seconds that it took.
        rounds: How many measurements of each are kept.
        warm_up: Rounds before those, which are thrown away.

    Returns:
        The seconds of each contestant, round by round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name, measure in contestants.items():
            gc.collect()
            spent = measure()
            if number >= warm_up:
                seconds[name].append(spent)
    return seconds
