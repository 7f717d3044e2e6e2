"""Every check of the kit states its rule, and has a section in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rivers_testkit import IOHandlerTests
from rivers_testkit.conformance import check_names
from rivers_testkit.pytest_plugin import DOCUMENTATION, advice

PAGE = (Path(__file__).parents[2] / DOCUMENTATION).read_text()
SECTIONS = {title.lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}


def test_kit_has_at_least_eighty_checks():
    assert len(check_names()) >= 80


@pytest.mark.parametrize("name", check_names())
def test_check_states_rule_and_section(name):
    text = advice(IOHandlerTests, name)
    assert re.match(r"Rule: [A-Z].{20,}", text)
    section = re.search(rf"Documentation: {re.escape(DOCUMENTATION)}#(\S+) \({name}\)$", text)[1]
    assert section in SECTIONS


def test_exclusions_are_limited():
    names = check_names()
    type("Three", (IOHandlerTests,), {"exclusions": dict.fromkeys(names[:3], "reason")})
    with pytest.raises(TypeError, match="at most 3"):
        type("Four", (IOHandlerTests,), {"exclusions": dict.fromkeys(names[:4], "reason")})


def test_unknown_exclusion_is_refused():
    with pytest.raises(TypeError, match=r"Did you mean 'test_value_round_trips'"):
        type("Misspelled", (IOHandlerTests,), {"exclusions": {"test_value_round_trip": "reason"}})
