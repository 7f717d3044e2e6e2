from __future__ import annotations

import subprocess
import sys

import pytest

import rivers_core

HEAVY = (
    "pydantic",
    "pydantic_settings",
    "numpy",
    "pyarrow",
    "polars",
    "pluggy",
    "importlib_metadata",
    "ctypes",
    "cronsim",
)


@pytest.mark.parametrize(
    "module",
    [
        "rivers_core",
        "rivers_core.partitions",
        "rivers_core.metadata",
        "rivers_core.keys",
        "rivers_core.exceptions",
    ],
)
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("name", rivers_core.__all__)
def test_public_name_is_importable(name):
    assert getattr(rivers_core, name) is not None
    assert name in dir(rivers_core)


def test_public_names_are_sorted():
    assert list(rivers_core.__all__) == sorted(rivers_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rivers_core.nothing  # noqa: B018
