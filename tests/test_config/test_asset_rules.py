"""Rules of the `[assets]` table: handler and metadata of the assets that a pattern matches."""

from __future__ import annotations

from datetime import date

import pytest

from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError

HANDLERS = """
    [io_handlers.lake]
    use = "disk"
    store = "memory:"

    [io_handlers.scratch]
    use = "bare"
"""
RULES = (
    HANDLERS
    + """
    [assets]
    "*" = "scratch"
    "raw_*" = { handler = "lake", metadata = { "delta/mode" = "append", team = "ingest" } }
    "raw_orders" = { metadata = { "delta/mode" = "error", "delta/columns" = ["a", "b"] } }
    "note" = { handler = "lake" }

    [environments.prod.assets]
    "raw_*" = { metadata = { team = "operations" } }
    "note" = "scratch"
    "late" = { metadata = { team = "late" } }
"""
)


@pytest.mark.parametrize(
    ("asset", "environment", "rule", "metadata"),
    [
        ("other", None, ("*", "scratch"), {}),
        ("raw_items", None, ("raw_*", "lake"), {"delta/mode": "append", "team": "ingest"}),
        (
            "raw_orders",
            None,
            ("raw_*", "lake"),
            {"delta/mode": "error", "team": "ingest", "delta/columns": ["a", "b"]},
        ),
        ("raw_items", "prod", ("raw_*", "lake"), {"delta/mode": "append", "team": "operations"}),
        ("note", None, ("note", "lake"), {}),
        ("note", "prod", ("note", "scratch"), {}),
        ("late", None, ("*", "scratch"), {}),
        ("late", "prod", ("*", "scratch"), {"team": "late"}),
    ],
)
def test_each_field_comes_from_most_specific_pattern(asset, environment, rule, metadata, load):
    config = load(RULES, environment=environment)
    assert config.findings() == []
    assert config.rule_for(asset) == rule
    assert config.metadata_for(asset) == metadata


def test_rules_list_handlers_and_metadata_by_pattern(load):
    config = load(RULES)
    assert config.rules == {"*": "scratch", "raw_*": "lake", "note": "lake"}
    assert config.metadata_rules["raw_*"] == {"delta/mode": "append", "team": "ingest"}
    assert set(config.metadata_rules) == {"raw_*", "raw_orders"}


def test_metadata_for_returns_a_copy(load):
    config = load(RULES)
    config.metadata_for("raw_orders")["delta/columns"].append("c")
    assert config.metadata_for("raw_orders")["delta/columns"] == ["a", "b"]


def test_metadata_of_equally_specific_patterns_is_an_error(load):
    config = load("[assets]\n'a_*' = { metadata = { k = [1] } }\n'*_a' = { metadata = { k = [2], j = 1 } }\n")
    assert config.metadata_for("a_x") == {"k": [1]}
    with pytest.raises(ConfigurationError, match=r"rivers\.toml \[assets\] k: .*'a_a'.*equally specific"):
        config.metadata_for("a_a")


def test_findings_report_invalid_rules():
    rules = {
        "a": {"handlr": "memory"},
        "b": {"handler": 3},
        "c": {"metadata": "text"},
        "d": {"metadata": {"day": date(2024, 1, 1), "nan": float("nan"), "fine": {"x": [None, 1.5]}}},
        "e": {"handler": "memoryy"},
        "f": 4,
    }
    config = load_config({"assets": rules})
    findings = config.findings()
    for expected in (
        "the configuration [assets.a] handlr: unknown key. Did you mean 'handler'?",
        "the configuration [assets.b] handler: must be a non-empty string, got 3.",
        "the configuration [assets.c.metadata]: must be a table, got a str.",
        "the configuration [assets.d] metadata.day: must be a JSON value",
        "the configuration [assets.d] metadata.nan: must be a JSON value",
        "the configuration [assets.e] handler: IO handler 'memoryy' not found. Did you mean 'memory'?",
        "the configuration [assets] f: must be a non-empty string, got 4.",
    ):
        assert any(finding.startswith(expected) for finding in findings), (expected, findings)
    assert len(findings) == 7
