"""The examples in docstrings run, and show the actual results."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "rivers", *ROOT.glob("rivers_*/src/rivers_*"), *ROOT.glob("plugins/*/src/rivers_*")]


def module_name(source: Path, path: Path) -> str:
    parts = [source.name, *path.relative_to(source).with_suffix("").parts]
    return ".".join(part for part in parts if part != "__init__")


FILES = [(source, path) for source in SOURCES for path in sorted(source.rglob("*.py"))]
MODULES = [module_name(source, path) for source, path in FILES if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=flags, verbose=False)
    assert result.attempted, f"{name}: no example in a docstring"
    assert not result.failed, f"{result.failed} of {result.attempted} examples failed"


def test_docstring_section_is_named_examples() -> None:
    """Google style has a section `Examples:`; griffe renders `Example:` as an admonition."""
    offenders = [str(path.relative_to(ROOT)) for _, path in FILES if "\n    Example:\n" in path.read_text()]
    assert not offenders
