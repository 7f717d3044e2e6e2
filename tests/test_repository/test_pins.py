"""The development environment is reproducible: exact versions, independent of the package index."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

from packaging.specifiers import SpecifierSet

from tests.test_repository.checkout import DISTRIBUTIONS, ROOT, normalize_name

PINS = (ROOT / "constraints.txt").read_text().splitlines()


def test_pin_is_name_and_version() -> None:
    for line in PINS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_pin_is_unique() -> None:
    names = [normalize_name(line) for line in PINS]
    assert len(names) == len(set(names))


def test_pin_exists_for_each_dependency() -> None:
    pinned = {normalize_name(line) for line in PINS}
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dependencies = {
        line for group in root["dependency-groups"].values() for line in group if isinstance(line, str)
    }
    names = {normalize_name(line) for line in dependencies}
    names.update(*(item.required for item in DISTRIBUTIONS))
    unpinned = names - pinned
    assert not {name for name in unpinned if not name.startswith("rivers")}


def test_pin_supports_lowest_python() -> None:
    versions = dict(line.split("==") for line in PINS)
    for name, version in versions.items():
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:
            continue
        supported = SpecifierSet(metadata.get("Requires-Python") or "")
        assert metadata["Version"] != version or "3.11.0" in supported, (
            f"{name} {version} requires Python {supported}"
        )
