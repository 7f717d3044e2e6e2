"""Every check of the kit states its rule, and has a section in the documentation."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from rivers_core import InputContext, OutputContext
from rivers_testkit import IOHandlerTests
from rivers_testkit.conformance import check_names
from rivers_testkit.pytest_plugin import DOCUMENTATION, advice

PAGE = (Path(__file__).parents[2] / DOCUMENTATION).read_text()
SECTIONS = {title.lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}


def test_kit_has_at_least_eighty_checks():
    assert len(check_names()) >= 80


@pytest.mark.parametrize("name", check_names())
def test_check_states_rule_advice_and_section(name):
    rule, fix, place = advice(IOHandlerTests, name).splitlines()
    assert re.match(r"Rule: [A-Z].{20,}", rule)
    assert re.match(r"Advice: [A-Z`].{30,}", fix)
    section = re.fullmatch(rf"Documentation: {re.escape(DOCUMENTATION)}#(\S+) \({name}\)", place)[1]
    assert section in SECTIONS


def test_advice_is_written_for_one_check():
    fixes = [advice(IOHandlerTests, name).splitlines()[1] for name in check_names()]
    assert len(set(fixes)) == len(fixes)


@pytest.mark.parametrize("name", check_names())
def test_names_in_advice_exist(name):
    """Advice names methods, attributes and helpers that an author can look up."""
    text = advice(IOHandlerTests, name)
    for owner, attribute in re.findall(r"`(context|rivers_core(?:\.\w+)*)\.(\w+)", text):
        places = [OutputContext, InputContext] if owner == "context" else [import_module(owner)]
        assert any(hasattr(place, attribute) for place in places), f"{owner}.{attribute}"


def test_exclusions_are_limited():
    names = check_names()
    type("Three", (IOHandlerTests,), {"exclusions": dict.fromkeys(names[:3], "reason")})
    with pytest.raises(TypeError, match="at most 3"):
        type("Four", (IOHandlerTests,), {"exclusions": dict.fromkeys(names[:4], "reason")})


def test_unknown_exclusion_is_refused():
    with pytest.raises(TypeError, match=r"Did you mean 'test_value_round_trips'"):
        type("Misspelled", (IOHandlerTests,), {"exclusions": {"test_value_round_trip": "reason"}})
