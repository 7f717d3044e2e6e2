"""Suggestions for misspelled names."""

from __future__ import annotations

import pytest

from rivers_core.authoring import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "suggestion"),
    [
        ("tabel", ["table", "schema"], " Did you mean 'table'?"),
        ("PREFIX", ["prefix"], " Did you mean 'prefix'?"),
        ("delta/mod", {"Delta/Mode": 1}, " Did you mean 'Delta/Mode'?"),
        ("xyz", ["table", "schema"], ""),
        ("table", [], ""),
    ],
)
def test_did_you_mean_suggests_closest_name(name, known, suggestion):
    assert did_you_mean(name, known) == suggestion


def test_did_you_mean_lowers_cutoff():
    assert did_you_mean("order_lines_2024", ["orders"]) == ""
    assert "'orders'" in did_you_mean("order_lines_2024", ["orders"], cutoff=0.4)
