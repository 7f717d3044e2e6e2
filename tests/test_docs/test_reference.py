"""The reference has a place for every public name."""

from __future__ import annotations

import re
import types
from pathlib import Path

import pytest

import rivers
import rivers_core

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = "\n".join(page.read_text() for page in sorted(REFERENCE.glob("*.md")))
MODULES = set(re.findall(r"^::: (\S+)", PAGES, re.MULTILINE))
ELSEWHERE = {"hookimpl"}  # a marker of pluggy, explained on the page about hooks

NAMES = [(package, name) for package in (rivers, rivers_core) for name in package.__all__]


@pytest.mark.parametrize(
    ("package", "name"), NAMES, ids=[f"{package.__name__}.{name}" for package, name in NAMES]
)
def test_a_public_name_is_in_the_reference(package: types.ModuleType, name: str) -> None:
    value = getattr(package, name)
    if isinstance(value, types.ModuleType):
        assert {value.__name__, "rivers_core.exceptions"} & MODULES
    else:
        assert name in ELSEWHERE or value.__module__ in MODULES
