"""Sizes, durations and ages as people write them."""

from __future__ import annotations

import pytest

from rivers_cli import amounts

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"), (999_600, "1.0 MB"),
     (1_500_000_000, "1.5 GB"), (5 * 10**18, "5000 PB")],
)  # fmt: skip
def test_sizes(count, text):
    assert amounts.size(count) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.0 ms"), (400_000, "0.4 ms"), (99_000_000, "99.0 ms"), (250_000_000, "250 ms"), (2 * SECOND, "2.0 s"),
     (65 * SECOND, "1 min 05 s"), (3_600 * SECOND, "1 h 00 min"), (7_500 * SECOND, "2 h 05 min")],
)  # fmt: skip
def test_durations(nanoseconds, text):
    assert amounts.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (0, "now"), (1, "1 s ago"), (59, "59 s ago"), (61, "1 min ago"), (7_300, "2 h ago"),
     (200_000, "2 d ago")],
)  # fmt: skip
def test_ages(seconds, text):
    assert amounts.age(1_000_000 * SECOND, now=(1_000_000 + seconds) * SECOND) == text


def test_moments_for_programs_are_in_utc():
    assert amounts.iso(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456+00:00"
