"""Storing and loading with a handler, in few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.partitions import PartitionContext, PartitionKey
from rivers_pickle import PickleIOHandler

if TYPE_CHECKING:
    from pathlib import Path


class Stored:
    """One handler on a folder, and the asset of a test."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.handler = PickleIOHandler(folder, **settings)

    def store(self, value: Any, name: str = "asset", keys: Any = None) -> OutputContext:
        context = OutputContext(name, partition=_partition(keys))
        self.handler.handle_output(context, value)
        return context

    def load(self, name: str = "asset", keys: Any = None) -> Any:
        return self.handler.load_input(self.asked(name, keys))

    def asked(self, name: str = "asset", keys: Any = None) -> InputContext:
        return InputContext(name, "next", partition=_partition(keys))

    def files(self) -> list[str]:
        return sorted(
            path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()
        )


def _partition(keys: Any) -> PartitionContext | None:
    return None if keys is None else PartitionContext([PartitionKey(keys)])


@pytest.fixture
def lake(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "lake")


@pytest.fixture
def signed(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "lake", signing_key="correct horse battery staple")
