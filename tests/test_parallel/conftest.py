"""Fixtures of the parallel executor: repositories whose steps run in the shared workers."""

from __future__ import annotations

import pytest

import rivers as rs


@pytest.fixture
def store(tmp_path):
    return rs.PickleIOHandler(f"file:{tmp_path}/values")


@pytest.fixture
def repository(parallel):
    """Make a repository whose steps run in the shared workers."""
    created = []

    def make(*assets, **options):
        options.setdefault("default_executor", parallel)
        repo = rs.CodeRepository(list(assets), config=False, **options)
        created.append(repo)
        return repo

    yield make
    for repo in created:
        repo.shutdown()


@pytest.fixture
def counter(tmp_path):
    """Return a function that notes a call in a file, in whatever process, and one that counts the notes."""
    folder = tmp_path / "notes"
    folder.mkdir()

    def note(name):
        import os
        import uuid

        (folder / f"{name}.{os.getpid()}.{uuid.uuid4()}").touch()

    def count(name):
        return len(list(folder.glob(f"{name}.*")))

    return note, count
