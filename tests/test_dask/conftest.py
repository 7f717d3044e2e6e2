"""A Dask cluster of two worker processes over TCP, one for all tests of the session."""

from __future__ import annotations

import logging

import pytest

import rivers as rs

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def cluster():
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", resources={"CPU": 2, "LICENSE": 1}
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def executor(cluster, client):
    return rs.Executor.dask(cluster.scheduler_address, shared_filesystem=True)


@pytest.fixture
def store(tmp_path):
    return rs.PickleIOHandler(f"file:{tmp_path}/values")


@pytest.fixture
def repository(executor):
    created = []

    def make(*assets, **options):
        options.setdefault("default_executor", executor)
        created.append(rs.CodeRepository(list(assets), config=False, **options))
        return created[-1]

    yield make
    for repo in created:
        repo.shutdown()
