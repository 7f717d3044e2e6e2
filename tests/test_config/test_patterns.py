"""Find the most specific pattern for an asset."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.config.config import most_specific, specificity
from rivers_core.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("asset", "winner"),
    [
        ("raw_orders", "raw_orders"),
        ("raw_orders_v2", "raw_orders_*"),
        ("raw_items", "raw_*"),
        ("other", "*"),
        ("raw_orders_x_final", "raw_*_x_final"),
        ("day_1", "day_?"),
        ("day_12", "day_*"),
        ("graph/task", "graph/*"),
    ],
)
def test_most_specific_prefers_literal_characters(asset, winner):
    patterns = [
        *(
            "*",
            "raw_*",
            "raw_orders",
            "raw_orders_*",
            "raw_*_x_final",
            "raw_*_*_*",
            "day_*",
            "day_?",
            "graph/*",
        ),
    ]
    random.shuffle(patterns)
    rules = {pattern: f"handler of {pattern}" for pattern in patterns}
    assert most_specific(rules, asset, "rivers.toml [assets]") == (winner, f"handler of {winner}")


def test_most_specific_without_match_is_none():
    assert most_specific({"raw_*": "lake"}, "Raw_orders", "here") is None
    assert most_specific({}, "orders", "here") is None


def test_most_specific_reports_tie_of_different_handlers():
    rules = {"raw_*": "lake", "*_raw": "scratch"}
    with pytest.raises(
        ConfigurationError, match=r"'\*_raw' = 'scratch' and 'raw_\*' = 'lake' match asset 'raw_x_raw'"
    ):
        most_specific(rules, "raw_x_raw", "rivers.toml [assets]")
    assert most_specific(rules | {"*_raw": "lake"}, "raw_x_raw", "here") == ("*_raw", "lake")
    assert most_specific(rules, "raw_x", "here") == ("raw_*", "lake")


@given(st.lists(st.text("ab*?", min_size=1, max_size=6), unique=True, max_size=6), st.text("ab", max_size=6))
def test_most_specific_ignores_order(patterns, asset):
    rules = {pattern: str(specificity(pattern)) for pattern in patterns}
    reordered = {pattern: rules[pattern] for pattern in reversed(patterns)}
    assert most_specific(rules, asset, "here") == most_specific(reordered, asset, "here")
