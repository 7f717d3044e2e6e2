"""Fixtures of the parallel executor: two worker processes for all tests of a module."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers.executors.remote import Channel
from rivers_parallel.pool import WorkerPool


class SharedPool(Channel):
    """Gives the workers of another pool to a repository, and leaves them running when that is shut down."""

    def __init__(self, pool):
        self._pool = pool

    async def send(self, request):
        return await self._pool.send(request)

    def withdraw(self, run_id):
        self._pool.withdraw(run_id)

    def interrupt(self):
        self._pool.interrupt()

    def close(self):
        """Do nothing."""


class SharedParallel(type(rs.Executor.parallel())):
    def __init__(self, pool):
        super().__init__(2)
        self._pool = pool

    def __hash__(self):
        return id(self)

    def connect(self):
        return SharedPool(self._pool)


@pytest.fixture(scope="session")
def parallel():
    """The parallel executor with two workers that all tests of the session use."""
    pool = WorkerPool(2)
    yield SharedParallel(pool)
    pool.close()


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
