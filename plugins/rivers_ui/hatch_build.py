"""Build the page with npm and esbuild before a wheel or source archive is made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MAX_SIZE = 500_000


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds `src/rivers_ui/static` from `frontend` unless it is newer than its sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page; an editable install leaves that to `make ui`.

        Raises:
            RuntimeError: The page has to be built, and npm is not installed.
        """
        if version == "editable":
            return
        root = Path(self.root)
        built, frontend = root / "src" / "rivers_ui" / "static" / "app.js", root / "frontend"
        sources = [
            path for path in frontend.glob("**/*") if "node_modules" not in path.parts and path.is_file()
        ]
        if built.exists() and all(path.stat().st_mtime <= built.stat().st_mtime for path in sources):
            return
        if built.exists() and (root / "PKG-INFO").exists():
            return  # a source archive carries the built page, and unpacking it changes the times
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(
                "Could not build the page of rivers-ui: npm not found. Install Node.js 20 or newer."
            )
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=frontend, check=True
        )
        subprocess.run([npm, "run", "--silent", "build"], cwd=frontend, check=True)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Refuse an archive that is much larger than the page, such as one with source maps or fonts.

        Raises:
            RuntimeError: The archive is too large.
        """
        size = Path(artifact_path).stat().st_size
        if size > MAX_SIZE:
            raise RuntimeError(f"{artifact_path} has {size:,} bytes; at most {MAX_SIZE:,} are expected.")
