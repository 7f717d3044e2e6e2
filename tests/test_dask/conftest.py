"""Repositories whose steps run on the shared Dask cluster."""

from __future__ import annotations

import pytest

import rivers as rs

distributed = pytest.importorskip("distributed")


@pytest.fixture
def client(dask_cluster):
    with distributed.Client(dask_cluster, set_as_default=False) as client:
        yield client


@pytest.fixture
def store(tmp_path):
    return rs.PickleIOHandler(f"file:{tmp_path}/values")


@pytest.fixture
def repository(dask):
    created = []

    def make(*assets, **options):
        options.setdefault("default_executor", dask)
        created.append(rs.CodeRepository(list(assets), config=False, **options))
        return created[-1]

    yield make
    for repo in created:
        repo.shutdown()
