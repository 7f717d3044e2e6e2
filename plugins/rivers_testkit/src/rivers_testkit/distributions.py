"""Installed distributions for tests: a package folder and a hand-made `*.dist-info`, found as real ones are."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class FakeDistributions:
    """Installs distributions in a folder that is on `sys.path`.

    Args:
        folder: The folder.
    """

    folder: Path

    def __call__(
        self,
        name: str,
        entry_points: Mapping[str, str] | str,
        files: Mapping[str, str],
        *,
        version: str = "1.0",
        folder: Path | None = None,
        metadata: str = "",
        announces: Iterable[str] = (),
    ) -> Path:
        """Install a distribution.

        Args:
            name: Name of the distribution.
            entry_points: Entry points of the group `rivers`, name to module; or the text of `entry_points.txt`.
            files: Path to source text; indentation that all lines share is removed.
            version: Its version.
            folder: Another folder than the default.
            metadata: Further lines of `METADATA`, such as `Requires-Dist: duckdb`.
            announces: Groups `rivers.<name>` that get the same entry points.

        Returns:
            The folder of the metadata.
        """
        root = self.folder if folder is None else folder
        for path, source in files.items():
            _write(root, path, source)
        info = root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        (info / "entry_points.txt").write_text(_entry_points(entry_points, announces))
        importlib.invalidate_caches()
        return info


def _write(root: Path, path: str, source: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(dedent(source))
    for parent in list(target.relative_to(root).parents)[:-1]:
        (root / parent / "__init__.py").touch()


def _entry_points(entry_points: Mapping[str, str] | str, announces: Iterable[str]) -> str:
    if isinstance(entry_points, str):
        return entry_points
    lines = [f"{name} = {module}" for name, module in entry_points.items()]
    groups = ["rivers", *(f"rivers.{group}" for group in announces)]
    return "\n".join(line for group in groups for line in (f"[{group}]", *lines, ""))
