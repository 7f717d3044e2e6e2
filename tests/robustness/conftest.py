"""Counts of the robustness tests, and the table of what they did."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.terminal import TerminalReporter

SHARES: Final = {"tenth": 0.1, "full": 1.0}
"""Part of all positions that `make torture` takes; without it, each test takes a few."""
FEWEST: Final = 3
OUTCOMES: Final = (
    "stored, new value",
    "refused, old value",
    "refused, new value",
    "killed, old value",
    "killed, new value",
    "success",
    "failed",
    "killed",
)


@pytest.fixture
def positions() -> Callable[[int], list[int]]:
    """Return which of the first `count` calls meet a fault: evenly spread, always with the first and the last."""
    share = SHARES.get(os.environ.get("TORTURE", ""), 0.0)

    def spread(count: int) -> list[int]:
        wanted = min(count, max(FEWEST, round(count * share)))
        return sorted({1 + position * (count - 1) // max(wanted - 1, 1) for position in range(wanted)})

    return spread


@pytest.fixture
def kills() -> Callable[[int], int]:
    """Return how many of `count` processes are killed."""
    share = SHARES.get(os.environ.get("TORTURE", ""), 0.0)
    return lambda count: max(FEWEST, round(count * share))


@pytest.fixture
def outcomes(record_property: Callable[[str, object], None]) -> dict[str, int]:
    """Number of faults by outcome, for the table after the run."""
    numbers = dict.fromkeys(OUTCOMES, 0)
    record_property("outcomes", numbers)
    return numbers


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    rows = [
        (report.nodeid.partition("::")[2], numbers)
        for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
        for name, numbers in report.user_properties
        if name == "outcomes" and numbers
    ]
    if not rows or "TORTURE" not in os.environ:
        return
    terminalreporter.section("faults and what came of them")
    width = max(len(name) for name, _ in rows)
    for name, numbers in sorted(rows):
        shown = ", ".join(f"{outcome}: {count}" for outcome, count in numbers.items() if count)
        terminalreporter.line(f"{name:<{width}}  {sum(numbers.values()):>5}  {shown}")
