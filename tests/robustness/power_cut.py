"""Simulation of a power cut: what a folder contains if only flushed files and folders survive.

A file has the content of its last flush. A name exists if its folder was flushed while it had that name, however the
file was written. That is the least a file system with POSIX semantics keeps.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class FlushedFolder:
    """Records each `os.fsync`, and rebuilds a folder from them.

    Args:
        root: A folder that exists and counts as flushed.
        monkeypatch: Replaces `os.fsync` for the duration of a test.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._record)

    def survive(self, target: Path) -> Path:
        """Write what a power cut leaves of the folder to another one, and return that."""
        target.mkdir()
        self._rebuild(os.stat(self._root).st_ino, target)
        return target

    def _record(self, descriptor: int) -> None:
        self._fsync(descriptor)
        status, path = os.fstat(descriptor), f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                self._names[status.st_ino] = {entry.name: entry.inode() for entry in entries}
        else:
            with open(path, "rb") as file:
                self._contents[status.st_ino] = file.read()

    def _rebuild(self, inode: int, target: Path) -> None:
        for name, child in self._names.get(inode, {}).items():
            if child in self._names:
                (target / name).mkdir()
                self._rebuild(child, target / name)
            else:
                # a name whose file was not flushed survives as an empty file, or as a folder without names
                (target / name).write_bytes(self._contents.get(child, b""))
