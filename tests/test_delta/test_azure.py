"""Tables on a real Azure Blob server."""

from __future__ import annotations

import uuid

import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import NotMaterializedError, RiversError
from tests.azure_server import CONTAINER, azure_server
from tests.test_delta.support import Lake, facts

__all__ = ["azure_server"]

pytestmark = pytest.mark.server


@pytest.fixture
def container(azure_server, monkeypatch):
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", azure_server.url)
    return Lake(f"az://{CONTAINER}/{uuid.uuid4().hex}", storage_options=azure_server.options())


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table])
def test_azure_round_trip(container, hint):
    container.store(pl.DataFrame({"n": [1, 2]}), "Sales / 100%")
    loaded = container.load(hint, "Sales / 100%")
    assert pl.DataFrame(loaded.collect() if hint is pl.LazyFrame else loaded)["n"].to_list() == [1, 2]


def test_azure_partitions_and_appends(container):
    for key in ("us", "a/b c", "us"):
        container.store(pl.DataFrame({"r": [key], "n": [1]}), "parts", keys=key, partition_expr="r")
    assert container.load(pl.DataFrame, "parts").height == 2
    for _ in range(2):
        context = container.store(pl.DataFrame({"n": [1]}), "log", mode="append", run_id="run-1")
    assert facts(context)["repeated"] is True


def test_azure_emulator_from_environment(azure_server, monkeypatch):
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", azure_server.url)
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    lake = Lake(f"az://{CONTAINER}/{uuid.uuid4().hex}")
    lake.store(pl.DataFrame({"n": [1]}))
    for hint in (pl.DataFrame, pa.Table):
        assert len(pa.table(lake.load(hint))) == 1


def test_azure_absent_table_and_missing_container(container, azure_server):
    with pytest.raises(NotMaterializedError):
        container.load(pl.DataFrame, "never")
    with pytest.raises(RiversError):
        Lake("az://no-such-container/x", storage_options=azure_server.options()).store(
            pl.DataFrame({"n": [1]})
        )
