"""Worker processes and a Dask cluster for tests: real ones, started once in each process of the tests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

import rivers as rs
from rivers.executors.remote import Channel
from rivers_parallel.executor import Parallel
from rivers_parallel.pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import LocalCluster

    from rivers.executors.remote import StepRequest

WORKERS = 2


class SharedPool(Channel):
    """Gives the workers of another pool to a repository, and leaves them running when that is shut down."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def send(self, request: StepRequest) -> bytes:
        return await self._pool.send(request)

    def withdraw(self, run_id: str) -> None:
        self._pool.withdraw(run_id)

    def interrupt(self) -> None:
        self._pool.interrupt()

    def close(self) -> None:
        """Do nothing."""


class SharedParallel(Parallel):
    """The parallel executor with workers that outlive a repository."""

    def __init__(self, pool: WorkerPool) -> None:
        super().__init__(WORKERS)
        self._pool = pool

    def __hash__(self) -> int:
        return id(self)

    def connect(self) -> SharedPool:
        return SharedPool(self._pool)


@pytest.fixture(scope="session")
def parallel() -> Iterator[SharedParallel]:
    """The parallel executor with two workers that all tests of the session use."""
    pool = WorkerPool(WORKERS)
    yield SharedParallel(pool)
    pool.close()


class SharedCluster:
    """Dask cluster of two worker processes over TCP, started again when a worker is lost for good."""

    def __init__(self) -> None:
        self._cluster: LocalCluster | None = None

    def ready(self) -> LocalCluster:
        """Return the cluster; a worker that an earlier test ended has been replaced."""
        from distributed import LocalCluster

        if self._cluster is not None:
            try:
                self._cluster.wait_for_workers(WORKERS, timeout=60)
            except TimeoutError:  # on a busy machine, Dask may give up starting a worker again
                self.close()
        if self._cluster is None:
            self._cluster = LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                resources={"CPU": 2, "LICENSE": 1},
            )
        return self._cluster

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[SharedCluster]:
    pytest.importorskip("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    shared = SharedCluster()
    yield shared
    shared.close()


@pytest.fixture
def dask_cluster(shared_cluster: SharedCluster) -> LocalCluster:
    """Dask cluster with two workers that all tests of the session use."""
    return shared_cluster.ready()


@pytest.fixture
def dask(dask_cluster: LocalCluster) -> rs.Executor:
    """The Dask executor on that cluster."""
    return rs.Executor.dask(dask_cluster.scheduler_address, shared_filesystem=True)
