"""Sizes, durations and ages for people, timestamps for programs."""

from __future__ import annotations

import pytest

from rivers.inspection.events import format_iso
from rivers_cli.humanize import format_age, format_duration, format_size

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (99_960, "100.0 kB"),
     (999_600, "1.0 MB"), (999_960, "1.0 MB"), (1_500_000_000, "1.5 GB"), (5 * 10**18, "5.0 EB")],
)  # fmt: skip
def test_format_size_rounds_to_three_digits(count, text):
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.0 ms"), (400_000, "0.4 ms"), (99_000_000, "99.0 ms"), (250_000_000, "250 ms"), (2 * SECOND, "2.0 s"),
     (65 * SECOND, "1 min 05 s"), (3_600 * SECOND, "1 h 00 min"), (7_500 * SECOND, "2 h 05 min")],
)  # fmt: skip
def test_format_duration(nanoseconds, text):
    assert format_duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (0, "now"), (1, "1 s ago"), (59, "59 s ago"), (61, "1 min ago"), (7_300, "2 h ago"),
     (200_000, "2 d ago")],
)  # fmt: skip
def test_format_age_uses_largest_unit(seconds, text):
    assert format_age(1_000_000 * SECOND, now=(1_000_000 + seconds) * SECOND) == text


def test_format_iso_is_utc():
    assert format_iso(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456+00:00"
