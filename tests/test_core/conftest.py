"""Fake installed distributions: a package folder and a hand-made `*.dist-info`, found as real ones are."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[..., Path]

HANDLER = """
from rivers_core.handler import BaseIOHandler

class {name}(BaseIOHandler):
    def handle_output(self, context, obj): pass
    def load_input(self, context): return {name!r}
"""

PLUGIN = """
from rivers_core.hooks import HandlerSpec, hookimpl

@hookimpl
def rivers_io_handlers():
    yield HandlerSpec({name!r}, target={target!r})
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path; what is imported from it is forgotten after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution: `install("acme-json", {"json": "acme.plugin"}, {"acme/plugin.py": source})`.

    `announces=["observers"]` adds the same entry points to the group `rivers.observers`.
    """

    def installed(
        name: str,
        entry_points: dict[str, str] | str,
        files: dict[str, str],
        *,
        version: str = "1.0",
        folder: Path = site,
        metadata: str = "",
        announces: Iterable[str] = (),
    ) -> Path:
        for path, source in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(dedent(source))
            for parent in list(target.relative_to(folder).parents)[:-1]:
                (folder / parent / "__init__.py").touch()
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        if isinstance(entry_points, dict):
            lines = [f"{key} = {value}" for key, value in entry_points.items()]
            groups = ["rivers", *(f"rivers.{group}" for group in announces)]
            entry_points = "\n".join(line for group in groups for line in (f"[{group}]", *lines, ""))
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
        return info

    return installed


@pytest.fixture
def install_handler(install: Install) -> Install:
    """Install a distribution with one working handler: `install_handler("acme-json", "json")`."""

    def installed(
        distribution: str, name: str, *, package: str | None = None, entry_point: str | None = None, **rest
    ):
        package = package or distribution.replace("-", "_")
        class_name = f"{name.capitalize()}IOHandler"
        return install(
            distribution,
            {entry_point or name: f"{package}.plugin"},
            {
                f"{package}/plugin.py": PLUGIN.format(name=name, target=f"{package}.handler:{class_name}"),
                f"{package}/handler.py": HANDLER.format(name=class_name),
            },
            **rest,
        )

    return installed
