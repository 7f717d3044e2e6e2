"""The reference documents every public name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from rivers_core import InputContext, OutputContext

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = "\n".join(page.read_text() for page in sorted(REFERENCE.glob("*.md")))
MODULES = set(re.findall(r"^::: (\S+)", PAGES, re.MULTILINE))
# pluggy's marker, described on the page about hooks; and constants, which do not know their module
DOCUMENTED_ELSEWHERE = {"hookimpl", "JSON_SAMPLES", "PYTHON_SAMPLES"}

PACKAGES = (
    "rivers",
    "rivers_core",
    "rivers_core.authoring",
    "rivers_delta",
    "rivers_frames",
    "rivers_json",
    "rivers_memory",
    "rivers_objects",
    "rivers_overlay",
    "rivers_parquet",
    "rivers_pickle",
    "rivers_testkit",
)
NAMES = [(package, name) for package in PACKAGES for name in import_module(package).__all__]


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[".".join(item) for item in NAMES])
def test_reference_documents_public_name(package: str, name: str) -> None:
    if package in MODULES or name in DOCUMENTED_ELSEWHERE:
        return  # mkdocstrings shows everything in the __all__ of a documented module
    value = getattr(import_module(package), name)
    module = getattr(value, "__module__", None) or value.__name__
    assert module in MODULES


@pytest.mark.parametrize("context", [InputContext, OutputContext])
def test_page_names_each_context_member(context: type) -> None:
    section = (REFERENCE / "core.md").read_text().partition("\n## Contexts\n")[2].partition("\n:::")[0]
    documented = set(re.findall(r"`(\w+)", section))
    members = {name for cls in context.__mro__ for name in (*vars(cls), *getattr(cls, "__slots__", ()))}
    assert {name for name in members if not name.startswith("_")} <= documented
