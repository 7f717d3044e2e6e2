"""Each wheel contains its package, its license and its entry points, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from email import message_from_string
from typing import TYPE_CHECKING

import pytest

from tests.environments import build_source_archive, build_wheel
from tests.test_repository.checkout import Distribution, each_distribution

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archives(distribution: Distribution, tmp_path: Path) -> tuple[Path, Path]:
    """Build the wheel and the source archive of a distribution."""
    return (
        build_wheel(distribution.folder, tmp_path),
        build_source_archive(distribution.folder, tmp_path),
    )


@each_distribution
def test_wheel_contains_package_only(distribution: Distribution, archives: tuple[Path, Path]) -> None:
    project, source = distribution.project, distribution.package
    info = f"{distribution.name.replace('-', '_')}-{project['version']}.dist-info"
    files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(archives[0]) as wheel:
        names = set(wheel.namelist())
        metadata = message_from_string(wheel.read(f"{info}/METADATA").decode())
    packed = {name for name in names if not name.startswith(info)}
    assert packed == {path.relative_to(source.parent).as_posix() for path in files}
    assert f"{distribution.import_name}/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert metadata["Name"] == project["name"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    has_entry_points = bool(project.get("entry-points") or project.get("scripts"))
    assert has_entry_points == (f"{info}/entry_points.txt" in names)


@each_distribution
def test_source_archive_builds_same_wheel(archives: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, source_archive = archives
    with tarfile.open(source_archive) as archive:
        # Python 3.11.0 to 3.11.3 have no extraction filters; Python 3.12 warns without one
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "unpacked")
    rebuilt = build_wheel(next((tmp_path / "unpacked").iterdir()), tmp_path / "rebuilt")
    with zipfile.ZipFile(wheel) as expected, zipfile.ZipFile(rebuilt) as result:
        assert set(result.namelist()) == set(expected.namelist())
