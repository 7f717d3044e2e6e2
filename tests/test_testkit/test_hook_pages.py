"""Every hook has a heading with its exact signature, an example, and a test."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from rivers_core import hooks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hooks.md").read_text()
TESTS = "\n".join(
    path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path.name != Path(__file__).name
)
HOOKS = [name for name in vars(hooks) if name.startswith("rivers_")]


def section(name):
    """Return the text below the heading of a hook, up to the next heading."""
    arguments = ", ".join(inspect.signature(getattr(hooks, name)).parameters)
    parts = PAGE.split(f"\n## `{name}({arguments})`\n")
    assert len(parts) == 2, f"docs/hooks.md needs one heading ## `{name}({arguments})`"
    return re.split(r"^## ", parts[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_hooks_are_found():
    assert {"rivers_io_handlers", "rivers_run_start"} <= set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_heading_and_example(name):
    blocks = re.findall(r"^```python\n(.*?)^```", section(name), re.MULTILINE | re.DOTALL)
    assert any(f"def {name}(" in block for block in blocks)


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_test(name):
    assert re.search(rf"def {name}\(", TESTS)
