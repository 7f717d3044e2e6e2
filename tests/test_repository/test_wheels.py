"""What a user installs: each wheel holds its package, its licence and its entry points, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]
CASES = [
    pytest.param(ROOT, id="rivers"),
    *(pytest.param(path.parent, id=path.parent.name) for path in MEMBERS),
]


def build(folder: Path, target: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def built(folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The wheel and the source archive of a distribution."""
    build(folder, tmp_path)
    return next(tmp_path.glob("*.whl")), next(tmp_path.glob("*.tar.gz"))


@pytest.mark.parametrize("folder", CASES)
def test_a_wheel_holds_its_package_and_no_more(folder: Path, built: tuple[Path, Path]) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    distribution = project["name"].replace("-", "_")
    package = "rivers" if folder == ROOT else distribution
    source = (folder if folder == ROOT else folder / "src") / package
    info = f"{distribution}-{project['version']}.dist-info"
    files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        metadata = message_from_string(wheel.read(f"{info}/METADATA").decode())
    packed = {name for name in names if not name.startswith(info)}
    assert packed == {path.relative_to(source.parent).as_posix() for path in files}
    assert f"{package}/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert metadata["Name"] == project["name"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    has_entry_points = bool(project.get("entry-points") or project.get("scripts"))
    assert has_entry_points == (f"{info}/entry_points.txt" in names)


@pytest.mark.parametrize("folder", CASES)
def test_a_source_archive_builds_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[1]) as archive:
        # early releases of Python 3.11 have no filters; later ones want one
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "unpacked")
    build(next((tmp_path / "unpacked").iterdir()), tmp_path / "again")
    rebuilt = next((tmp_path / "again").glob("*.whl"))
    with zipfile.ZipFile(built[0]) as wheel, zipfile.ZipFile(rebuilt) as other:
        assert set(other.namelist()) == set(wheel.namelist())
