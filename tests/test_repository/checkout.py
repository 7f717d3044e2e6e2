"""The distributions of this checkout, for the tests of this folder."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distribution:
    folder: Path

    @property
    def project(self) -> dict:
        return tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def import_name(self) -> str:
        # the index name `rivers` belongs to another project; the engine is published as `rivers-io`
        return "rivers" if self.name == "rivers-io" else self.name.replace("-", "_")

    @property
    def package(self) -> Path:
        source = self.folder if self.folder == ROOT else self.folder / "src"
        return source / self.import_name

    @property
    def required(self) -> set[str]:
        return {normalize_name(line) for line in self.project.get("dependencies", [])}

    @property
    def optional(self) -> set[str]:
        extras = self.project.get("optional-dependencies", {})
        return {normalize_name(line) for lines in extras.values() for line in lines}

    @property
    def modules(self) -> list[Path]:
        return sorted(self.package.rglob("*.py"))


DISTRIBUTIONS = [
    Distribution(path.parent)
    for pattern in ("pyproject.toml", "*/pyproject.toml", "plugins/*/pyproject.toml")
    for path in sorted(ROOT.glob(pattern))
]

each_distribution = pytest.mark.parametrize(
    "distribution", [pytest.param(distribution, id=distribution.name) for distribution in DISTRIBUTIONS]
)


def normalize_name(requirement: str) -> str:
    """Return the normalized name of the distribution in a requirement such as `rivers-core[arrow]==0.1.0`."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def tracked_files() -> list[Path]:
    """Return all files that git tracks, or that are new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = (ROOT / name for name in output.decode().split("\0") if name)
    return sorted({path for path in paths if path.is_file()})
