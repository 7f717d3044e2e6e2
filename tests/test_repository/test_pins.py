"""The development environment is the same everywhere: exact versions, from whatever index a machine uses."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PINS = (ROOT / "constraints.txt").read_text().splitlines()


def normal(name: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", name)
    assert found, name
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_a_pin_is_a_name_and_a_version() -> None:
    for line in PINS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_nothing_is_pinned_twice() -> None:
    names = [normal(line) for line in PINS]
    assert len(names) == len(set(names))


def test_every_direct_dependency_is_pinned() -> None:
    pinned = {normal(line) for line in PINS}
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {line for group in root["dependency-groups"].values() for line in group if isinstance(line, str)}
    for path in [
        ROOT / "pyproject.toml",
        *ROOT.glob("*/pyproject.toml"),
        *ROOT.glob("plugins/*/pyproject.toml"),
    ]:
        wanted.update(tomllib.loads(path.read_text())["project"]["dependencies"])
    unpinned = {normal(line) for line in wanted} - pinned
    assert not {name for name in unpinned if not name.startswith("rivers")}


def test_a_pin_can_be_installed_on_the_first_python_that_is_supported() -> None:
    versions = dict(line.split("==") for line in PINS)
    for name, version in versions.items():
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:
            continue
        wanted = SpecifierSet(metadata.get("Requires-Python") or "")
        assert metadata["Version"] != version or "3.11.0" in wanted, f"{name} {version} needs Python {wanted}"
